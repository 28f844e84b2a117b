"""Adapters to other libraries: import the one you need, such as ``skvae.interop.pyod``."""

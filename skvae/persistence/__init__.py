"""Model files: one safetensors file a model, arrays as tensors and the rest as JSON, no pickle.

`save` writes what a fitted estimator holds as a tree of plain values, arrays and objects of a fixed
list of classes, and `load` builds it anew from that: nothing in a file is ever run. What is not on
the list, such as a function of the user's, cannot be stored, and `save` says so.
"""

from skvae.persistence._model import load, save

__all__ = ["load", "save"]

"""``python -m skvae.cli`` is ``skvae``."""

from skvae.cli import main

main()

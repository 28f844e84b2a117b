"""``python -m skvae.cli`` is ``skvae``."""

from skvae.cli import main

if __name__ == "__main__":
    main()

"""pytest runs the code of the guide, and nothing else of this folder."""

collect_ignore_glob = ["*.py", "_build/*", "api/*", "auto_examples/*", "measured/*"]

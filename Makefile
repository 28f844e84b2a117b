# `make demo` and `make test` do all the set-up on a fresh machine: an environment in .venv, the
# pinned packages, then the work. A second run installs nothing unless the pins or pyproject.toml changed.

PYTHON ?= python3
VENV ?= .venv
WORKERS ?= 2
PYTEST_ARGS ?=
BIN := $(VENV)/bin
SPHINX := $(BIN)/python -m sphinx -q -j 2 -d docs/_build/doctrees
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: help demo test docs linkcheck lint layers doctest clean
.DELETE_ON_ERROR:

help:
	@echo "make demo      install, then run the blobs study: table and pictures in results/"
	@echo "make test      install, then run the suite with its doctests (PYTEST_ARGS=... adds options)"
	@echo "make docs      install, then build the documentation in docs/_build/html and check its links"
	@echo "make linkcheck ask the net whether the links to elsewhere are alive"
	@echo "make lint      ruff"
	@echo "make layers    who may import whom"
	@echo "make doctest   the doctests alone"
	@echo "make clean     remove the environment and everything made"

# One thread: on matrices this small more threads only wait for each other.
demo: $(VENV)/.demo
	OMP_NUM_THREADS=1 $(BIN)/skvae study blobs --out results/

# One thread a worker: the workers are the parallelism.
test: $(VENV)/.dev
	OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 \
		$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(PYTEST_ARGS)

docs: $(VENV)/.docs
	OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 $(SPHINX) -W --keep-going -n -b html docs docs/_build/html
	$(BIN)/python docs/check_site.py docs/_build/html

linkcheck: $(VENV)/.docs
	$(SPHINX) -b linkcheck -D plot_gallery=0 docs docs/_build/linkcheck

lint: $(VENV)/.dev
	$(BIN)/ruff check .

layers: $(VENV)/.dev
	$(BIN)/lint-imports --no-logo

doctest: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest skvae $(PYTEST_ARGS)

clean:
	rm -rf $(VENV) results build dist docs/_build docs/api docs/auto_examples docs/measured .pytest_cache .hypothesis .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "The pinned set needs Python 3.11 or newer: make PYTHON=python3.11 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	touch $@

# torch first and alone: its build (CPU or CUDA) is settled before another package asks for it.
$(VENV)/.torch: $(VENV)/.created constraints.txt
	$(PIP) torch
	touch $@

$(VENV)/.demo: $(VENV)/.torch pyproject.toml
	$(PIP) -e ".[plot,pyod,cli]"
	touch $@

$(VENV)/.dev: $(VENV)/.torch pyproject.toml
	$(PIP) -e ".[dev]"
	touch $@

$(VENV)/.docs: $(VENV)/.torch pyproject.toml
	$(PIP) -e ".[docs]"
	touch $@

# Two commands for everybody: `make demo` and `make test`. Each makes the environment in
# .venv from this project's files, once; later runs need no network.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# Tests find the full data sets here; without the folder, those that need them are skipped.
ifneq ($(wildcard ../shared/data),)
export CNNZOO_DATA ?= $(abspath ../shared/data)
endif
export TF_CPP_MIN_LOG_LEVEL ?= 2

.PHONY: demo test lint types proofs index clean

demo: $(VENV)/.cnnzoo
	$(BIN)/cnnzoo demo

test: lint types
	$(BIN)/pytest -n 2 -m "not proof"

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.test
	$(BIN)/pyright

proofs: $(VENV)/.test
	$(BIN)/pytest -n 2 --write-proofs

index: $(VENV)/.test
	$(BIN)/python docs/generate.py

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "cnnzoo needs Python 3.11 or newer; try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip --version >/dev/null || \
	  { echo "Python's venv did not work; on Debian and Ubuntu, install python3-venv"; exit 1; }
	@touch $@

$(VENV)/.cnnzoo: pyproject.toml | $(VENV)/.made
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.test: pyproject.toml | $(VENV)/.made
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	@touch $@ $(VENV)/.cnnzoo

clean:
	rm -rf $(VENV) build dist demo runs .pytest_cache .ruff_cache

# For everybody: `make demo`, `make test`, `make proofs`. Each makes the environment in
# .venv from this project's files, once; later runs need no network. `make test-backends`
# and `make bench` do so with .venv-backends, since TensorFlow alone must be enough for
# the others.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BACKENDS := .venv-backends

# Tests find the full data sets here; without the folder, those that need them are skipped.
ifneq ($(wildcard ../shared/data),)
export CNNZOO_DATA ?= $(abspath ../shared/data)
endif
export TF_CPP_MIN_LOG_LEVEL ?= 2

.PHONY: demo test test-backends lint types proofs soak index bench clean

demo: $(VENV)/.cnnzoo
	$(BIN)/cnnzoo demo

test: lint types
	$(BIN)/pytest -n 2 -m "not proof"

# TensorFlow goes first: it writes what JAX and PyTorch are held against.
test-backends: $(BACKENDS)/.backends
	@rm -rf build/backends
	@for backend in tensorflow jax torch; do echo "$$backend:"; \
	  KERAS_BACKEND=$$backend $(BACKENDS)/bin/pytest -q -n 2 tests/backends || exit 1; done

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.test
	$(BIN)/pyright

proofs: $(VENV)/.test
	$(BIN)/pytest -n 2 --write-proofs

# A training that is killed a hundred times, and ends as one that was left alone.
soak: $(VENV)/.test
	@rm -rf build/soak
	$(BIN)/python tests/helpers/killed_training.py 100 build/soak

# NAMES="vgg11 vgg13" draws these networks only.
index: $(VENV)/.test
	$(BIN)/python tools/generate.py $(NAMES)

# ROWS="small_vgg lrn" measures these rows only and leaves docs/speed.md as it is.
bench: $(BACKENDS)/.bench
	$(BACKENDS)/bin/python -m benchmarks $(ROWS)

%/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "cnnzoo needs Python 3.11 or newer; try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@rm -rf $*
	@$(PYTHON) -m venv $* && $*/bin/python -m pip --version >/dev/null || \
	  { echo "Python's venv did not work; on Debian and Ubuntu, install python3-venv"; exit 1; }
	@touch $@

$(VENV)/.cnnzoo: pyproject.toml | $(VENV)/.made
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.test: pyproject.toml | $(VENV)/.made
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	@touch $@ $(VENV)/.cnnzoo

$(BACKENDS)/.backends: pyproject.toml | $(BACKENDS)/.made
	$(BACKENDS)/bin/python -m pip install --quiet --editable '.[backends]'
	@touch $@

$(BACKENDS)/.bench: pyproject.toml | $(BACKENDS)/.made
	$(BACKENDS)/bin/python -m pip install --quiet --editable '.[bench]'
	@touch $@

clean:
	rm -rf $(VENV) $(BACKENDS) build dist demo runs .pytest_cache .ruff_cache

# Every target sets up what it needs: Python 3.11 or newer and make are enough.
#   PYTHON=...   the interpreter that .venv is made from
#   OUT=...      where `make audit` writes
#   ARGS=...     further arguments for audit, mutants, soak and pytest
#   JOBS=...     processes that tests run in

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
OUT    ?= build/audit
ARGS   ?=
JOBS   ?= 2

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help setup audit test nightly trace mutants soak vectors kernels bench docs linkcheck lint format pytest clean distclean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## make .venv and install the project with all extras

# Made anew only when what it depends on has changed; a second run costs nothing.
$(READY): pyproject.toml constraints.txt conformance/ppsf_conformance/peers.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed: make setup PYTHON=/path/to/python3.11"; exit 1; }
	@echo "setting up $(VENV) (the first time takes a few minutes)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@$(BIN)/ppsf-conformance peers --install
	@touch $@

audit: $(READY) ## judge ppsf_fast and the installed peers, train on real data, write a report to build/audit
	$(BIN)/ppsf-conformance audit --out $(OUT) $(ARGS)

test: lint trace pytest ## everything that must hold before a change goes in

trace: $(READY) ## check that every clause has its function, its test and its mutant
	$(BIN)/python -m tools.trace

# Tests that share a survey or a recording are a group, and stay in one process.
pytest: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadgroup $(ARGS)

nightly: lint trace $(READY) ## as test, with the long forms; every mutant; and 20,000 steps of the soak
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadgroup -m "nightly or not nightly"
	$(BIN)/ppsf-conformance mutants
	$(BIN)/ppsf-conformance soak --jobs $(JOBS) --steps 20000 --state build/soak/nightly.json --out build/soak/nightly-result.json

mutants: $(READY) ## apply every registered mutant; the suite must notice each one
	$(BIN)/ppsf-conformance mutants $(ARGS)

soak: $(READY) ## count false alarms over a million steps; stop it and start it again as you like
	$(BIN)/ppsf-conformance soak --jobs $(JOBS) $(ARGS)

vectors: $(READY) ## hold the test vectors against the reference, and run them in JavaScript (needs Node 20)
	@command -v node > /dev/null || { echo "make vectors needs Node 20 or newer (node): install it, or run make test"; exit 1; }
	$(BIN)/ppsf-conformance vectors check
	node conformance/runners/javascript/run.mjs
	$(BIN)/python -m pytest conformance/runners

kernels: $(READY) ## the long form of the tests of the Triton kernels: problems of all revisions, all GPUs, as interpreted and as compiled (two hours)
	PPSF_TRITON_PROBLEMS=150 PPSF_TRITON_COMPILE=all $(BIN)/python -m pytest tests/fast/triton -m "nightly or not nightly" $(ARGS)

bench: $(READY) ## time one step of several optimizers, side by side
	$(BIN)/python -m benchmarks $(ARGS)

docs: $(READY) ## build the documentation into build/docs, and check it: warnings, links, and in a browser if there is one
	@rm -rf build/docs
	$(BIN)/python -m sphinx -q -E -W -n --keep-going -b html -d build/doctrees docs build/docs
	$(BIN)/python -m tools.site build/docs
	$(BIN)/python -m tools.walk build/docs
	@echo "open build/docs/index.html"

linkcheck: $(READY) ## follow the links that leave the documentation (needs a network)
	$(BIN)/python -m sphinx -q -b linkcheck -d build/doctrees docs build/linkcheck

lint: $(READY) ## style, types, and who may import whom
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: $(READY) ## put the code in the one style
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean: ## remove what commands wrote (keeps .venv)
	rm -rf build dist docs/errata .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -path ./$(VENV) -prune -o -type d -name __pycache__ -exec rm -rf {} +

distclean: clean ## as clean, and .venv too
	rm -rf $(VENV)

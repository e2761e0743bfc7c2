# Two commands do everything: `make up` and `make test`. `make help` lists the rest.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.locked
LOCK   := requirements/dev.txt
# Two at a time, a file each: the suite waits for engines and databases most of the time.
PARALLEL := -n 2 --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help up down test rehearsals check lint types setup engine lock docs bench clean

help: ## Say what the targets do
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: $(STAMP) ## Bring the whole deployment up on this machine (STACK=local)
	@$(BIN)/ops up $(or $(STACK),local)

down: $(STAMP) ## Take it away again, with every process it started
	@$(BIN)/ops down $(or $(STACK),local)

test: engine ## Run the tests (under 15 minutes)
	@$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

rehearsals: engine ## The slow tests: further stacks, and releases under traffic
	@$(BIN)/python -m pytest $(PARALLEL) -m slow $(ARGS)

check: lint types ## Lint, format, types, import rules

lint: $(STAMP)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/python -m pytest -q tests/test_imports.py

types: $(STAMP)
	@$(BIN)/mypy

setup: engine ## Make .venv from the locks and get the Pulumi engine

engine: $(STAMP)
	@$(BIN)/ops setup >/dev/null

# The environment is made anew when the lock changes. uv comes by pip, hash-checked; the rest by uv, hash-checked.
$(STAMP): $(LOCK) requirements/uv.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is %s; try make PYTHON=python3.12" % sys.version.split()[0])'
	@echo "environment: making $(VENV) from $(LOCK)" >&2
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/uv.txt
	@$(BIN)/uv pip sync --quiet --require-hashes --python $(BIN)/python $(LOCK)
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --no-index --config-settings editable_mode=compat -e .
	@touch $@

lock: ## Compile the locks anew (network; review the diff)
	@set -e; for name in layer dev; do \
	  $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header \
	    --quiet requirements/$$name.in -o requirements/$$name.txt; done; \
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header \
	  --no-deps --only-binary :all: --quiet requirements/authorities.in -o requirements/authorities.txt; \
	awk '/^uv==/ {p = 1; print; next} p && /^[a-z]/ {exit} p' requirements/dev.txt > requirements/uv.txt

bench: engine ## Measure: warm up, previews with and without the pack, memory
	@$(BIN)/python -m benchmarks

clean: ## Remove what was built, not the sandbox
	@rm -rf .build .mypy_cache .ruff_cache .pytest_cache .hypothesis

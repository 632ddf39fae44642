# Bare `make` prints the targets. Every target that needs packages installs them first, into .venv.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help install demo test check bench lock clean

help: ## print the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.installed: pyproject.toml requirements.lock
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	touch $@

install: $(VENV)/.installed ## set up .venv from the hashed lock file

demo: install ## trade the strategies in strategies.d against the embedded paper gateway
	$(BIN)/runner demo

test: install ## run every test
	$(BIN)/python -m pytest

check: install ## format, lint, types, import floors, tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest

bench: install ## print the benchmark ratios
	$(BIN)/python benchmarks/run.py

lock: ## rewrite the lock files from pyproject.toml (needs uv)
	uv pip compile pyproject.toml --extra dev --generate-hashes --no-emit-index-url --no-emit-find-links \
		--no-header --no-annotate --python-version 3.11 --quiet -o requirements.lock

clean: ## remove what install and the runs made
	rm -rf $(VENV) .clients .runner .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

# Bare `make` prints the targets. Every target that needs packages installs them first, into .venv.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help install clients editor demo test kill-test watch-test reload-kill-test reload-soak fuzz lint docs
.PHONY: check bench lock clean

help: ## print the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.installed: pyproject.toml requirements.lock
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	touch $@

install: $(VENV)/.installed ## set up .venv from the hashed lock file

# What the tests talk to, each in a folder of its own: other IB clients, unmodified, two of which have the same import
# name, and an S3 server, whose needs must not choose the versions of what the runner itself is tested with.
CLIENTS := ib_insync ibapi nautilus_ibapi moto
.clients/.installed: $(VENV)/.installed $(CLIENTS:%=requirements/clients-%.lock)
	rm -rf .clients
	for client in $(CLIENTS); do \
		$(BIN)/python -m pip install --quiet --no-deps --require-hashes --target .clients/$$client \
			-r requirements/clients-$$client.lock || exit 1; \
	done
	touch $@

clients: .clients/.installed ## install the other IB clients and the S3 server that the tests run

# What editors run for YAML files, for the tests of the schemas. Without node there is nothing to install, and the tests
# say that they were skipped for it.
EDITOR := package.json package-lock.json .npmrc
.editor/.installed: $(EDITOR:%=tests/editor/%)
	@if command -v node >/dev/null && command -v npm >/dev/null; then \
		rm -rf .editor && mkdir .editor && cp $^ .editor/ && \
		cd .editor && npm ci --ignore-scripts --no-progress --loglevel=error && touch .installed; \
	fi

editor: .editor/.installed ## install the YAML language server that the editor tests run, if node is here

demo: install ## trade the strategies in strategies.d against the embedded paper gateway
	$(BIN)/runner demo

# Most of the time of the tests goes to waiting for processes, so more of them run at once than there are cores. A file
# stays with one worker: its tests may share a gateway.
JOBS ?= 4
test: install clients editor ## run every test, JOBS (4) files at once
	$(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile

KILLS ?= 200
kill-test: install ## kill the runner KILLS times (200) and see that nothing is lost or doubled
	RUNNER_KILLS=$(KILLS) RUNNER_EXITS=15 $(BIN)/python -m pytest tests/live

reload-kill-test: install ## kill the runner at every step of every kind of reload
	RUNNER_RELOAD_KILLS=1000 $(BIN)/python -m pytest tests/live/test_reload_killed.py

SOAK_S ?= 60
reload-soak: install ## edit files a hundred times a second for SOAK_S seconds (60) and see what is left
	RUNNER_STORM_S=$(SOAK_S) $(BIN)/python -m pytest tests/live/test_reload_storm.py

FUZZ ?= 1000000
SEED ?=
fuzz: install ## try FUZZ (1000000) damaged and made-up strategy files on the loader; SEED repeats a run
	$(BIN)/python tests/spec/fuzz.py --inputs $(FUZZ) $(SEED:%=--seed %)

SAVES ?= 8
watch-test: install ## let every kind of writer save SAVES times (8) and see that no half-written file is taken
	RUNNER_SAVES=$(SAVES) $(BIN)/python -m pytest tests/manager/watch

lint: install ## check format, style, types and import floors
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: install ## write the schemas and the generated pages anew
	$(BIN)/python -m runner.spec.schema schemas
	$(BIN)/python -m runner.spec.reference docs/spec.md
	$(BIN)/python -m runner.catalog > docs/blocks.md
	$(BIN)/python -m runner.base_params > docs/params.md
	$(BIN)/python -m runner.spec.explain > docs/problems.md
	$(BIN)/python -m runner.cli.reference > docs/commands.md

check: lint test ## lint, then test: what CI runs

bench: install ## print the benchmark ratios
	$(BIN)/python benchmarks/run.py

lock: ## rewrite the lock files from pyproject.toml (needs uv)
	uv pip compile pyproject.toml --extra dev --generate-hashes --no-emit-index-url --no-emit-find-links \
		--no-header --no-annotate --python-version 3.11 --quiet -o requirements.lock
	for client in ib-insync==0.9.86 ibapi==9.81.1.post1 nautilus_ibapi==10.46.1 \
			'moto[s3]==5.2.5 flask==3.1.3 flask-cors==6.0.5'; do \
		name=$$(echo $$client | sed 's/[=[].*//; s/-/_/'); \
		echo $$client | tr ' ' '\n' | uv pip compile - --generate-hashes --no-emit-index-url --no-emit-find-links \
			--no-header --no-annotate --python-version 3.11 --quiet -o requirements/clients-$$name.lock || exit 1; \
	done

clean: ## remove what install and the runs made
	rm -rf $(VENV) .clients .editor .fuzz .runner .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

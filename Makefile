# Windsock's commands; `make help` lists them. PYTHON=... chooses the interpreter of a new .venv.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest
# WORKERS=... says in how many processes tests run; unless it is set, as many as there are cores, four at most:
# more of them starve the stacks that they start. All tests together have one more: stacks are mostly waited for.
CORES := $(shell n=$$(nproc 2>/dev/null || echo 2); echo $$((n < 4 ? n : 4)))
PARALLEL = -n $(or $(WORKERS),$(CORES))
PARALLEL_WITH_STACKS = -n $(or $(WORKERS),$(shell expr $(CORES) + 1))
QUICK := not e2e and not docker and not browser and not postgres and not slow and not acceptance
QUICK_PATHS := tests/unit tests/dags $(wildcard tests/test_*.py)
# Compiled modules are kept, whatever the shell says: without them each of the many processes compiles its own.
unexport PYTHONDONTWRITEBYTECODE
NAME ?=
SPEC ?=
ROOM ?=
ARGS ?=

.PHONY: help setup demo up test-quick test coverage cases acceptance bench mutants static lint format format-check \
	types contracts snapshots check wheel clean

help: ## show this list
	@grep -hE '^[a-z][a-z-]*:.*## ' $(firstword $(MAKEFILE_LIST)) \
		| sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' \
		| while IFS='|' read -r target text; do printf '%-20s %s\n' "$$target" "$$text"; done

setup: .venv/.stamp ## make .venv with exactly the tested versions

# The stamp is written last: what was interrupted is done again. A half-made .venv is made anew.
.venv/.stamp: pyproject.toml constraints.txt plugins/windsock/__init__.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "setup: $(PYTHON) is not Python 3.11 or newer; choose one: make PYTHON=python3.11 ..." >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv \
		|| { echo "setup: cannot make .venv; Debian and Ubuntu need the package python3-venv" >&2; exit 1; }
	@echo "setup: installing into .venv; the first time takes some minutes"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[alerts,dev,ibis,postgres]' \
		|| { echo "setup: pip failed, its reason stands above; the same command again goes on from here" >&2; exit 1; }
	@touch $@

demo: setup ## run the daily retrain of the sample model, or of SPEC=path/to/model.yaml, from data to served answer
	@$(BIN)/windsock demo $(if $(SPEC),--spec "$(SPEC)")

up: setup ## start Airflow, MLflow and the server on 127.0.0.1; Ctrl-C stops all of it
	@exec $(BIN)/windsock up

test-quick: setup ## unit tests without the slow ones: under 90 seconds on two cores, all the time
	$(PYTEST) $(PARALLEL) -q -rfEs -m '$(QUICK)' $(or $(ARGS),$(QUICK_PATHS))

test: setup static ## all but the acceptance tests; what is missing for a test is named as its reason to skip
	$(PYTEST) $(PARALLEL_WITH_STACKS) -q -rfEs --durations=30 -m 'not acceptance' $(ARGS)

coverage: setup ## the tests of `make test` with the share of each module that they reach
	$(PYTEST) $(PARALLEL) -q -rs --cov=windsock --cov-report=term:skip-covered -m 'not acceptance' $(ARGS)

cases: setup ## small inputs on which an answer was wrong once: case, what is right, what came
	$(PYTEST) -q -p no:xdist -m cases tests/cases $(ARGS)

acceptance: setup ## the long tests, by hand before a change is called done
	$(PYTEST) -rs -m acceptance $(ARGS)

bench: setup ## run one benchmark: NAME=...; without NAME, list them
	@if grep -qs __main__ "benchmarks/$(NAME).py"; then exec $(BIN)/python "benchmarks/$(NAME).py" $(ARGS); fi; \
	if [ -n "$(NAME)" ]; then echo "bench: no benchmark is named $(NAME)" >&2; else echo "bench: NAME is missing" >&2; fi; \
	echo "usage: make bench NAME=..., one of:" >&2; \
	grep -ls __main__ benchmarks/*.py | sed -E 's,.*/(.*)\.py,  \1,' >&2; exit 2

mutants: setup ## which changes of ROOM=governance/gate_model.py (a file or folder of the package) no test notices
	@test -n "$(ROOM)" || { echo "usage: make mutants ROOM=governance/gate_model.py, a file or folder of plugins/windsock" >&2; exit 2; }
	@PYTEST_ADDOPTS="-m '$(QUICK)'" $(BIN)/python tests/support/mutants.py $(ROOM) $(ARGS)

static: lint types contracts ## what is checked without running anything

lint: setup ## ruff's rules
	$(BIN)/ruff check .

format: setup ## let ruff format the code and sort the imports
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix-only --select I --quiet .

format-check: setup ## does ruff agree with the format?
	$(BIN)/ruff format --check .

types: setup ## mypy, strict
	$(BIN)/mypy

contracts: setup ## which part may import which
	PYTHONPATH=plugins $(BIN)/lint-imports --no-cache

snapshots: setup ## renew the snapshots of the DAGs' structure; look at the difference before committing it
	WINDSOCK_SNAPSHOTS=update $(PYTEST) -q tests/dags $(ARGS)

check: format-check lint types contracts test-quick ## everything quick, before each commit

wheel: setup ## build dist/*.whl
	$(BIN)/python -m build --wheel --no-isolation

clean: ## remove caches and builds; .venv and .windsock stay
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -path ./.venv -prune -o -name __pycache__ -type d -exec rm -rf {} +

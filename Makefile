# `make` lists the targets. Targets that need .venv first install the project's requirements into it.
PYTHON ?= python3
BIN := .venv/bin
WORKERS ?= 3

.PHONY: help demo ui install test test-all bench check audit deploy lock clean

help:  ## list the targets, and start nothing
	@awk -F ':.*  ## ' '/^[a-z-]+:.*  ## / { printf "%-10s%s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: .venv/installed  ## publish two invented apps on embedded Postgres servers, and show rows before and after
	@$(BIN)/python -m demo

ui: .venv/installed  ## open Prefect's UI on the demo's runs, with a worker that starts more
	@$(BIN)/python -m demo --ui

install: .venv/installed  ## install what the ETL, the tests and the demo need into .venv

test: .venv/installed  ## run all tests but the slow ones
	@$(call tests,not slow)

test-all: .venv/installed  ## run all tests: faults, orchestration and properties too
	@$(call tests,slow or not slow)

# Run tests side by side first, then those that need the machine to themselves. Both always run; either can fail the target.
tests = failed=0; \
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "($(1)) and not alone" || failed=1; \
	$(BIN)/python -m pytest -m "($(1)) and alone" || failed=1; \
	exit $$failed

bench: .venv/installed  ## compare the ETL with other ways of copying; make bench OPTIONS="--size 5"
	@$(BIN)/python -m bench $(OPTIONS)

check: .venv/installed  ## check style, types, import boundaries, prefect.yaml, known vulnerabilities
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -q tests/unit/test_imports.py
	@$(BIN)/python -m deployment.check
	@$(BIN)/python -m deployment.audit

audit: .venv/installed  ## look up known vulnerabilities of the locked packages
	@$(BIN)/python -m deployment.audit

deploy: .venv/installed  ## apply prefect.yaml and the environment to the Prefect server
	@$(BIN)/python -m deployment.setup

lock: .venv/installed  ## pin every dependency of pyproject.toml, with hashes
	@$(BIN)/pip install --quiet --disable-pip-version-check uv
	@$(call pin,requirements.txt,--extra sentry)
	@$(call pin,requirements-dev.txt,--extra sentry --group dev --constraint requirements.txt)

# $(1) the lock, $(2) what it takes from pyproject.toml besides the dependencies
define pin
$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-header $(2) pyproject.toml -o .venv/pylock.toml && \
$(BIN)/python -m deployment.lock .venv/pylock.toml $(1)
endef

clean:  ## remove the demo, the virtual environment and what pip built
	@rm -rf .demo .venv build *.egg-info

.venv/installed: requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "want Python 3.11 or newer, found " + sys.version.split()[0] + ": make PYTHON=python3.12")'
	@echo "installing the locked requirements into .venv"
	@$(PYTHON) -m venv .venv
	@# as constraints too: else pip before 23.3 does not see that sqlalchemy[asyncio] is pinned
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt -c requirements-dev.txt
	@touch $@

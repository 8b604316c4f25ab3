# Two commands do everything: `make demo` and `make test`. Both set themselves up.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

.PHONY: help demo test setup setup-dev system lint types layers unit docs clean

help:            ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: setup      ## replay the outage on the embedded cluster: detect, roll back, confirm recovery
	@$(BIN)/guard demo

test: setup-dev system lint types layers unit  ## every check: lint, types, layers, tests

setup: $(VENV)/.runtime
$(VENV)/.runtime: pyproject.toml
	@tools/venv "$(PYTHON)" "$(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

setup-dev: $(VENV)/.dev
$(VENV)/.dev: $(VENV)/.runtime
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "pip>=25.1"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --group dev
	@touch $@

system:          ## system packages that tests use (installed when root, otherwise named)
	@tools/system-packages

lint:            ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types:           ## mypy, strict
	$(BIN)/mypy

layers:          ## import-linter: who may import whom
	$(BIN)/lint-imports

unit:            ## pytest (set TESTS="..." to choose)
	$(BIN)/pytest -n auto $(TESTS)

clean:           ## remove what the targets made
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist build

# Two commands do everything: `make demo` and `make test`. Both set themselves up, and are quick the
# second time.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# two workers a core: tests wait for real servers more than they compute
WORKERS ?= $(shell expr 2 \* $$(nproc))

.PHONY: help demo test setup setup-dev system lint types layers unit docs wheel bench clean
.NOTPARALLEL:

help:            ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: setup      ## replay the outage on the embedded cluster: detect, roll back, confirm recovery
	@$(BIN)/guard demo $(STORY)

test: system lint types layers unit  ## every check: lint, types, layers, tests

setup:           ## make .venv and install guard into it
	@tools/setup "$(PYTHON)" "$(VENV)"

setup-dev:       ## the same, with the tools for the tests
	@tools/setup "$(PYTHON)" "$(VENV)" dev

system:
	@tools/system-packages

lint: setup-dev  ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup-dev ## mypy, strict
	$(BIN)/mypy

layers: setup-dev ## import-linter: who may import whom
	$(BIN)/lint-imports

unit: setup-dev  ## pytest; TESTS="tests/cli -k help" chooses
	$(BIN)/pytest -n $(WORKERS) --dist worksteal -rs $(TESTS)

docs: setup-dev  ## write the parts of the docs that are generated
	$(BIN)/python tools/help_blocks.py README.md docs/commands.md
	$(BIN)/python -m deploy_guard.policy.reference > docs/policy-reference.md
	$(BIN)/python -m deploy_guard.policy_tests.reference docs/policy-tests.md
	$(BIN)/guard schema > policies/policy.schema.json
	$(BIN)/guard schema --of test > policies/policy-test.schema.json

wheel: setup-dev ## build the wheel, install it into an empty environment, try it there
	@tools/wheel "$(PYTHON)"

bench: setup-dev ## what guard costs: rollbacks next to kubectl's, a thousand policies, a watch of 30 minutes
	$(BIN)/python -m benchmarks.startup
	$(BIN)/python -m benchmarks.rollback
	$(BIN)/python -m benchmarks.check
	$(BIN)/python -m benchmarks.watch

clean:           ## remove what the targets made
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist build

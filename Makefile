# The targets need Python 3.11 or newer and make; each sets up what it needs.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
  "$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help setup demo test soak lint format bench docs site clean

help:  ## Show what there is.
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 10

setup: $(STAMP)  ## Make the environment in .venv.

$(STAMP): pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; name it with 'make PYTHON=/path/to/python'." >&2; exit 1; }
	@echo "Setting up $(VENV) (once; about a minute)"
	@"$(PYTHON)" -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[postgresql]' --group dev
	@touch $@

demo: $(STAMP)  ## Run the examples against the sandbox, over real HTTP, offline.
	@$(BIN)/apertis demo

test: $(STAMP)  ## Run the tests.
	@$(BIN)/python -m pytest

soak: $(STAMP)  ## Load a gateway for ten minutes (SECONDS=60 for one), and look for growth.
	@$(BIN)/python -m tests.soak --seconds $(or $(SECONDS),600)

lint: $(STAMP)  ## Check style and types.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/ty check --error unused-ignore-comment tests/typing

format: $(STAMP)  ## Format the code.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP)  ## Measure both ends beside their peers, and write benchmarks/RESULTS.md.
	@$(BIN)/python benchmarks/run.py

docs: $(STAMP)  ## Write the reference pages from the docstrings.
	@$(BIN)/python docs/generate_reference.py

site: docs  ## Build the documentation's pages into site/.
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --group docs
	@$(BIN)/zensical build

clean:  ## Remove the environment and what was built.
	rm -rf $(VENV) dist build site .environments benchmarks/.environments

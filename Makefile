# The targets need make and Python 3.11 or newer with its venv; each sets up what it needs.
# `python3` may be an older one, or a shim of a version that is not chosen: each is tried.
NAMED = $(notdir $(wildcard $(addsuffix /python3.[1-9][0-9],$(subst :, ,$(PATH)))))
PYTHON ?= $(shell for p in python3 $(shell printf '%s\n' $(NAMED) | sort -t. -k2 -nr) python; do \
  "$$p" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && \
  echo "$$p" && break; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
PACKAGE := $(VENV)/.package
TOOLS := $(VENV)/.tools

# No demo and no test may reach a service that is paid for.
unexport APERTIS_API_KEY APERTIS_BASE_URL
unexport ANTHROPIC_API_KEY ANTHROPIC_AUTH_TOKEN ANTHROPIC_BASE_URL ANTHROPIC_CUSTOM_HEADERS

.PHONY: help setup demo test clients soak lint format coverage news bench docs pictures site clean

help:  ## List the targets.
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 10

setup: $(TOOLS)  ## Create the environment in .venv.

$(PACKAGE): pyproject.toml
	@test -n "$(PYTHON)" || { printf '%s\n' \
	  "No Python 3.11 or newer with venv was found (Debian has it in python3-venv)." \
	  "Name one: make PYTHON=/path/to/python" >&2; exit 1; }
	@echo "Setting up $(VENV) (once; half a minute)"
	@"$(PYTHON)" -m venv $(VENV)
	@$(PIP) --editable '.[gateway]'
	@touch $@

$(TOOLS): $(PACKAGE)
	@echo "Installing the developers' tools into $(VENV) (once; half a minute)"
	@$(PIP) --upgrade 'pip>=25.1'
	@$(PIP) --editable '.[postgresql]' --group dev
	@touch $@

demo: $(PACKAGE)  ## Run the examples against the sandbox, over real HTTP, offline.
	@$(BIN)/apertis demo

test: $(TOOLS)  ## Run the tests, on all processors (JOBS=0: in one process).
	@$(BIN)/python -m pytest --numprocesses $(or $(JOBS),auto) --dist loadfile $(TESTS)

clients: $(TOOLS)  ## Install other projects' clients, which the tests use if they are installed.
	@$(BIN)/python -m tests.gateway.clients.installing

soak: $(TOOLS)  ## Load a gateway for ten minutes (SECONDS=60 for one); kill others 30 times.
	@$(BIN)/python -m tests.soak --seconds $(or $(SECONDS),600)
	@SOAK_ROUNDS=30 SOAK_LEASE_SECONDS=60 \
		$(BIN)/python -m pytest -q tests/gateway/money/test_replicas.py

lint: $(TOOLS)  ## Check style and types.
	$(BIN)/python tools/generate_sync.py --check
	$(BIN)/python tools/generate_types.py --check
	$(BIN)/python tools/generate_completion.py --check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/ty check --error unused-ignore-comment tests/typing
	$(BIN)/codespell

format: $(TOOLS)  ## Format the code, and write what is generated from it.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/python tools/generate_sync.py
	$(BIN)/python tools/generate_types.py
	$(BIN)/python tools/generate_completion.py

coverage: $(TOOLS)  ## Run the tests, and hold each module's branches against tests/coverage.txt.
	@rm -f .coverage .coverage.*
	@$(BIN)/coverage run -m pytest --numprocesses $(or $(JOBS),auto) --dist loadfile $(TESTS)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/python tools/coverage_list.py

news: $(TOOLS)  ## Show what the next release would say.
	@$(BIN)/towncrier build --draft

bench: $(TOOLS)  ## Measure both ends beside their peers, and write benchmarks/RESULTS.md.
	@$(BIN)/python benchmarks/run.py

docs: $(TOOLS)  ## Write the reference pages from the docstrings.
	@$(BIN)/python docs/generate_reference.py

pictures: $(TOOLS)  ## Take the pictures of the console in docs/gateway/pictures, with Chromium.
	@$(BIN)/python -m tools.take_pictures

site: docs  ## Build the documentation's pages into site/.
	@$(PIP) --group docs
	@$(BIN)/zensical build

clean:  ## Remove the environment and what was built.
	rm -rf $(VENV) dist build site .environments benchmarks/.environments

# Two commands: `make demo` shows the hub at work, `make test` proves it. Both make their own
# environment in .venv; nothing is activated, nothing needs root.

VENV ?= .venv
PYTHON ?= $(shell for p in python3.11 python3 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null && { echo $$p; break; }; \
	done)
READY := $(VENV)/.ready

.PHONY: help demo test lock

help:
	@echo "make demo   the hub on a made-up company: sandbox vendors, all four verbs, then its pages"
	@echo "make test   style, types, import rules and all tests, on SQLite and PostgreSQL"
	@echo "make lock   resolve the dependencies anew and write requirements.lock"

demo: $(READY)
	@$(VENV)/bin/hub demo

test: $(READY)
	@$(VENV)/bin/python tools/check.py

$(READY): pyproject.toml requirements.lock
	@if [ -z "$(PYTHON)" ]; then \
	  echo "The hub needs Python 3.11: install it so that python3.11 can be called, or name it: make $(or $(MAKECMDGOALS),test) PYTHON=/path/to/python3.11"; \
	  exit 1; fi
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make environments: install its venv module (on Debian and Ubuntu: the package python3.11-venv)."; \
	  exit 1; }
	@echo "Preparing $(VENV): the first time takes a minute."
	@$(PYTHON) -m venv $(VENV)
	@env -u PYTHONPATH $(VENV)/bin/python -m pip install -qq --disable-pip-version-check --require-hashes -r requirements.lock
	@env -u PYTHONPATH $(VENV)/bin/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

lock:
	@tools/lock "$(PYTHON)"

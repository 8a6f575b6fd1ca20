# Needs Python 3.11, make and a C library; everything else goes into .venv. `make help` lists the targets.

PYTHON ?= python3
# Where the CPU build of torch comes from, which PyPI does not carry: a page of links or a folder of wheels.
TORCH_WHEELS ?= $(or $(PIP_FIND_LINKS),https://download.pytorch.org/whl/cpu/torch/)
UV_VERSION := 0.13.9

DEMO_CONFIGS ?= docs/demo.toml docs/demo_code.toml
DEMO_ARGS ?= --up smollm2
PYTEST_ARGS ?=

BIN := .venv/bin
UV := VIRTUAL_ENV=$(CURDIR)/.venv $(BIN)/uv
STAMP := .venv/installed

# Bytecode is written on first import, so that only what is imported is compiled: compiling all of it at install takes
# minutes, and without any every start of vLLM takes two.
unexport PYTHONDONTWRITEBYTECODE
# uv wants commas where pip's variable has blanks.
empty :=
comma := ,
export UV_FIND_LINKS := $(subst $(empty) $(empty),$(comma),$(strip $(TORCH_WHEELS)))

.PHONY: demo test check bench lock clean help venv

help: ## list the targets
	@awk -F':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(STAMP) ## install everything into .venv (the other targets do it too)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
	  { echo "requirements.lock is for Python 3.11; name one with 'make PYTHON=/path/to/python3.11'" >&2; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(UV) pip sync requirements.lock
	$(UV) pip install --quiet --no-deps -e .
	@touch $@

demo: $(STAMP) ## serve a small model and draw accuracy against thinking tokens (under 10 minutes)
	@set -e; for config in $(DEMO_CONFIGS); do $(BIN)/ttc eval --config $$config $(DEMO_ARGS); done

test: $(STAMP) ## all tests, those on a real vLLM server included; PYTEST_ARGS="-k name" picks some
	$(BIN)/python -m pytest $(PYTEST_ARGS)

check: $(STAMP) ## lint, formatting, types and the tests that need no server
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/python -m pytest -m "not server" $(PYTEST_ARGS)

bench: $(STAMP) ## measure what docs and README quote
	@set -e; for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script; done

lock: $(STAMP) ## resolve requirements.lock anew from pyproject.toml
	$(UV) pip compile pyproject.toml --extra demo --extra dev --python-version 3.11 \
	  --python-platform x86_64-manylinux_2_28 --no-annotate --no-header --no-emit-index-url --no-emit-find-links \
	  --upgrade --quiet --output-file requirements.lock

clean: ## remove .venv, caches and build output (runs/ is kept)
	rm -rf .venv build dist .pytest_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

# flightlog: everything a fresh machine with Python 3.11+ needs. Each target fills .venv by itself.
#   make demo   a real pipeline, killed half way, on the embedded PostgreSQL        make test   every test
#   make lint   style, types, who may import whom        make bench   figures against peers, into bench/RESULTS.md
#   make faults the long fault campaign and simulation   make mutants the rules of delivery, broken one at a time
#   make bench-supervisors   some sixty deaths under flightlog, supervisord, circus and honcho (ten minutes)
#   make dev    all of the above installed, plus hooks                           make docs   the pages that are made of the code
SHELL := /bin/bash
.ONESHELL:
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# The oldest Python the whole product runs on comes first; PYTHON=... picks another.
PYTHON ?= $(shell for p in python3.11 python3 python3.12 python3.13 python3.14; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { command -v "$$p"; break; }; done)
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
# Most of a test is waiting for something real; JOBS=1 runs one after the other.
JOBS ?= $(shell echo $$((2 * $$(nproc))))
PARALLEL = -n $(JOBS) --dist worksteal
FAULT_JOBS ?= $(shell echo $$((1 + $$(nproc))))
PYTEST_ARGS ?=

.PHONY: help demo test test-newest lint bench bench-supervisors faults soak mutants dev clean needs inject programs docs
help:
	@sed -n '2,6p' Makefile

$(VENV)/.base: pyproject.toml
	@if [ -z "$(PYTHON)" ]; then echo "Error: no Python 3.11 or newer found." >&2; echo "Try: apt install python3 python3-venv, or make PYTHON=/path/to/python3.11" >&2; exit 1; fi
	"$(PYTHON)" -m venv $(VENV) || { echo "Error: $(PYTHON) cannot make a virtual environment." >&2; echo "Try: apt install python3-venv" >&2; exit 1; }
	$(PIP) install --upgrade 'pip>=25.1'
	$(PIP) install -e '.[all]'
	touch $@

$(VENV)/.test: $(VENV)/.base
	$(PIP) install --group test
	touch $@

$(VENV)/.lint: $(VENV)/.base
	$(PIP) install --group lint
	touch $@

$(VENV)/.bench: $(VENV)/.test
	$(PIP) install --group bench
	touch $@

# The pages that are made of the code.
docs: $(VENV)/.base
	$(BIN)/python -m flightlog.config.page docs/reference/configuration.md

demo: $(VENV)/.base
	$(BIN)/python -m demo

# What the tests use from Debian: tmux (terminal tests), pypy3 (the SDK in another interpreter), openssl (certificates for the tests of TLS).
# They also use a PostgreSQL of the system's where there is one (TLS, the oldest version); it is not installed from here, because that starts it.
needs:
	@missing=""; for c in tmux pypy3 openssl; do command -v $$c >/dev/null || missing="$$missing $$c"; done
	if [ -n "$$missing" ]; then
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	    echo "installing:$$missing"; { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y $$missing; } >/dev/null 2>&1 || true
	  fi
	  for c in $$missing; do command -v $$c >/dev/null || echo "note: $$c is missing; the tests that use it say so. Try: apt install $$c"; done
	fi

test: needs $(VENV)/.test
	$(BIN)/python -m pytest $(PARALLEL) $(if $(EVERY),,-m 'not variant') $(PYTEST_ARGS)
	$(MAKE) --no-print-directory test-newest

# The whole product again on the newest Python found, when that is another one. The long loops, and what runs in other interpreters anyway, run once only,
# above. Of a test with several parameters that starts processes one set is played on each Python, chosen by the seed that is printed; EVERY=1 plays them all.
test-newest:
	@newest=""; for p in python3.14 python3.13 python3.12 $$(ls -d "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/3.1[2-9]*/bin/python 2>/dev/null | sort -rV); do
	  if "$$p" -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null; then newest="$$p"; break; fi; done
	if [ -z "$$newest" ]; then echo "note: no Python newer than 3.11 found; the product was tested on $$($(BIN)/python -V) only"; exit 0; fi
	if [ "$$("$$newest" -c 'import sys; print(sys.version_info[:2])')" = "$$($(BIN)/python -c 'import sys; print(sys.version_info[:2])')" ]; then exit 0; fi
	$(MAKE) --no-print-directory VENV=.venv-newest PYTHON="$$newest" .venv-newest/.test
	.venv-newest/bin/python -m pytest $(PARALLEL) -m 'not slow and not once$(if $(EVERY),, and not variant and not unit_variant)' $(PYTEST_ARGS)

lint: $(VENV)/.lint $(VENV)/.test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/vermin --no-tips -t=3.8- --violations --backport typing \
	  src/flightlog/__init__.py src/flightlog/checkpoint.py src/flightlog/bytecode.py src/flightlog/later.py src/flightlog/sources.py src/flightlog/errors.py src/flightlog/records.py src/flightlog/identity.py src/flightlog/system.py \
	  src/flightlog/config/switch.py src/flightlog/config/control.py src/flightlog/config/compiled.py src/flightlog/config/gpu_page.py src/flightlog/config/quota.py src/flightlog/config/flow.py src/flightlog/config/gate.py src/flightlog/config/rollout.py src/flightlog/config/rollout_text.py src/flightlog/redact \
	  src/flightlog/journal src/flightlog/sdk src/flightlog/process

faults: $(VENV)/.test
	export FLIGHTLOG_FAULT_SEED=$${FLIGHTLOG_FAULT_SEED:-$$(( (RANDOM << 15 | RANDOM) + 1 ))} FLIGHTLOG_FAULT_ROUNDS=$${FLIGHTLOG_FAULT_ROUNDS:-20}
	export FLIGHTLOG_FAULT_REPORT=$${FLIGHTLOG_FAULT_REPORT:-$(CURDIR)/faults.md}
	echo "faults: seed $$FLIGHTLOG_FAULT_SEED (FLIGHTLOG_FAULT_SEED=$$FLIGHTLOG_FAULT_SEED make faults repeats it)"
	$(BIN)/python -m pytest -n $(FAULT_JOBS) --dist worksteal tests/faults tests/simulation tests/fuzz -m '' --timeout 3600 $(PYTEST_ARGS)

# Twenty minutes at 20,000 records a second from 8 processes, the database restarted every minute.
soak: $(VENV)/.test
	FLIGHTLOG_SOAK_SECONDS=$${FLIGHTLOG_SOAK_SECONDS:-1200} FLIGHTLOG_SOAK_RATE=$${FLIGHTLOG_SOAK_RATE:-20000} $(BIN)/python -m pytest tests/faults/test_soak.py -s -m '' $(PYTEST_ARGS)

mutants: $(VENV)/.test
	$(BIN)/python tests/mutants/breaking.py "$(MUTANT)"

bench: $(VENV)/.bench
	$(BIN)/python -m bench

# The peers in an environment of their own: their dependencies are none of ours.
.venv-peers/.done:
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/pip install --quiet supervisor circus honcho
	touch $@

bench-supervisors: $(VENV)/.bench .venv-peers/.done
	FLIGHTLOG_BENCH_PEERS=$(CURDIR)/.venv-peers/bin $(BIN)/python -m bench supervisors

# Frameworks that pipelines are written with, large ones: tests/acceptance/test_pipeline_programs.py plays them when they are here.
.venv-programs/.done:
	$(PYTHON) -m venv .venv-programs
	.venv-programs/bin/pip install --quiet scikit-learn luigi dagster prefect
	touch $@

programs: .venv-programs/.done $(VENV)/.test
	$(BIN)/python -m pytest tests/acceptance/test_pipeline_programs.py $(PYTEST_ARGS)

# The injected sitecustomize as PYTHONPATH names it: in a zip, uncompressed and without times, so that the same source makes the same bytes.
inject: $(VENV)/.base
	$(BIN)/python -c 'import zipfile as z; f = z.ZipFile("src/flightlog/sdk/inject.zip", "w"); f.writestr(z.ZipInfo("sitecustomize.py"), open("src/flightlog/sdk/inject/sitecustomize.py", "rb").read()); f.close()'

dev: $(VENV)/.test $(VENV)/.lint $(VENV)/.bench
	$(PIP) install pre-commit
	$(BIN)/pre-commit install

clean:
	rm -rf .venv .venv-newest .venv-peers .venv-programs .mypy_cache .ruff_cache .hypothesis

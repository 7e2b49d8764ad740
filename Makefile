# Everything runs in .venv, which the first command creates.
PYTHON ?= python3
SHELL := /bin/bash
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# Without --no-compile, pip compiles every module of every package, most of which nothing imports.
# Python compiles what is imported, once, unless that variable is set.
PIP := .venv/bin/python -m pip install --disable-pip-version-check --no-compile
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev lock repro use show test test-fast test-all lint bench soak

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-11s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/installed ## Create .venv and install requirements.lock (TORCH=cpu: without CUDA)

.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: $(PYTHON) is older than Python 3.11; run make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	@n=$$(grep -c == requirements.lock); \
	if [ "$(TORCH)" = cpu ] || [ "$$(uname -s)" = Darwin ]; then \
	  echo "Installing $$n packages into .venv: a download of about 0.5 GB."; \
	else \
	  echo "Installing $$n packages into .venv: a download of about 0.5 GB, and 3 GB of CUDA libraries."; \
	  command -v nvidia-smi >/dev/null || [ -e /proc/driver/nvidia ] || \
	    echo "No NVIDIA driver found: press Ctrl-C and run make setup TORCH=cpu to leave out those 3 GB."; \
	fi
	@$(PYTHON) -m venv .venv
# The pip that Python 3.11 brings needs twice the time to resolve the same lock.
	@$(PIP) --quiet "$$(grep ^pip== requirements.lock)"
# PyTorch's own index has builds without CUDA. It is asked for PyTorch alone: where a network blocks
# it, pip would wait for it at each package.
	@[ "$(TORCH)" != cpu ] || $(PIP) --no-deps \
	  --extra-index-url https://download.pytorch.org/whl/cpu "$$(grep ^torch== requirements.lock)"
	@$(PIP) -r requirements.lock
	@$(PIP) --quiet --no-deps --no-build-isolation -e .
	@touch $@

setup-dev: .venv/installed-dev ## Add requirements-dev.lock: what tests and linters need

.venv/installed-dev: .venv/installed requirements-dev.lock
	@$(PIP) -c requirements.lock -r requirements-dev.lock
	@touch $@

lock: ## Write both lock files in a new .venv, by pyproject.toml (Linux: without CUDA)
	$(PYTHON) -m venv --clear .venv
	$(PIP) --quiet --upgrade pip
	$(PIP) --quiet --no-deps --extra-index-url https://download.pytorch.org/whl/cpu "$$(grep -o 'torch==[0-9.]*' pyproject.toml)"
	$(PIP) --quiet -e '.[serve,plots,ssh]'
	pip freeze --all --exclude-editable | sed 's/+cpu$$//' > requirements.lock
	$(PIP) --quiet -c requirements.lock -e '.[serve,plots,ssh,dev]'
	pip freeze --all --exclude-editable | sed 's/+cpu$$//' | grep -vxFf requirements.lock > requirements-dev.lock
	@touch .venv/installed .venv/installed-dev

repro: setup ## Run the pipeline: from reviews to a trained and tested model
	@git rev-parse -q --verify HEAD >/dev/null || \
	  { echo "error: git has no commit here; unless it gives a reason above, run: git init && git add -A && git commit -m start"; exit 1; }
# DVC does not start if it was killed, or the disk was full, while it wrote that file.
	@python -m json.tool .dvc/tmp/rwlock /dev/null 2>/dev/null || rm -f .dvc/tmp/rwlock
	@dvc repro
	@stars show

use: setup ## Copy a preset over params.yaml: make use PRESET=notebook; without PRESET, list them
	@stars use $(PRESET)

show: setup ## Show the scores of the last run
	@stars show

test: setup-dev ## Run the tests
	python -m pytest -m "not thorough"

test-fast: setup-dev ## Run the tests that take no more than a second or two
	python -m pytest -m "not slow and not thorough"

test-all: test ## Run the tests, then those of DVC, git and servers, and more inputs
	python -m pytest -m thorough

lint: setup-dev ## Check style and types
	ruff check .
	ruff format --check .
	mypy

bench: setup ## Measure speed, memory and disk against the notebook's way
	python -m benchmarks

soak: setup-dev ## Kill every stage many times, and try 5,000 inputs in every test that draws them
	KILLS=20 FUZZ_EXAMPLES=5000 python -m pytest --timeout 7200 \
	  $$(grep -rlE --include='test_*.py' 'FUZZ_EXAMPLES|KILLS|soak' tests)

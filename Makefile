# Everything runs in .venv, which the first command makes.
PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.DEFAULT_GOAL := help
.PHONY: help setup repro use show test lint bench soak

help: ## Show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

setup: .venv/installed ## Make .venv and install requirements.lock into it

.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: $(PYTHON) is older than Python 3.11; type make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

repro: setup ## Run the pipeline: from reviews to a trained and tested model
	@git rev-parse -q --verify HEAD >/dev/null 2>&1 || \
	  { echo "error: this folder is no git checkout with a commit; type: git init && git add -A && git commit -m start"; exit 1; }
	dvc repro
	@stars show

use: setup ## Copy a preset over params.yaml: make use PRESET=notebook
	@stars use $(PRESET)

show: setup ## Show the scores of the last run
	@stars show

test: setup ## Run the tests
	python -m pytest

lint: setup ## Check the style and the types
	ruff check .
	ruff format --check .
	mypy

bench: setup ## Measure speed, memory and disk against the notebook's way
	python -m benchmarks

soak: setup ## Kill a training twenty times; it must end as if nothing had been
	KILLS=20 python -m pytest tests/test_resume.py

# `make repro` and `make test` need Python 3.11 or newer, make and git; everything else comes into .venv by itself.
PYTHON ?= python3
VENV := .venv
BIN := $(abspath $(VENV))/bin
READY := $(VENV)/.ready
JOBS ?= # cells at a time; as many as cores, or as params.yaml says, if not given
PROMPT ?= a large striped red star on sand banded , photo style

export PATH := $(BIN):$(PATH)
export PYTHONUTF8 := 1
export DVC_NO_ANALYTICS := 1

.PHONY: help setup repro study draw test test-long audit mutants lint format lock clean

help: ## what there is to make
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

setup: $(READY) ## the virtual environment with the locked packages

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r requirements.lock # compiled when imported
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

repro: $(READY) ## the paper's comparison: dvc repro, with JOBS cells at a time, then the summary
	DOPSD_JOBS=$(JOBS) $(BIN)/dvc repro
	@cat reports/tables/summary.md
	@echo
	@echo "Page: reports/index.html   Report: reports/REPORT.md   Comparison: reports/figures/comparison.png   Notebooks: reports/notebooks"

study: $(READY) ## the comparison in full, studies/full: half an hour of a GPU or two, a day of two cores; goes on where it was stopped
	DOPSD_JOBS=$(JOBS) $(BIN)/dvc repro studies/full/dvc.yaml
	@echo "Report: studies/full/reports/REPORT.md   Claims: studies/full/reports/claims.json"

draw: $(READY) ## pictures from the miniature: make draw PROMPT="a large red star on sand banded"
	$(BIN)/dopsd draw "$(PROMPT)" --pictures 8

test: lint ## the checks of the code, then all tests
	$(BIN)/python -m pytest -n 2 --dist worksteal

test-long: $(READY) ## the study under dvc in real processes: what runs again after which change, kills, experiments, remotes
	$(BIN)/python -m pytest -m long -n 2 --dist worksteal tests/long

audit: $(READY) ## which locked dependency has a known advisory (asks the package index)
	$(BIN)/python -m dopsd.support.audit

mutants: $(READY) ## faults put into the core one by one: which ones no test finds (hours; goes on where it was stopped)
	$(BIN)/python tests/mutants.py run --max-children $(or $(JOBS),2)
	$(BIN)/python tests/mutants.py results

lint: $(READY) ## the checks of the code: style, the rooms' arrows, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/pyright

format: $(READY) ## let ruff format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: $(READY) ## resolve requirements.lock again and put its versions into environment.yml
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes \
		--no-header --no-annotate --quiet --upgrade -o requirements.lock
	$(BIN)/python -m dopsd.support.environment

clean: ## remove the virtual environment; data and reports stay
	rm -rf $(VENV)

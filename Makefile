# Every target makes or refreshes its own environment first; nothing has to be set up by hand.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DOCS := $(VENV)/.docs-ready

.DEFAULT_GOAL := help
.PHONY: help setup bench smoke report example test check throughput gpu-check torture mutations outcomes lint types verify calibrate-statistics docs clean

help:  ## what each target does
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-20s %s\n", $$1, $$2}'

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "adaptbench needs Python 3.11 or later; say which with: make PYTHON=/path/to/python3.11"; exit 2; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

setup: $(READY)  ## make .venv with the pinned versions

bench: $(READY)  ## run experiments/default.toml (only what is missing) and write reports/default/README.md
	$(BIN)/bench run default

smoke: $(READY)  ## the same path on small settings, in a minute
	$(BIN)/bench run smoke

report: $(READY)  ## write the reports again from the results on disk
	$(BIN)/bench report

example: bench  ## write reports/example, which is committed, from the results of make bench
	rm -rf reports/example
	mkdir -p reports/example/results
	cp -R results/default results/.audits reports/example/results
	rm -rf reports/example/results/default/.tmp
	$(BIN)/bench report default --results reports/example/results --reports reports/example

test: $(READY)  ## the test suite, in three processes of one thread each: they wait now and then
	OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 3 --dist worksteal -q

throughput: $(READY)  ## the benchmarks: ratios measured on this machine, kept in results/throughput/
	mkdir -p results/throughput
	$(BIN)/python -m pytest tests/throughput -q -s --benchmark-enable --benchmark-only \
	  --benchmark-json=results/throughput/$$(date -u +%Y-%m-%dT%H-%M-%SZ).json

gpu-check: $(READY)  ## on a machine with an accelerator: canary, engines, timing pass, throughput, in 8 minutes
	OMP_NUM_THREADS=1 $(BIN)/python -W ignore -m tests.gpu_check

torture: $(READY)  ## 100 kills at random moments: nothing may be lost (KILLS=, SEED=)
	OMP_NUM_THREADS=1 $(BIN)/python -W ignore -m tests.torture $(or $(KILLS),100) $(or $(SEED),0)

mutations: $(READY)  ## edit one place of the code at a time, 60 times: the tests must notice (ONLY=)
	$(BIN)/python -m tests.mutations $(ONLY)

outcomes: $(READY)  ## note that the code changed and no number did (SUBJECTS=harness: that numbers did)
	$(BIN)/python -W ignore -m tests.outcomes_file $(SUBJECTS)

calibrate-statistics: $(READY)  ## size and power of the report's test, by simulation (STREAMS=)
	OMP_NUM_THREADS=1 $(BIN)/python -W ignore -m tests.statistics_calibration $(or $(STREAMS),1000)

verify: $(READY)  ## recompute the calibration tables
	$(BIN)/bench verify

$(DOCS): $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	@touch $@

docs: $(DOCS)  ## build the documentation as a site in build/site; a warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -W ignore -m mkdocs build --strict --quiet
	@echo build/site/index.html

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

check: lint types test  ## what CI runs: lint, types, tests

clean:  ## remove the environment and caches; results and reports stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .hypothesis

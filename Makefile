# Two commands do everything on a fresh machine: `make demo` and `make test`.

PYTHON ?= python3.11
VENV   ?= .venv
BIN    := $(VENV)/bin
SOURCE ?= deploy/demo/people.mp4
UP     ?=
JOBS   ?= 4
ROUNDS ?= 1
MINUTES ?= 30

.PHONY: help demo test check format bench chaos soak scale images audit clean
.DEFAULT_GOAL := help

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: $(VENV)/up.stamp ## emotions of the people in a clip; SOURCE=my.mp4 or SOURCE=0 (camera), UP="more flags"
	@$(BIN)/emotion-up '$(SOURCE)' $(UP)

# More processes than two cores: many tests wait for a time-out, a server or a camera. The order of
# the files is that of tests/conftest.py; by itself xdist begins with those that hold most tests.
test: check ## every test, after `make check`; TESTS=tests/unit, JOBS=8
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(TESTS)

check: $(VENV)/dev.stamp ## lint, format, types, who may import whom
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(VENV)/dev.stamp ## put the code into the one format
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(VENV)/dev.stamp ## frames/s, efficiency and latency beside the naive loop; BENCH="--only latency", --help
	@$(BIN)/python -m tests.benchmarks $(BENCH)

chaos: $(VENV)/dev.stamp ## kill and cut everything, then look what was lost; ROUNDS=10, CHAOS="--seed 7"
	@$(BIN)/python -m tests.chaos --rounds $(ROUNDS) $(CHAOS)

soak: $(VENV)/dev.stamp ## memory of every process over MINUTES=30, as a picture; SOAK="more flags"
	@$(BIN)/python -m tests.chaos.soak --minutes $(MINUTES) $(SOAK)

scale: $(VENV)/dev.stamp ## workers come and go with 1 -> 20 -> 0 cameras, as KEDA has it; SCALE="more flags"
	@$(BIN)/python -m tests.scaling $(SCALE)

images: $(VENV)/dev.stamp ## install and try what each image holds, without a container; IMAGES="producer view"
	@$(BIN)/python -m tests.images $(IMAGES)
	@EMOTION_TEST_IMAGES=1 $(BIN)/python -m pytest -q tests/integration/test_images.py

audit: $(VENV)/dev.stamp ## known vulnerabilities of what the images install; AUDIT="--vulnerability-service osv"
	@PATH="$(CURDIR)/$(BIN):$$PATH" deploy/images/audit.sh $(AUDIT)

clean: ## remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

# An editable install, again whenever the dependencies change. A stamp per set of extras: the demo
# must not wait for the developers' tools.
$(VENV)/bin/python:
	@command -v $(PYTHON) >/dev/null || { echo "make: needs $(PYTHON) (or PYTHON=python3.12 make ...)"; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/up.stamp: pyproject.toml | $(VENV)/bin/python
	@echo "Installing into $(VENV) (TensorFlow is about 600 MB; once only) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[up]'
	@touch $@

$(VENV)/dev.stamp: pyproject.toml | $(VENV)/bin/python
	@echo "Installing into $(VENV) (TensorFlow is about 600 MB; once only) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(VENV)/up.stamp

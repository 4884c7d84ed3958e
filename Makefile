# Every target sets up .venv by itself; nothing needs to be installed first but python3 (3.11 to 3.13) and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RAY_VENV := .venv-ray
STAMP := $(VENV)/.installed
SEED ?= 0
DEMO ?= demo/seed$(SEED)
# Two busy threads on two shared cores slow each other down; the tests want one.
ONE_THREAD := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

.PHONY: help setup demo test ray-test lint format bench bench-quick lock clean
help:            ## this list
	@grep -E '^[a-z-]+: .*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

setup: $(STAMP)  ## make .venv with everything that is pinned in requirements.lock
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "anomsynth needs Python 3.11 to 3.13; say which one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Setting up $(VENV); this takes a minute or two, once."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@# uv is quick but does not read pip's configuration; pip itself steps in where only that names the registry.
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --requirement requirements.lock || \
	  $(BIN)/python -m pip install --quiet --require-hashes --requirement requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable . || \
	  $(BIN)/python -m pip install --quiet --no-deps --editable .
	@touch $@

demo: $(STAMP)   ## the main job on a world that it draws itself: toy, build, train, eval before and after
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh benchmarks/demo.sh $(DEMO) $(SEED)

test: lint       ## lint, types, import law and all tests, warnings as errors
	$(ONE_THREAD) $(BIN)/python -m pytest -q --numprocesses 2

ray-test: $(STAMP) ## the tests of --engine ray, with the extra `cluster` in a virtual environment of its own
	@test -x $(RAY_VENV)/bin/python || $(PYTHON) -m venv $(RAY_VENV)
	@$(BIN)/uv pip install --quiet --python $(RAY_VENV)/bin/python --requirement requirements.lock || \
	  $(RAY_VENV)/bin/python -m pip install --quiet --require-hashes --requirement requirements.lock
	@$(BIN)/uv pip install --quiet --python $(RAY_VENV)/bin/python --editable '.[cluster]' || \
	  $(RAY_VENV)/bin/python -m pip install --quiet --editable '.[cluster]'
	$(ONE_THREAD) $(RAY_VENV)/bin/python -m pytest -q tests/pipelines/test_ray.py

lint: $(STAMP)   ## ruff, mypy --strict on the five packages, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP) ## let ruff put the code in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP)  ## ratios to peers and to the floor on this machine, 20 minutes; bench-quick takes 3
	$(ONE_THREAD) $(BIN)/python benchmarks/main_job.py
	$(ONE_THREAD) $(BIN)/python benchmarks/synthesis.py $(if $(CITYSCAPES),--cityscapes $(CITYSCAPES) --coco $(COCO))
	$(ONE_THREAD) $(BIN)/python benchmarks/delta.py $(if $(CITYSCAPES),--cityscapes $(CITYSCAPES) --coco $(COCO))
	$(ONE_THREAD) $(BIN)/python benchmarks/streaming.py $(if $(CITYSCAPES),--cityscapes $(CITYSCAPES))
	$(ONE_THREAD) $(BIN)/python benchmarks/component.py
	$(ONE_THREAD) $(BIN)/python benchmarks/evaluation.py $(if $(BENCHMARKS),--data $(BENCHMARKS) --weights $(WEIGHTS))
	$(ONE_THREAD) $(BIN)/python benchmarks/metrics.py

bench-quick: $(STAMP)
	$(ONE_THREAD) $(BIN)/python benchmarks/component.py
	$(ONE_THREAD) $(BIN)/python benchmarks/evaluation.py --frames 4
	$(ONE_THREAD) $(BIN)/python benchmarks/metrics.py --frames 5

lock:            ## renew requirements.lock (Python 3.11 to 3.13, hashes, no index named)
	@test -x $(BIN)/uv || { $(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip install --quiet uv; }
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-emit-find-links --extra dev --custom-compile-command "make lock" --output-file requirements.lock pyproject.toml

clean:           ## remove what the demo and the tests left, and .venv
	rm -rf demo $(VENV) $(RAY_VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

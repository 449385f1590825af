PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup demo test test-slow check docs build clean

setup: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: setup demo/model ## A sweep to its end on a CPU
	HF_HUB_OFFLINE=1 $(BIN)/cogx-runs sweep benchmarks/demo.yaml --model demo/model --device cpu
	@echo "Random weights: the videos are noise, and every number above is MEANINGLESS. Look at them with:"
	@echo "    $(BIN)/cogx-runs ui demo_meaningless"

demo/model: | setup
	rm -rf demo
	$(BIN)/python benchmarks/random_model.py demo/unfinished
	mv demo/unfinished $@

test: setup ## The default suite
	$(BIN)/pytest --numprocesses 2 --dist worksteal

test-slow: setup ## What takes longer than the default suite allows
	$(BIN)/pytest -m slow

check: setup ## Lint, types and generated docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/cog --check $(GENERATED)

GENERATED := docs/commands.md docs/sweep-files.md

docs: setup ## Write the generated parts of the docs again
	$(BIN)/cog -r $(GENERATED)

build: setup ## The wheel
	$(BIN)/python -m build --wheel

clean:
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache

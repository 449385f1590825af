PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup demo test test-slow check docs build clean

setup: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: setup ## A sweep to its end on a CPU
	$(BIN)/cogx-runs sweep sweeps/guidance.yaml --model toy

test: setup ## The default suite
	$(BIN)/pytest --numprocesses 2 --dist worksteal

test-slow: setup ## What takes longer than the default suite allows
	$(BIN)/pytest -m slow

check: setup ## Lint, types and generated docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/cog --check -P $(GENERATED)

GENERATED := README.md docs/commands.md docs/sweep-files.md

docs: setup ## Write the generated parts of the docs again
	$(BIN)/cog -r -P $(GENERATED)

build: setup ## The wheel
	$(BIN)/python -m build --wheel

clean:
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache

PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help setup demo study screenshots bench faults server format check test test-slow docs build clean

help: ## This list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

setup: .venv/installed ## The environment in .venv, of the tested versions

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: setup ## A sweep of the toy model and its report, on a CPU in under a minute
	HF_HUB_OFFLINE=1 $(BIN)/cogx-runs sweep sweeps/demo.yaml --model toy --device cpu
	HF_HUB_OFFLINE=1 $(BIN)/cogx-runs report sweeps/demo.yaml -o report
	@echo "Look at it:  $(BIN)/cogx-runs ui sweeps/demo.yaml"

study: setup ## The whole study with the toy model on a CPU
	HF_HUB_OFFLINE=1 $(BIN)/cogx-runs sweep sweeps/study.yaml --model toy --device cpu
	@echo "Look at it:  $(BIN)/cogx-runs ui sweeps/study.yaml"

screenshots: setup ## The pictures of the README, of the study's sweeps of one prompt in a browser
	HF_HUB_OFFLINE=1 $(BIN)/cogx-runs sweep $(addprefix sweeps/,demo.yaml guidance.yaml steps.yaml seed.yaml frames.yaml) --model toy --device cpu
	$(BIN)/python docs/screenshots.py

bench: setup ## A loop of one process a video against cogx-runs, both with the toy model on a CPU
	$(BIN)/python -m benchmarks.bench --model toy --device cpu --sweeps sweeps/guidance.yaml sweeps/steps.yaml

faults: setup ## Inject each fault for real, and write docs/reliability.md; one row: make faults ONLY=kills
	$(BIN)/python -m benchmarks.faults --write $(addprefix --only ,$(ONLY))

server: setup ## A tracking server on PostgreSQL with a login, in server/data: docs/server.md
	$(BIN)/python server/start.py server/data

format: setup ## Lay out the code and mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

GENERATED := CONTRIBUTING.md docs/api.md docs/cards.md docs/commands.md docs/numbers.md docs/searching.md docs/statistics.md docs/sweep-files.md

check: setup ## Lint, layout, types, and that the generated docs are current
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/cog --check $(GENERATED)

test: setup ## The default suite
	$(BIN)/pytest --numprocesses 3 --dist worksteal

test-slow: setup ## What takes longer than the default suite allows
	$(BIN)/pytest -m slow

docs: setup ## Write the generated parts of the docs again
	$(BIN)/cog -r $(GENERATED)

build: setup ## The sdist, and the wheel made of it, in dist/
	$(BIN)/python -m build

clean: ## Remove what was built and what the checks have cached
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache

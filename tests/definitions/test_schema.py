"""The JSON Schema of sweep files takes what the program takes, and refuses what the program refuses."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from cogx_runs.cli import cli
from cogx_runs.definitions.document import read_document
from cogx_runs.definitions.schema import sweep_schema
from cogx_runs.definitions.sweep import load_sweeps
from cogx_runs.errors import InputError
from tests.support.paths import ROOT
from tests.support.sweep_files import write

HEAD = "name: a\nprompts: [panda_guitar]\n"


@pytest.fixture(scope="module")
def schema() -> Draft202012Validator:
    Draft202012Validator.check_schema(sweep_schema())
    return Draft202012Validator(sweep_schema())


def test_every_shipped_file_is_valid(schema: Draft202012Validator) -> None:
    files = sorted((ROOT / "sweeps").rglob("*.yaml"))

    assert len(files) > 10
    for file in files:
        schema.validate(read_document(file).root.value())


@pytest.mark.parametrize(
    "text",
    [
        "axes: {guidance_scale: [1, 6.5], cache: [null, pab], seed: {count: 3}}",
        "vary: grid\naxes: {size: {zip: {width: [480, 720], height: [320, 480]}}, seed: [1, 2]}",
        "vary: random\nrandom: {count: 2}\naxes: {fps: [4, 8]}",
        "vary: optuna\noptuna: {trials: 3, objectives: [clip_score], seeds: {count: 2, start: 7}}\n"
        "axes: {guidance_scale: {low: 1, high: 12, log: true}, scheduler: [ddim, dpm]}",
        "base: {lora: [{source: toy, scale: 0.5}], num_frames: null}\nmax_prompts: 9\nextra_metrics: [dynamic_degree]",
        "random: null",
    ],
    ids=["axes", "tied", "random", "optuna", "base", "null"],
)
def test_what_the_program_takes_is_valid(schema: Draft202012Validator, tmp_path: Path, text: str) -> None:
    file = write(tmp_path / "a.yaml", HEAD + text)

    assert load_sweeps([file])
    schema.validate(read_document(file).root.value())


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("steps: [1]", ""),
        ("base: {num_inference_steps: 0}", "base.num_inference_steps"),
        ("base: {scheduler: euler}", "base.scheduler"),
        ("axes: {guidence_scale: [1, 6]}", "axes.guidence_scale"),
        ("axes: {fast: [true, false]}", "axes.fast"),
        ("axes: {guidance_scale: 6}", "axes.guidance_scale"),
        ("axes: {scheduler: {low: 1, high: 2}}", "axes.scheduler"),
        ("axes: {seed: {count: 0}}", "axes.seed"),
        ("axes: {size: {zip: {width: [480]}}}", "axes.size.zip"),
        ("vary: random", ""),
        ("optuna: {trials: 3, objectives: [clip_score]}", "optuna"),
        ("vary: optuna\nprimary: ''", "primary"),
    ],
    ids=lambda text: str(text),
)
def test_what_the_program_refuses_is_invalid(
    schema: Draft202012Validator, tmp_path: Path, text: str, place: str
) -> None:
    file = write(tmp_path / "a.yaml", HEAD + text)

    with pytest.raises(InputError):
        load_sweeps([file])
    assert place in {error.json_path[2:] for error in schema.iter_errors(read_document(file).root.value())}


def test_the_command_prints_it() -> None:
    printed = CliRunner().invoke(cli, ["schema"])

    assert json.loads(printed.stdout) == sweep_schema()

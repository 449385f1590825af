"""Values of a sweep file: each is what YAML 1.2 says, or is refused with its line and what to write instead."""

from pathlib import Path

import pytest

from cogx_runs.definitions.sweep import load_sweeps
from cogx_runs.errors import Mistake
from tests.support.sweep_files import mistakes_in, write


def told(tmp_path: Path, text: str) -> list[str]:
    """The mistakes in this file as they are printed, without its folder."""
    file = write(tmp_path / "x.yaml", text)
    return [str(mistake).removeprefix(f"{tmp_path}/") for mistake in mistakes_in(file)]


def test_numbers_are_those_of_yaml_1_2(tmp_path: Path) -> None:
    file = write(
        tmp_path / "x.yaml", "name: 'on'\nprompts: [no]\naxes: {seed: [007, 010, 042], guidance_scale: [1e1, 1e-3]}\n"
    )

    (sweep,) = load_sweeps([file])

    assert (sweep.name, sweep.prompts) == ("on", ("no",))
    assert sweep.axes == {"seed": (7, 10, 42), "guidance_scale": (10.0, 0.001)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name: 007\nprompts: all\n", ["x.yaml:1: name: must be a text, and 007 is a number; write '007', in quotes"]),
        (
            "name: a\nprompts:\n- true\n- a\n- 1e1\n",
            [
                "x.yaml:3: prompts.0: must be a text, and true is true or false; write 'true', in quotes",
                "x.yaml:5: prompts.2: must be a text, and 1e1 is a number; write '1e1', in quotes",
            ],
        ),
        (
            "name: a\nprompts: all\nbase:\n  revision: 1234567\n  vae_tiling: on\n  model: null\n",
            [
                "x.yaml:6: base.model: must be a text, not null",
                "x.yaml:4: base.revision: must be a text, and 1234567 is a number; write '1234567', in quotes",
                "x.yaml:5: base.vae_tiling: must be true or false (got 'on')",
            ],
        ),
        (
            "name: a\nprompts: all\naxes:\n  seed:\n  - 1\n  - 1:30\n  model: [2b, 5]\n",
            [
                "x.yaml:6: axes.seed.1: must be a whole number (got '1:30')",
                "x.yaml:7: axes.model.1: must be a text, and 5 is a number; write '5', in quotes",
            ],
        ),
        ("name: a\nprompts: all\nbase: {fsp: 1}\n", ["x.yaml:3: base.fsp: unknown key; did you mean 'fps'?"]),
        ("name: a\n\nbase: {}\n", ["x.yaml:prompts: is required"]),
        (
            "name: a\nprompts: [a, a]\naxes: {height: [9000000]}\n",
            [
                "x.yaml:2: prompts: names a more than once",
                "x.yaml:3: axes.height.0: Input should be less than or equal to 65536 (got 9000000)",
            ],
        ),
        (
            'name: a\nprompts: all\nbase: {negative_prompt: "\\ud800"}\n',
            ["x.yaml:3: base.negative_prompt: is not UTF-8 at character 1; write that character anew"],
        ),
        (
            "name: a\nprompts: all\nbase: {model: ~nobody_here/x}\n",
            ["x.yaml:3: base.model: names no user's folder: ~nobody_here"],
        ),
        (
            f"name: a\nprompts: all\nbase: {{clip_model: {'n' * 300}}}\n",
            ["x.yaml:3: base.clip_model: is longer than a file's name can be"],
        ),
        ("name: a\nprompts: all\ndescription: 2001-13-45\nvary: x\n", None),
    ],
)
def test_a_mistake_is_told_with_its_line_and_what_to_write_instead(
    tmp_path: Path, text: str, expected: list[str] | None
) -> None:
    found = told(tmp_path, text)

    assert found == expected or (expected is None and [line.partition(": ")[0] for line in found] == ["x.yaml:4"])


def test_a_zip_may_repeat_a_value_and_no_combination(tmp_path: Path) -> None:
    axes = "name: z\nprompts: all\nvary: zip\naxes: {{seed: [1, 1, 2], fps: [{}]}}\n"
    pairs = write(tmp_path / "pairs.yaml", axes.format("1, 6, 6"))
    twice = write(tmp_path / "twice.yaml", axes.format("6, 6, 1"))

    assert load_sweeps([pairs])[0].axes == {"seed": (1, 1, 2), "fps": (1, 6, 6)}
    assert mistakes_in(twice) == (Mistake(f"{twice}:axes", "gives (1, 6) more than once"),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "axes: {guidance_scale: {low: 1, high: 12, step: 5.0e-324}}",
            ["x.yaml:3: axes.guidance_scale: holds more than 100,000 values; give it a larger step, or other ends"],
        ),
        (
            "axes: {num_frames: {low: 9, high: 1000000000}}",
            [
                "x.yaml:3: axes.num_frames: holds more than 100,000 values; give it a larger step, or other ends",
                "x.yaml:3: axes.num_frames.high: Input should be less than or equal to 65536 (got 1000000000)",
            ],
        ),
        (
            f"axes: {{guidance_scale: {{low: 1, high: 1{'0' * 90}}}}}",
            ["x.yaml:3: axes.guidance_scale.high: must be a number from -1e18 to 1e18 (got a number of 91 digits)"],
        ),
        (
            "axes: {guidance_scale: {low: 1, high: 1e400}}",
            ["x.yaml:3: axes.guidance_scale.high: must be a number from -1e18 to 1e18 (got inf)"],
        ),
    ],
)
def test_a_range_has_ends_and_at_most_a_hundred_thousand_values(tmp_path: Path, text: str, expected: list[str]) -> None:
    search = "vary: optuna\noptuna: {trials: 2, objectives: [clip_score]}\n"

    assert told(tmp_path, f"name: a\nprompts: all\n{text}\n{search}") == expected


@pytest.mark.parametrize(
    "text",
    [
        f"name: a\nprompts: [{', '.join(['p'] * 19_000)}]\n",
        f"name: a\nprompts: all\naxes: {{seed: [{', '.join(['1'] * 19_000)}]}}\n",
        f"name: a\nprompts: all\naxes: {{seed: [{', '.join(['x'] * 19_000)}]}}\n",
        f"name: a\nprompts: all\nbase: {{negative_prompt: {'x' * 900_000}, seed: {'y' * 90_000}}}\n",
    ],
    ids=["prompts", "one seed", "no seeds", "long texts"],
)
def test_many_mistakes_are_told_shortly(tmp_path: Path, text: str) -> None:
    lines = told(tmp_path, text)

    assert len(lines) <= 101
    assert max(map(len, lines)) < 600

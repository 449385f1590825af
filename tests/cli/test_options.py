"""Options of the command line: one value each, read as in a sweep file, texts as they are."""

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cogx_runs.cli import cli


def plan(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["plan", "seed", "--no-store", "--device", "cpu", "--json", *arguments])


def config(*arguments: str) -> dict[str, object]:
    result = plan(*arguments)
    assert result.exit_code == 0, result.output
    found: dict[str, object] = json.loads(result.stdout)["runs"][0]["config"]
    return found


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("negative_prompt=ugly #1 artifacts", "ugly #1 artifacts"),
        ("negative_prompt=null", "null"),
        ("negative_prompt=[a, b]: {c}", "[a, b]: {c}"),
        ("negative_prompt= a = b ", " a = b "),
        ("negative_prompt='quoted'", "'quoted'"),
        ("negative_prompt=😀", "😀"),
        ("negative_prompt=", ""),
        ("scheduler=dpm", "dpm"),
        ("scheduler=null", "ddim"),
        ("video_quality=1e0", 1.0),
        ("vae_slicing=false", False),
        ("height=null", 480),
    ],
)
def test_a_setting_of_a_text_is_taken_as_it_is_and_any_other_read(setting: str, value: object, project: Path) -> None:
    assert config("--set", setting)[setting.partition("=")[0]] == value


@pytest.mark.parametrize("arguments", [["--fps", "010"], ["--set", "fps=010"]])
def test_an_option_and_a_setting_read_a_number_alike(arguments: list[str], project: Path) -> None:
    assert config(*arguments)["fps"] == 10


@pytest.mark.parametrize(
    ("arguments", "where", "message"),
    [
        (["--fps", "8", "--set", "fps=8"], "--set fps=8", "--fps gives fps too; give it once"),
        (["--set", "fps=8", "--set", " fps =9"], "--set  fps =9", "--set fps=8 gives fps too; give it once"),
        (["--seed", "1_0"], "(command line):seed", "must be a whole number (got '1_0')"),
        (["--seed", "9" * 5000], "--seed", "is a number of 5,000 characters, and 100 are the most"),
        (["--set", "vae_tiling=on"], "(command line):vae_tiling", "must be true or false (got 'on')"),
        (["--set", "negative_prompt=\udce9"], "--set negative_prompt=\udce9", None),
        (["--set", "\udce9=1"], "--set \udce9=1", "is not UTF-8 at character 1; write that character anew"),
        (["--model", "~nobody_here/x"], "(command line):model", "names no user's folder: ~nobody_here"),
        (["--model", "m" * 300], "(command line):model", "is longer than a file's name can be"),
        (["--clip-model", "m" * 300], "(command line):clip_model", "is longer than a file's name can be"),
        (["--prompts", "p" * 300], "(input)", f"--prompts {'p' * 47}...{'p' * 48}: no such folder"),
        (["--set", "height=" + "9" * 30], "(command line):height", None),
        (["x" * 300], "x" * 300, None),
    ],
)
def test_a_wrong_option_is_one_clear_line(arguments: list[str], where: str, message: str | None, project: Path) -> None:
    result = plan(*arguments)

    (advice,) = json.loads(result.stdout)["advice"]
    assert (result.exit_code, advice["where"]) == (2, where)
    assert message in (advice["message"], None)
    assert len(advice["message"]) < 300


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (["--seed", "1", "--seed", "1"], "--seed"),
        (["--steps", "10", "--num-inference-steps", "20"], "--steps"),
        (["--device", "cpu"], "--device"),
        (["--prompts", "a", "--prompts", "b"], "--prompts"),
    ],
)
def test_an_option_that_takes_one_value_is_not_given_twice(arguments: list[str], option: str, project: Path) -> None:
    result = plan(*arguments)

    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == f"Error: {option} is given twice; give it once"


def test_a_flag_may_be_repeated(project: Path) -> None:
    assert plan("--json", "--no-store").exit_code == 0


@pytest.mark.parametrize("option", ["--workers", "--ray-address"])
def test_an_option_of_ray_without_it_is_one_clear_line(option: str) -> None:
    result = CliRunner().invoke(cli, ["sweep", "seed", option, "2"])

    assert (result.exit_code, result.stderr.strip()) == (2, f"Error: {option}: is of --executor ray; give that too")


def test_where_ray_is_not_installed_the_line_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)

    result = CliRunner().invoke(cli, ["sweep", "seed", "--executor", "ray"])

    assert "Ray is not installed; pip install 'cogx-runs[ray]'" in result.stderr

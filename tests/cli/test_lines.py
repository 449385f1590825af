"""Where a mistake or an advice is: with its line for a reader, without it in JSON."""

import json
from pathlib import Path

from click.testing import CliRunner

from cogx_runs.cli import cli

FILE = "name: a\nprompts: [panda_guitar]\n\naxes:\n  num_frames: [9, 10]\n"


def test_an_advice_is_printed_with_the_line_of_its_value_and_in_json_without(project: Path) -> None:
    (project / "a.yaml").write_text(FILE)

    printed = CliRunner().invoke(cli, ["plan", "a.yaml", "--no-store", "--device", "cpu"])
    as_json = CliRunner().invoke(cli, ["plan", "a.yaml", "--no-store", "--device", "cpu", "--json"])

    message = "10 frames would come back as 9; use 9 or 17"
    assert f"error a.yaml:5: axes.num_frames: {message}" in printed.stdout
    advice = json.loads(as_json.stdout)["advice"][0]
    assert advice == {"level": "error", "where": "a.yaml:axes.num_frames", "message": message}


def test_a_prompt_that_is_not_there_is_told_with_the_line_of_its_name(project: Path) -> None:
    (project / "a.yaml").write_text("name: a\nprompts:\n- panda_guitar\n- panda_guitarr\n")

    stopped = CliRunner().invoke(cli, ["plan", "a.yaml", "--no-store"])
    as_json = CliRunner().invoke(cli, ["plan", "a.yaml", "--no-store", "--json"])

    assert stopped.stderr.startswith("a.yaml:4: prompts.1: no prompt 'panda_guitarr' in ")
    assert json.loads(as_json.stdout)["advice"][0]["where"] == "a.yaml:prompts.1"

"""The command that makes a run again: pasted into a shell it plans the same cell."""

import json
import shlex

import pytest
from click.testing import CliRunner

from cogx_runs.cli import cli
from cogx_runs.definitions.prompts import Prompt
from cogx_runs.tracking.record import command
from tests.support.specs import SPEC


@pytest.mark.parametrize(
    ("prompt", "negative_prompt"),
    [
        ("A panda plays.", ""),
        ("panda", "ugly #1 artifacts"),
        ("--steps 3 of a dance", "--x"),
        ("-", "😀 {a: [b"),
        ("😀", "'quoted' \"twice\" $HOME `ls`"),
        ("it's 50% \\ done", "null"),
        ("panda_guitar", " spaces  within "),
    ],
)
def test_a_command_plans_the_cell_again_whatever_its_texts_hold(
    prompt: str, negative_prompt: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned: list[tuple[str, dict[str, object]]] = []
    monkeypatch.setattr("cogx_runs.api.plan_one", lambda text, **options: planned.append((text, options)) or 1 / 0)
    spec = SPEC.replace(prompt=prompt, negative_prompt=negative_prompt, vae_tiling=False, video_quality=0.7 + 0.6)

    line = command(spec)
    with pytest.raises(ZeroDivisionError):
        CliRunner().invoke(cli, shlex.split(line)[1:], catch_exceptions=False)

    ((text, options),) = planned
    overrides = options["overrides"]
    assert isinstance(overrides, dict)
    assert (text, options["as_text"]) == (prompt, " " not in prompt)
    assert overrides.get("negative_prompt", "") == negative_prompt
    assert (overrides["vae_tiling"], overrides["video_quality"]) == (False, 0.7 + 0.6)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("A Panda, playing the guitar in a neon-lit street", "a_panda_playing_the_guitar_in_a_neon_lit"),
        ("😀 🐼", "grinning_face_space_panda_face"),
        ("!!!", "exclamation_mark_exclamation_mark_exclam"),
        ("猫が跳ぶ", "猫が跳ぶ"),
        ("\U000f0000", "sign"),
    ],
)
def test_a_text_has_a_name_also_where_it_has_no_words(text: str, name: str) -> None:
    assert Prompt.of_text(text) == Prompt(name, text, "(command line)")


@pytest.mark.parametrize("arguments", [["caf\udce9 au lait"], ["\udce9", "--as-text"], ["nothing\udce9"]])
def test_a_prompt_that_is_not_utf_8_is_one_clear_line(arguments: list[str], project: object) -> None:
    result = CliRunner().invoke(cli, ["generate", *arguments, "--json"])

    (advice,) = json.loads(result.stdout)["advice"]
    assert result.exit_code == 2
    assert "is not UTF-8 at character" in advice["message"] or "no prompt 'nothing\\udce9'" in advice["message"]

"""What is printed: the user's names and texts are shown, and no terminal obeys them."""

import ast
import json
import re
from io import StringIO
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.table import Table

import cogx_runs.cli
from cogx_runs.cli import cli
from cogx_runs.cli.consoles import SafeConsole
from cogx_runs.cli.json_output import print_json

RED = "\x1b[31m"
PRINTING = {"click.echo", "click.secho", "Console", "print"}


def test_names_and_texts_of_a_sweep_do_not_reach_the_terminal_raw(project: Path) -> None:
    (project / f"a{RED}.yaml").write_text('name: a\nprompts: ["p\\e[31m\\u202e"]\n"key\\e[2J": 1\n')

    result = CliRunner().invoke(cli, ["plan", f"a{RED}.yaml", "--no-store"])

    assert result.exit_code == 2
    assert "\x1b" not in result.output
    assert "a\\u001b[31m.yaml:3: key\\u001b[2J: unknown key" in result.stderr


@pytest.mark.parametrize("arguments", [["doctor", "\x1b]0;x"], ["plan", "seed", "--device", RED], ["plan", f"--{RED}"]])
def test_what_click_refuses_does_not_reach_the_terminal_raw(arguments: list[str], project: Path) -> None:
    result = CliRunner().invoke(cli, arguments)

    assert result.exit_code == 2
    assert "\x1b" not in result.output
    assert re.search(r"\\(u00|x)1b", result.stderr)


def test_json_holds_such_characters_as_its_own_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    text = "\x1b\x9b\x7f\u202e\ud800 猫"

    print_json({"text": text})

    printed = capsys.readouterr().out
    assert json.loads(printed) == {"text": text}
    assert printed == '{\n  "text": "\\u001b\\u009b\\u007f\\u202e\\ud800 猫"\n}\n'


def test_a_console_writes_its_own_colours_and_none_of_a_cells() -> None:
    console = SafeConsole(file=StringIO(), force_terminal=True, color_system="standard", width=60, highlight=False)
    table = Table(f"head{RED}")
    table.add_row(f"[green]cell[/]{RED}\x9b")

    console.print(table)
    console.print(f"line{RED}", markup=False)

    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert printed.count("\\u001b[31m") == 3
    assert RED not in printed
    assert "\x1b[32mcell" in printed


def test_every_line_is_printed_by_echo_or_by_a_safe_console() -> None:
    folder = Path(cogx_runs.cli.__file__).parent
    printing = set()
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in PRINTING:
                printing.add(path.name)

    assert printing == {"terminal.py"}

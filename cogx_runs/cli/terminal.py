"""Prints lines; what names and texts hold is shown, and no terminal obeys it.

The consoles of rich are in `consoles`: importing it here would load rich with every command.
"""

import shlex

import click

from cogx_runs.formatting import MINUS, printable


def shown(text: str) -> str:
    """Writes a text as a terminal shows it and a shell or a script reads it: signs are plain minus signs."""
    return printable(text).replace(MINUS, "-")


def echo(line: object, *, err: bool = False) -> None:
    """Prints a line on stdout, or on stderr. Every line of the command line goes through here or through a console."""
    click.echo(shown(str(line)), err=err)


def echo_json(text: str) -> None:
    """Prints JSON on stdout, whose texts keep every sign that a terminal does not obey."""
    click.echo(printable(text))


def command_line(*arguments: str) -> str:
    """Writes a command of this program as it can be pasted into a shell: `cogx-runs ui 'a sweep'`."""
    return shlex.join(["cogx-runs", *arguments])

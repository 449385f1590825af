"""Consoles on which tables, bars and styled lines are printed."""

import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from cogx_runs.cli.terminal import shown


class SafeConsole(Console):
    """A console on which the texts of a table or a line cannot act: rich's own colours and movements alone do."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Makes a text of a string, before its width is measured."""
        return super().render_str(shown(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Renders into segments of which those with text hold only what can be printed."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=shown(segment.text))


def stdout(width: int = 160) -> Console:
    """Returns the console for results, `width` columns wide where stdout is no terminal."""
    return SafeConsole(width=None if sys.stdout.isatty() else width, highlight=False)


def stderr() -> Console:
    """Returns the console for advice and progress."""
    return SafeConsole(stderr=True, highlight=False)

"""How records and clips are shown in a notebook."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    import pandas as pd

EMBED_LIMIT_MB = 50
"""Size of the videos that one cell of a notebook holds; the others are named."""


class Row(Protocol):
    """A record that is a row of a table."""

    def row(self) -> Mapping[str, Any]:
        """Returns what the table shows of it, by heading."""


T = TypeVar("T", bound=Row)


class Records(list[T]):
    """A list that a notebook shows as a table, a row a record."""

    def _repr_html_(self) -> str:
        return table_html(self)


class Clips:
    """Videos side by side, each with its run's name, embedded in the notebook."""

    def __init__(self, clips: Sequence[tuple[str, Path | None]]) -> None:
        """Takes the names and the files, None for a run without a video here."""
        self.clips = tuple(clips)

    def __repr__(self) -> str:
        return f"{len(self.clips)} clips"

    def _repr_html_(self) -> str:
        left, shown = EMBED_LIMIT_MB * 1e6, []
        for name, file in self.clips:
            size = file.stat().st_size if file is not None and file.is_file() else None
            picture = "no video here" if size is None else f"{size / 1e6:.1f} MB: {escape(str(file))}"
            if file is not None and size is not None and size <= left:
                left -= size
                picture = (
                    '<video controls loop muted autoplay style="width: 240px" src="data:video/mp4;base64,'
                    f'{base64.b64encode(file.read_bytes()).decode()}"></video>'
                )
            shown.append(f'<figure style="margin: 0">{picture}<figcaption>{escape(name)}</figcaption></figure>')
        return f'<div style="display: flex; flex-wrap: wrap; gap: 8px">{"".join(shown)}</div>'


def show_clips(runs: "pd.DataFrame") -> Clips:
    """Shows the videos of runs, as `load_runs` returns them, side by side in a notebook, in the frame's order.

    At most EMBED_LIMIT_MB of them are embedded; of the others the file is named.
    """
    named = zip(runs["run_name"].astype(str), runs["video"], strict=True)
    return Clips([(name, Path(file) if isinstance(file, str) else None) for name, file in named])


def table_html(records: Iterable[Row]) -> str:
    """Writes records as a table in HTML, without the columns that are empty."""
    rows = [record.row() for record in records]
    names = dict.fromkeys(name for row in rows for name, value in row.items() if value not in (None, ""))
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(_written(row.get(name)))}</td>' for name in names)}</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _written(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)

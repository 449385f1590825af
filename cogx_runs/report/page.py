"""Renders a report's content as one HTML page that loads nothing."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from cogx_runs.analysis.preferences import MetricAgreement, Preference
from cogx_runs.analysis.wording import degenerate_counts, yardstick
from cogx_runs.formatting import signed, write_value
from cogx_runs.metrics.card import MetricCard
from cogx_runs.metrics.compression import write_with_change
from cogx_runs.metrics.registry import shown_cards
from cogx_runs.report.cells import duration_s
from cogx_runs.report.clips import Clip
from cogx_runs.report.comparisons import QUANTITIES
from cogx_runs.report.content import Content, GridContent
from cogx_runs.report.sentences import about_fit
from cogx_runs.report.votes import Ballot
from cogx_runs.tracking import tags

PARTS = Path(__file__).parent / "parts"


@dataclass(frozen=True)
class Media:
    """The videos, pictures and errors that the cells show."""

    clips: Mapping[str, Clip]
    """Clips by output hash."""
    limit_mb: float
    embedded: bool
    """Whether the page holds the videos; else they are files next to it."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """Reasons why finished cells have no clip, by output hash."""
    errors: Mapping[str, str] = field(default_factory=dict)
    """Errors of failed cells, by run id."""
    stills: Mapping[str, str] | None = None
    """Contact sheets as JPEG in base64 by output hash, which the page shows instead of videos; else None."""


def render_page(content: Content, media: Media) -> str:
    """Renders the page; the template engine escapes all data."""
    templates = Environment(
        loader=FileSystemLoader(PARTS), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    templates.filters["value"] = write_value
    templates.filters["p"] = _p
    templates.filters["with_change"] = write_with_change
    templates.filters["degenerate"] = degenerate_counts
    templates.filters["signed"] = partial(signed, digits=".2f")
    templates.filters["interval"] = _interval
    templates.filters["breakable"] = _breakable
    templates.filters["preferred"] = _preferred
    templates.filters["agreed"] = _agreed
    script = (PARTS / "page.js").read_text(encoding="utf-8")
    embeds = media.embedded and media.stills is None
    return templates.get_template("page.html.j2").render(
        content=content,
        tags=tags,
        duration_s=duration_s,
        media=media,
        quantities=shown_cards(),
        compared=QUANTITIES,
        about_fit=about_fit,
        yardstick=yardstick,
        written_at=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        ballot=Ballot(report=content.identity, votes=list(content.votes)).model_dump(),
        data=_data(content, media),
        promoted={cell.tags[tags.PROMOTED_FROM] for cell in content.cells if tags.PROMOTED_FROM in cell.tags},
        embeds=embeds,
        plays=media.stills is None,
        media_source="blob:" if embeds else "'self' file:",
        style=Markup((PARTS / "page.css").read_text(encoding="utf-8")),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
    )


def _breakable(name: str) -> Markup:
    """Marks the places at which a narrow column may break a name."""
    return Markup("_<wbr>").join(name.split("_"))


def _interval(quantity: MetricCard, low: float, high: float) -> str:
    """Writes an interval: `−0.10 to +0.31 s`."""
    return (
        f"{quantity.write(low, signed=True).removesuffix(f' {quantity.unit}')} to {quantity.write(high, signed=True)}"
    )


def _preferred(preference: Preference) -> str:
    """Writes how often a value is preferred to the baseline: `63% (41% to 84%), p 0.031`; empty where nobody voted."""
    if preference.share is None:
        return ""
    p = "" if preference.p is None else f", p {_p(preference.p)}"
    return f"{preference.share:.0%}{_range(preference.low, preference.high)}{p}"


def _agreed(agreement: MetricAgreement) -> str:
    """Writes how often a metric agrees with the votes: `78% (64% to 92%)`."""
    return f"{agreement.share:.0%}{_range(agreement.low, agreement.high)}"


def _range(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f" ({low:.0%} to {high:.0%})"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _data(content: Content, media: Media) -> dict[str, Any]:
    """Returns the data of the page's script."""
    shown = [cell for cell in content.cells if cell.output_hash in media.clips]
    return {
        "report": content.identity,
        "duration_s": max((duration_s(cell) for cell in shown), default=1.0),
        "fps": max((int(cell.config.get("fps", 8)) for cell in shown), default=8),
        "files": {} if media.embedded else {clip.key: clip.target for clip in media.clips.values()},
        "grids": [_grid(found, media) for section in content.sections for found in section.grids],
    }


def _grid(found: GridContent, media: Media) -> dict[str, Any]:
    """Returns a grid's rows in which two videos can be compared."""
    rows: list[dict[str, Any]] = []
    for row in found.grid.rows:
        sides: Sequence[dict[str, Any]] = [
            {"signature": cell.signature, "clip": cell.output_hash, "column": column}
            for column, cell in enumerate(row.cells)
            if cell is not None and cell.state.is_finished and cell.output_hash in media.clips
        ]
        if len(sides) > 1:
            rows.append({"prompt": row.prompt, "sides": sides})
    return {
        "key": found.key,
        "experiment": found.grid.experiment,
        "axis": found.grid.axis,
        "values": [write_value(value) for value in found.grid.values],
        "rows": rows,
    }

"""The folder that a report is written into."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cogx_runs.analysis.cells import config_names
from cogx_runs.analysis.effects import Margin
from cogx_runs.analysis.frame import load_runs
from cogx_runs.analysis.grids import is_written, values_of
from cogx_runs.analysis.looks import changed_since, keep_looks, looks_of, primary_of
from cogx_runs.dashboard.board import show
from cogx_runs.dashboard.view import RunFilter
from cogx_runs.definitions.variables import is_variable
from cogx_runs.errors import CogxError, StoreError, did_you_mean, first_line
from cogx_runs.formatting import cut, shortened, write_value
from cogx_runs.report.cells import cells_of
from cogx_runs.report.clips import (
    EMBED_LIMIT_MB,
    are_embedded,
    collect_clips,
    error_of,
    poster_of,
    still_of,
    write_videos,
)
from cogx_runs.report.comparisons import QUANTITIES, SEED
from cogx_runs.report.content import Content, Experiment, content_of
from cogx_runs.report.page import Media, render_page
from cogx_runs.report.unbegun import add_unbegun
from cogx_runs.report.votes import report_id, votes_in
from cogx_runs.system.disk import new_folder
from cogx_runs.tracking.artifacts import REPORT
from cogx_runs.tracking.columns import AXIS
from cogx_runs.tracking.experiments import experiments_of
from cogx_runs.tracking.liveness import temporary_folder
from cogx_runs.tracking.run import TrackedRun
from cogx_runs.tracking.store import RunStore
from cogx_runs.tracking.tags import AXES, BASELINES, OBJECTIVES, QUESTION, json_tag, texts_tag
from cogx_runs.tracking.uri import require_store


@dataclass(frozen=True)
class Written:
    """The result of `write_report`."""

    page: Path
    experiments: tuple[str, ...]
    videos: int
    embedded: bool
    """Whether the page holds the videos; else they are in `videos/` next to it."""
    votes: int
    """Votes that the new page has from the folder's earlier pages."""
    logged: tuple[str, ...]
    """The MLflow runs that keep the page, one an experiment."""
    not_logged: str | None
    """Why MLflow does not keep the page, though it was asked to; None where it does."""
    missing: tuple[str, ...] = ()
    """What the page says of each finished cell in the place of its video: `seed=1 panda: its video is damaged`."""
    looks_not_kept: str | None = None
    """Why the store does not keep that the verdicts were looked at; None where it does."""


def write_report(
    sweeps: Sequence[str],
    directory: str | Path,
    *,
    baselines: Mapping[str, str] | None = None,
    margins: Mapping[str, Margin | None] | None = None,
    log: bool = True,
    embed_limit_mb: float = EMBED_LIMIT_MB,
    tracking_uri: str | None = None,
) -> Written:
    """Writes `DIR/report.html` on the finished and failed cells of the sweeps; with `log`, keeps it in MLflow too.

    A sweep is an experiment's name or a sweep file; of a file, cells that no run was begun of count as lost pairs.
    `baselines` are the values to compare with by axis, as text;
    without one it is the model's default where the axis has it, else its first. `margins` are, by metric, the changes
    that do not matter, as for `effects`. The videos are in the page while they are at most `embed_limit_mb` together,
    else files in `DIR/videos`; MLflow's page then shows contact sheets. Votes in the folder's earlier pages are kept.

    Raises CogxError for a sweep that is not known or has nothing finished, a baseline that is no axis or none of its
    values, a margin of a metric that is not compared, and a folder that cannot be written.
    """
    directory = Path(directory)
    require_store(tracking_uri)
    store = RunStore(tracking_uri)
    sources = {name: sweep for sweep in sweeps for name in experiments_of(sweep, store)}
    names = list(sources)
    identity = report_id(names)
    with new_folder(directory), temporary_folder(directory) as scratch:
        experiments = [_read(name, sources[name], store, tracking_uri) for name in names]
        cells = [cell for found in experiments for cell in found.cells]
        if not any(cell.state.is_finished for cell in cells):
            raise CogxError(f"{', '.join(sweeps)}: has no finished run to report on")
        _check_baselines(baselines or {}, experiments)
        _check_margins(margins or {})
        votes = votes_in(directory, identity)
        content = content_of(identity, experiments, baselines or {}, margins or {}, votes)
        media = _media(store, cells, scratch, embed_limit_mb)
        if not media.embedded:
            write_videos(list(media.clips.values()), directory)
        page = scratch / REPORT
        page.write_text(render_page(content, media), encoding="utf-8")
        written = kept = page.replace(directory / REPORT)
        if log and not media.embedded:
            stills = {key: still_of(store, clip, scratch) for key, clip in media.clips.items()}
            kept = scratch / REPORT
            kept.write_text(render_page(content, replace(media, stills=stills)), encoding="utf-8")
        looks_not_kept = _keep_looks(store, experiments, content)
        logged, not_logged = _log(store, names, kept) if log else ((), None)
    return Written(
        written,
        tuple(names),
        len(media.clips),
        media.embedded,
        len(votes),
        logged,
        not_logged,
        _missing(cells, media),
        looks_not_kept,
    )


def _missing(cells: Sequence[TrackedRun], media: Media) -> tuple[str, ...]:
    finished = {cell.output_hash: cell.name for cell in cells if cell.state.is_finished}
    return tuple(f"{name}: {media.missing[key]}" for key, name in finished.items() if key in media.missing)


def _log(store: RunStore, names: Sequence[str], page: Path) -> tuple[tuple[str, ...], str | None]:
    """Keeps the page in MLflow. Returns the ids of the runs that keep it, and why one does not: the page is written,
    also where the store is read only or gone."""
    logged = []
    try:
        for name in names:
            logged.append(store.keep_report(store.experiment_id(name), page))
            show(store, name, RunFilter())
    except StoreError as error:
        return tuple(logged), first_line(error)
    return tuple(logged), None


def _read(name: str, sweep: str, store: RunStore, tracking_uri: str | None) -> Experiment:
    runs, not_known = add_unbegun(load_runs(name, tracking_uri=tracking_uri), name, sweep)
    cells, unfinished = cells_of(store.runs([name]))
    tags = store.experiment_tags(store.experiment_id(name))
    objectives = json_tag(tags, OBJECTIVES)
    question = tags.get(QUESTION, "")
    primary = primary_of(tags)
    return Experiment(
        name,
        question,
        tuple(cells),
        unfinished,
        _axes(cells, tags),
        runs,
        objectives,
        primary,
        looks_of(tags, primary),
        (*changed_since(tags, primary), *not_known),
        texts_tag(tags, BASELINES),
    )


def _keep_looks(store: RunStore, experiments: Sequence[Experiment], content: Content) -> str | None:
    """Keeps the looks of a report with its experiments, and returns why one cannot be kept."""
    primaries = {found.name: found.primary for found in experiments}
    reasons = (keep_looks(store, name, primaries[name], looks) for name, looks in content.looks)
    return next((reason for reason in reasons if reason is not None), None)


def _axes(cells: Sequence[TrackedRun], tags: Mapping[str, str]) -> tuple[str, ...]:
    """Lists the experiment's axes: those of its sweep, and the numeric ones that its runs have logged.

    An axis with a single value is left out, unless no other varies.
    """
    named = dict.fromkeys(texts_tag(tags, AXES))
    named |= {key.removeprefix(AXIS): None for cell in cells for key in cell.metrics if key.startswith(AXIS)}
    known = config_names(cells)
    present = [axis for axis in named if (axis in known or is_variable(axis)) and values_of(cells, axis)]
    return tuple(axis for axis in present if len(values_of(cells, axis)) > 1) or tuple(present)


def _check_baselines(baselines: Mapping[str, str], experiments: Sequence[Experiment]) -> None:
    axes: dict[str, list[object]] = {}
    for found in experiments:
        for axis in found.axes:
            axes.setdefault(axis, []).extend(values_of(found.cells, axis))
    for axis, text in baselines.items():
        if axis == SEED:
            raise CogxError(f"--baseline {axis}={text}: seeds are random draws, and none is compared with another")
        if axis not in axes:
            raise CogxError(
                f"--baseline {cut(axis)}={cut(text)}: these sweeps have no such axis; {did_you_mean(axis, axes)}"
            )
        if not any(is_written(text, value) for value in axes[axis]):
            valid = ", ".join(dict.fromkeys(write_value(value) for value in axes[axis]))
            raise CogxError(f"--baseline {axis}={text}: not among the axis's values; valid: {valid}")


def _check_margins(margins: Mapping[str, Margin | None]) -> None:
    for metric in margins:
        if metric not in QUANTITIES:
            raise CogxError(
                f"margin of {shortened(metric)}: reports do not compare it; {did_you_mean(metric, QUANTITIES)}"
            )


def _media(store: RunStore, cells: Sequence[TrackedRun], scratch: Path, limit_mb: float) -> Media:
    clips, missing = collect_clips(store, cells, scratch)
    errors = {cell.run_id: error_of(store, cell, scratch) for cell in cells if not cell.state.is_finished}
    posters = {key: poster_of(store, clip, scratch) for key, clip in clips.items()}
    return Media(clips, limit_mb, are_embedded(list(clips.values()), limit_mb), missing, errors, posters)

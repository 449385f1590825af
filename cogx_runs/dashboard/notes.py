"""Descriptions of experiments and of runs in MLflow's UI: Markdown, with pictures."""

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from urllib.parse import quote

from cogx_runs.dashboard.pictures import CLIP
from cogx_runs.definitions.spec import RunSpec
from cogx_runs.errors import first_line
from cogx_runs.formatting import write_exact
from cogx_runs.metrics.card import MetricCard
from cogx_runs.metrics.compression import write_with_change
from cogx_runs.metrics.registry import shown_cards
from cogx_runs.tracking.artifacts import CONTACT_SHEET, IMAGES, TRACEBACK, VIDEO
from cogx_runs.tracking.columns import axis_metric
from cogx_runs.tracking.record import command
from cogx_runs.tracking.run import RunState, TrackedRun
from cogx_runs.tracking.tags import (
    COMMAND,
    DEGENERATE,
    DEGENERATE_RULE,
    FAILURE,
    MLFLOW_LOGGED_IMAGES,
    MLFLOW_NOTE,
    PICTURE,
    PROMOTED_BY,
    PROMOTED_FROM,
    PROMOTED_RANK,
    TRIAL,
)

LIMIT = 18_000
"""Most characters of an experiment's note; MLflow refuses an experiment's tag of more than 20,000."""
RUN_LIMIT = 7_500
"""Most characters of a run's note; MLflow refuses a run's tag of more than 8,000."""
REASON_LIMIT = 200
"""Most characters of the reason of a failure in tables and pictures."""
TRACEBACK_IN = f"The traceback is the artifact `{TRACEBACK}`."
MOST_LINKS = 60
"""Most links to views in an experiment's note."""


def experiment_note(
    name: str, question: str, axes: Sequence[str], runs: Sequence[TrackedRun], links: Iterable[str], head: str = ""
) -> str:
    """Writes an experiment's note: the question, links, `head` as Markdown, and a table of as many runs as fit.

    `runs` are in the order of the table; `links` are Markdown links to views.
    """
    shown_links = list(links)
    more = f" and {len(shown_links) - MOST_LINKS} more" if len(shown_links) > MOST_LINKS else ""
    head = f"{_cut(escaped(question), 4000)}\n\n{' · '.join(shown_links[:MOST_LINKS])}{more}\n\n{head}"
    varied = [*axes, *(column for column in ("prompt_name", "seed") if column not in axes and _varies(column, runs))]
    metrics = [card for card in shown_cards() if any(card.name in run.metrics for run in runs)]
    trials = ["trial"] if any(TRIAL in run.tags for run in runs) else []
    titles = ["", *trials, *varied, *(card.heading for card in metrics), ""]
    names = {run.run_id: run.name for run in runs}
    table = f"| {' | '.join(titles)} |\n|{'---|' * len(titles)}\n"
    rest = "\n{} more runs: `cogx-runs runs " + name + "`\n"
    for number, run in enumerate(runs):
        row = _row(run, [run.tags.get(TRIAL, "") for _ in trials], varied, metrics, names)
        if len(head) + len(table) + len(row) + len(rest) + 8 > LIMIT:
            return head + table + rest.format(len(runs) - number)
        table += row
    return head + table


def _row(
    run: TrackedRun,
    trial: Sequence[str],
    varied: Sequence[str],
    metrics: Sequence[MetricCard],
    names: Mapping[str, str],
) -> str:
    values, tags = run.metrics, run.tags
    numbers = [card.number(values[card.name]) if card.name in values else "" for card in metrics]
    settings = [_value(run, column) for column in varied]
    if run.state.is_finished:
        last = f"[video](./get-artifact?path={VIDEO}&run_uuid={run.run_id})"
        first = picture(run.run_id, tags.get(PICTURE, ""))
    else:
        last, first = escaped(said_of(run)), ""
    if DEGENERATE in tags:
        last += f" **{tags[DEGENERATE]}**"
    if run.imported_from is not None:
        last += " imported"
    last += f" {_link('run', run.run_id, run.experiment_id)}"
    if PROMOTED_FROM in tags:
        candidate = tags[PROMOTED_FROM]
        name = _link(escaped(names.get(candidate, "another run")), candidate, run.experiment_id)
        last += f", promoted from {name}: {_chosen(tags)}"
    return f"| {' | '.join([first, *trial, *settings, *numbers, last])} |\n"


def _link(text: str, run_id: str, experiment_id: str) -> str:
    return f"[{text}](#/experiments/{experiment_id}/runs/{run_id}?workflowType=machine_learning)"


def _chosen(tags: Mapping[str, str]) -> str:
    """Writes the ranks of a promoted run: `1 of 8 by clip_score, 2 of 8 by sharpness`."""
    ranks, metrics = tags.get(PROMOTED_RANK, "").split(", "), tags.get(PROMOTED_BY, "").split(", ")
    return ", ".join(f"{rank} by {escaped(metric)}" for rank, metric in zip(ranks, metrics, strict=False))


def run_note(what: str, prompt: str, run_id: str, metrics: Mapping[str, float], command: str | None) -> str:
    """Writes a run's note: `what` it is, its prompt, numbers and picture, and the command that repeats it, if any."""
    numbers = [f"{card.title} {write_with_change(card, metrics)}" for card in shown_cards() if card.name in metrics]
    head = f"{escaped(what)}\n\n> {_cut(escaped(prompt), 1500)}\n\n{', '.join(numbers)}\n\n"
    head += f"{picture(run_id, CONTACT_SHEET)}\n\n"
    return head if command is None else _noted(head, command)


def _noted(head: str, command: str) -> str:
    """Writes the command that repeats a run below its note, where it fits."""
    fence = "`" * (1 + max((len(found) for found in re.findall("`+", command)), default=0))
    again = f"Repeat it: {fence} {command} {fence}\n"  # not a block, which MLflow draws as wide as its longest line
    if len(head) + len(again) > RUN_LIMIT:
        again = f"The command that repeats it is in the tag `{COMMAND}`.\n"
    return head + again


def run_tags(
    spec: RunSpec, run_id: str, folder: Path, metrics: Mapping[str, float], tags: Mapping[str, str]
) -> dict[str, str]:
    """Returns the tags by which MLflow's UI shows a finished run: its pictures, from `folder`, and its description.

    `tags` are those that the run has already.
    """
    return shown_tags(_what(spec), spec.prompt, run_id, folder, metrics, tags, command(spec))


def _what(spec: RunSpec) -> str:
    settings = f"{spec.num_inference_steps} steps, guidance {spec.guidance_scale:g}, {spec.num_frames} frames"
    return f"{spec.run_name}: {settings}, seed {spec.seed}, {spec.model}, in {spec.sweep}."


def shown_tags(
    what: str,
    prompt: str,
    run_id: str,
    folder: Path,
    metrics: Mapping[str, float],
    tags: Mapping[str, str],
    command: str | None = None,
) -> dict[str, str]:
    """Returns the tags by which MLflow's UI shows a video: `what` it is, and its pictures, from `folder`.

    `tags` are those that the run has already; `command` repeats it.
    """
    picture = next((folder / IMAGES).glob(f"{CLIP}+*+compressed.webp"))
    if DEGENERATE in tags:
        what += f" Degenerate: {tags[DEGENERATE]} ({tags[DEGENERATE_RULE]})."
    note = run_note(what, prompt, run_id, metrics, command)
    return {MLFLOW_LOGGED_IMAGES: str(True), PICTURE: f"{IMAGES}/{picture.name}", MLFLOW_NOTE: note}


def failed_tags(spec: RunSpec, error: Exception) -> dict[str, str]:
    """Returns the tags by which MLflow's UI shows a failed run: its description, with the reason."""
    what = f"**Failed:** {_cut(escaped(first_line(error)), 1000)}\n\n{_what(spec)}"
    return {MLFLOW_NOTE: _noted(f"{what}\n\n> {_cut(escaped(spec.prompt), 1500)}\n\n{TRACEBACK_IN}\n\n", command(spec))}


def failures_note(cells: Sequence[TrackedRun]) -> str:
    """Lists the failed cells with their reasons, as many as fit; empty where none failed."""
    failed = [run for run in cells if run.state is RunState.FAILED]
    lines = [
        f"- {_link(escaped(run.name), run.run_id, run.experiment_id)}: {escaped(said_of(run))}\n" for run in failed
    ]
    fitting = [line for line, end in zip(lines, accumulate(map(len, lines)), strict=True) if end <= RUN_LIMIT][:20]
    more = f"- and {len(lines) - len(fitting)} more\n" if len(lines) > len(fitting) else ""
    return "".join(fitting) + more


def said_of(run: TrackedRun) -> str:
    """Says what became of a cell that has no video: why it failed, or how far it is."""
    if run.state is RunState.FAILED:
        return f"failed: {_cut(run.tags[FAILURE], REASON_LIMIT)}" if FAILURE in run.tags else "failed"
    if run.state is RunState.RUNNING:
        done, steps = run.metrics.get("current_step"), run.params.get("num_inference_steps")
        return "running" if done is None else f"running, step {done:.0f} of {steps}"
    return run.state.lower()


def picture(run_id: str, artifact: str) -> str:
    """Writes a run's picture as Markdown; empty where `artifact` is."""
    return f"![](./get-artifact?path={quote(artifact, safe='')}&run_uuid={run_id})" if artifact else ""


def escaped(text: str) -> str:
    """Escapes text for Markdown, so that it fits a table's cell too."""
    plain = html.escape(" ".join(text.split()), quote=False)
    return re.sub(r"([\\`*_\[\]{}()#+!|~-])", r"\\\1", plain)


def _value(run: TrackedRun, parameter: str) -> str:
    number = run.metrics.get(axis_metric(parameter))
    return escaped(run.params.get(parameter, "")) if number is None else write_exact(number)


def _cut(text: str, characters: int) -> str:
    return text if len(text) <= characters else text[:characters].rstrip("\\") + " …"


def _varies(column: str, runs: Sequence[TrackedRun]) -> bool:
    return len({run.params.get(column) for run in runs if column in run.params}) > 1

"""Plans and outcomes as tables on a terminal."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cogx_runs.cli.columns import Column, print_table
from cogx_runs.cli.consoles import stderr, stdout
from cogx_runs.cli.terminal import command_line
from cogx_runs.definitions.ranges import WINNERS_CURSE
from cogx_runs.definitions.spec import ROLES, RunSpec, short_name
from cogx_runs.doctor import Check, Readiness
from cogx_runs.errors import shown_place
from cogx_runs.execution.outcomes import Outcome, OutcomeStatus
from cogx_runs.formatting import (
    count,
    gib_needed,
    round_seconds,
    whole_seconds,
    write_duration,
    write_rough_duration,
    write_value,
)
from cogx_runs.metrics.card import MetricCard
from cogx_runs.metrics.registry import SHOWN, SHOWN_WHERE_MEASURED, card_of, shown_cards
from cogx_runs.planning.actions import Action
from cogx_runs.planning.plan import Advice, Estimate, Plan, PlanCost
from cogx_runs.search.optuna.results import SearchResult
from cogx_runs.tracking.columns import METRICS, PARAMS, axis_column, metric_column, param_column, tag_column
from cogx_runs.tracking.tags import DEGENERATE, IMPORTED_FROM, PROMOTED_RANK, TRIAL

if TYPE_CHECKING:
    import pandas as pd

_COLOURS = {
    "error": "red", "warning": "yellow", "note": "cyan", "run": "green", "reuse": "cyan", "done": "dim",
    "failed": "red", "finished": "green", "reused": "cyan", "elsewhere": "yellow", "skipped": "yellow",
    "ok": "green", "missing": "red",
}  # fmt: skip


_MARKS = tuple(map(tag_column, (DEGENERATE, TRIAL, PROMOTED_RANK, IMPORTED_FROM)))


def print_plan(plan: Plan) -> None:
    """Prints each cell with its action and cost, the cost of the whole, then the advice."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    names = _add_name_columns(table, [run.spec for run in plan.runs])
    table.add_column("action", no_wrap=True)
    table.add_column("seconds", justify="right", no_wrap=True)
    has_peaks = any(run.estimate.peak_vram_gib is not None for run in plan.runs)
    if has_peaks:
        table.add_column("GiB", justify="right", no_wrap=True)
    for run in plan.runs:
        peak = run.estimate.peak_vram_gib
        table.add_row(
            *names(run.spec),
            _coloured(run.action) + ", files are lost" * bool(run.decision.lost),
            _seconds(run.estimate),
            *(["" if peak is None else f"{peak:.1f}"] * has_peaks),
        )
    console = stdout()
    console.print(table)
    console.print(_summary(plan))
    if plan.cost is not None:
        for line in _cost_lines(plan.cost):
            console.print(line, soft_wrap=not console.is_terminal)
    print_advice(plan.advice, console)


def _seconds(estimate: Estimate) -> str:
    if estimate.seconds is None:
        return "?"
    return (
        f"~{whole_seconds(round_seconds(estimate.seconds))}" if estimate.is_rough else whole_seconds(estimate.seconds)
    )


def _cost_lines(cost: PlanCost) -> Iterator[str]:
    """Describes memory, downloads and disk, a line each."""
    for one in cost.memory:
        kind = "host memory" if one.device == "cpu" else "VRAM"
        host = "" if one.device == "cpu" else f"; host memory {gib_needed(one.host_gib)} GiB"
        yield (
            f"Memory: {escape(one.model)} in {one.dtype}, {one.placement}: text {gib_needed(one.text_gib)}, denoising "
            f"{gib_needed(one.denoise_gib)}, decoding {gib_needed(one.decode_gib)} GiB of {kind}{host}"
        )
    for download in cost.downloads:
        yield f"Download: {escape(download.source)}, about {download.gb:.1f} GB to {escape(download.folder)}"
    if cost.disk_gb:
        size = f"{cost.disk_gb:.1f} GB" if cost.disk_gb >= 1 else f"{cost.disk_gb * 1000:.0f} MB"
        yield f"Disk: up to {size} of videos, latents and pictures"


def print_advice(advice: Iterable[Advice], console: Console | None = None) -> None:
    """Prints each piece of advice on a line of its own, to stderr unless a console is given."""
    console = console or stderr()
    for item in advice:
        text = f"{_coloured(item.level)} {escape(shown_place(item.where))}: {escape(item.message)}"
        console.print(text, soft_wrap=not console.is_terminal)


def print_outcomes(outcomes: Sequence[Outcome]) -> None:
    """Prints the outcome of each cell with its main metrics."""
    several = len({outcome.spec.sweep for outcome in outcomes}) > 1
    metrics = [outcome.metrics or {} for outcome in outcomes]
    columns = [
        *([Column("sweep", [escape(outcome.spec.sweep) for outcome in outcomes], may_fold=True)] * several),
        Column("prompt", [escape(outcome.spec.prompt_name) for outcome in outcomes], may_fold=True),
        Column("varied", [escape(_varied(outcome.spec)) for outcome in outcomes], may_fold=True),
        Column("status", [_coloured(outcome.status) for outcome in outcomes]),
    ]
    columns += [
        Column(
            card.heading,
            [card.number(one[card.name]) if card.name in one else "" for one in metrics],
            is_number=True,
            is_spare=place > 0,
        )
        for place, card in enumerate(shown_cards())
        if card.name not in SHOWN_WHERE_MEASURED or any(card.name in one for one in metrics)
    ]
    console = stdout()
    print_table(console, columns)
    for outcome in outcomes:
        if outcome.error and outcome.status is not OutcomeStatus.DONE:
            name, error = escape(outcome.spec.run_name), escape(outcome.error)
            console.print(f"{_coloured(outcome.status)} {name}: {error}", soft_wrap=True)
    counts = {status: sum(outcome.status == status for outcome in outcomes) for status in _COLOURS}
    console.print(", ".join(f"{count} {status}" for status, count in counts.items() if count))
    if outcomes and counts["done"] == len(outcomes):
        console.print("Nothing to do: every cell was finished before.")


def print_headlines(plan: Plan, outcomes: Sequence[Outcome]) -> None:
    """Prints one sentence on each axis of each sweep: the best value, the worst, and who loses most."""
    from cogx_runs.analysis.effects import PRIMARY
    from cogx_runs.analysis.headline import comparable, headlines

    for sweep in plan.sweeps:
        own = [one for one in outcomes if one.spec.sweep == sweep.name and one.status.is_success]
        cells = [(one.spec, comparable(one.metrics or {}, one.beside)) for one in own]
        for headline in headlines(cells, sweep.primary or PRIMARY):
            stdout().print(escape(str(headline)), soft_wrap=True)


def print_file_scores(outcomes: Sequence[Outcome]) -> None:
    """Prints how far the scores of the mp4 files are from those of the frames."""
    _print_compression([(outcome.spec.config, outcome.metrics or {}) for outcome in outcomes])


def print_next(files: Sequence[str]) -> None:
    """Prints the commands that show what sweep files have made."""
    stdout().print(f"Report:     {escape(command_line('report', *files, '-o', 'report'))}", soft_wrap=True)
    stdout().print(f"Dashboard:  {escape(command_line('ui', *files))}", soft_wrap=True)


def print_search(result: SearchResult) -> None:
    """Prints the best trial, or the Pareto front, and its caveats."""
    finished = sum(trial.state.is_finished for trial in result.trials)
    objectives = " and ".join(
        f"{name} ({direction})"
        for name, direction in zip(result.search.settings.objectives, result.search.directions, strict=True)
    )
    console = stdout()
    if not result.best:
        console.print(f"\n{escape(result.name)}: no trial is finished yet")
        return
    title = "Pareto front" if len(result.search.directions) > 1 else "best"
    console.print(
        f"\n{escape(result.name)}: {title} of {finished} finished trials in {escape(objectives)}", soft_wrap=True
    )
    table = Table(box=None, header_style="bold", pad_edge=False)
    names = [column for column in result.columns if column not in {"state", "best"}]
    for name in names:
        heading = f"mean {name}" if name in result.search.settings.objectives else name
        table.add_column(heading, justify="right", overflow="fold")
    for row in result.rows():
        table.add_row(
            *(f"{row[name]:.6g}" if isinstance(row[name], float) else escape(str(row[name])) for name in names)
        )
    console.print(table)
    for sentence in (*result.caveats, WINNERS_CURSE):
        console.print(sentence, soft_wrap=True)


def print_runs(frame: "pd.DataFrame", asked: Sequence[str] = (), only: Sequence[str] = ()) -> None:
    """Prints tracked runs, as `load_runs` returns them, with the parameters that distinguish them, their main metrics
    and the columns `asked` for; or the columns `only`."""
    from pandas.api.types import is_numeric_dtype

    from cogx_runs.analysis.frame import distinguishing_parameters

    parameters = [param_column(name) for name in distinguishing_parameters(frame)]
    figures = dict.fromkeys([*(metric_column(name) for name in SHOWN), *asked])
    names = ["experiment"] * (frame["experiment"].nunique() > 1) + ["run_name"]
    usual = dict.fromkeys([*names, *parameters, "status", *_MARKS, *figures, "run_id"])
    in_name = {param_column(name) for name in ROLES if axis_column(name) in frame.columns}
    spare = {column for column in (*in_name, *figures) if column not in asked} - {next(iter(figures))}
    columns = []
    for column in only or [column for column in usual if column in frame.columns]:
        card = _card(column)
        is_number = card is not None or is_numeric_dtype(frame[column])
        columns.append(
            Column(
                short_name(column.rpartition(".")[2]) if card is None else card.heading,
                [_cell(column, value) for value in frame[column]],
                is_number=is_number,
                is_spare=not only and column in spare,
                may_fold=bool(only) or column in {"experiment", "run_name", *parameters},
            )
        )
    console = stdout(width=1000)  # a line a run in a file or a pipe
    left_out = print_table(console, columns)
    _print_compression(map(_parameters_and_metrics, frame.to_dict("records")))
    console.print(count(len(frame), "run"))
    if left_out:
        console.print(f"Left out at this width: {escape('; '.join(left_out))}. --columns chooses.")


def print_checks(checks: Sequence[Check]) -> None:
    """Prints the checks of `doctor`, and in one line which models can run."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for check in [check for check in checks if not isinstance(check, Readiness)]:
        advice = f" → {check.advice}" if check.advice else ""
        table.add_row(_coloured(check.status), check.name, escape(check.found) + escape(advice))
    console = stdout()
    console.print(table)
    ready = [f"{escape(check.model)} is {escape(check.found)}" for check in checks if isinstance(check, Readiness)]
    console.print(". ".join(ready) + ".", soft_wrap=not console.is_terminal)


def _print_compression(cells: Iterable[tuple[Mapping[str, Any], Mapping[str, float]]]) -> None:
    """Prints how far the scores of the mp4 files are from those in a table, which are of the frames before H.264."""
    from cogx_runs.analysis.compression import compression_sentences

    for sentence in compression_sentences(list(cells)):
        stdout().print(escape(sentence), soft_wrap=True)


def _parameters_and_metrics(row: Mapping[Any, Any]) -> tuple[dict[str, Any], dict[str, float]]:
    """Takes the parameters and metrics out of a row of `load_runs`."""
    import pandas as pd

    present = {str(column): value for column, value in row.items() if not pd.isna(value)}
    parameters, metrics = (
        {column.removeprefix(prefix): value for column, value in present.items() if column.startswith(prefix)}
        for prefix in (PARAMS, METRICS)
    )
    return parameters, metrics


def _card(column: str) -> MetricCard | None:
    """Returns the card of a metric's column; None for any other column."""
    return card_of(column.removeprefix(METRICS)) if column.startswith(METRICS) else None


def _cell(column: str, value: Any) -> str:
    import pandas as pd

    if pd.isna(value):
        return ""
    if column == "run_id":
        return str(value)[:8]
    card = _card(column)
    return escape(write_value(value)) if card is None else card.number(value)


def _summary(plan: Plan) -> str:
    counts = {action: plan.count(action) for action in Action}
    words = {
        Action.RUN: "to run",
        Action.REUSE: "to reuse",
        Action.DONE: "done",
        Action.FAILED: "failed (--retry-failed runs them again)",
    }
    parts = [f"{count} {words[action]}" for action, count in counts.items() if count]
    text = f"{len(plan.runs)} cells: {', '.join(parts)}"
    cost = plan.cost
    if cost is None or not any(run.action.is_open for run in plan.runs):
        return text
    if cost.seconds is not None:
        time = f"{write_rough_duration(cost.seconds)} (rough)" if cost.is_rough else write_duration(cost.seconds)
        text += f"; about {time} on {escape(cost.device)}"
    if cost.cells_without_estimate:
        missing = next(run.estimate for run in plan.runs if run.estimate.seconds is None)
        text += f"; no time for {cost.cells_without_estimate} of them: {escape(missing.basis)}"
    return text


def _add_name_columns(table: Table, specs: Sequence[RunSpec]) -> Callable[[RunSpec], list[str]]:
    """Adds the columns that name a cell and returns the function that writes a row's part of them.

    They are folded, not cut, where the terminal is narrow. The sweep is left out where there is only one.
    """
    several = len({spec.sweep for spec in specs}) > 1
    for header in ("sweep", "prompt", "varied")[not several :]:
        table.add_column(header, overflow="fold")

    def row(spec: RunSpec) -> list[str]:
        return [escape(text) for text in (spec.sweep, spec.prompt_name, _varied(spec))[not several :]]

    return row


def _varied(spec: RunSpec) -> str:
    """Returns the part of a run's name that says what is varied."""
    return spec.run_name.removesuffix(spec.prompt_name).strip()


def _coloured(word: str) -> str:
    return f"[{_COLOURS[word]}]{word}[/]"

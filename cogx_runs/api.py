"""What a notebook calls: plan, sweep and generate, from files to records."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cogx_runs.definitions.prompts import Prompt, PromptLibrary
from cogx_runs.definitions.sweep import Sweep, load_sweeps, parameters_of
from cogx_runs.errors import CogxError, DamagedArtifactError, did_you_mean, first_line
from cogx_runs.execution.local import entered
from cogx_runs.execution.outcomes import Outcome, OutcomeStatus
from cogx_runs.formatting import shortened
from cogx_runs.notebook import Records
from cogx_runs.planning.plan import Conditions, Plan
from cogx_runs.planning.planner import Planner
from cogx_runs.progress import Progress, SilentProgress
from cogx_runs.search.optuna.feed import run_search
from cogx_runs.search.optuna.forecast import add_search
from cogx_runs.search.optuna.results import SearchResult, result_of
from cogx_runs.search.optuna.search import Search
from cogx_runs.tracking.experiments import experiments_of
from cogx_runs.tracking.liveness import temporary_folder
from cogx_runs.tracking.spool import left_behind
from cogx_runs.tracking.uri import store_exists

if TYPE_CHECKING:
    import pandas as pd

    from cogx_runs.analysis.effects import Effect, Margin
    from cogx_runs.analysis.sequential import Looks
    from cogx_runs.dashboard.server import Dashboard
    from cogx_runs.execution.executor import Executor
    from cogx_runs.tracking.delivery import Delivered


def plan_sweeps(
    files: Sequence[str | Path | Sweep],
    *,
    overrides: Mapping[str, Any] | None = None,
    prompts: Path | None = None,
    device: str = "auto",
    use_store: bool = True,
    tracking_uri: str | None = None,
    retry_failed: bool = False,
    max_vram: float | None = None,
    take_over: bool = False,
    gpu: str | None = None,
) -> Plan:
    """Plans one or more sweep files, or sweeps made in Python. Loads no model and creates no tracking store.

    `overrides` replace values of each file's `base`; `prompts` is a folder of prompts; `device` is `auto`, `cuda` or
    `cpu`; `max_vram` is the most that torch may take of the GPU, in GiB. `gpu` plans for another machine's card, by its
    name, such as `RTX 3060`, or its memory, such as `12GB`; such a plan cannot be executed. Raises InputError naming
    every mistake of the files at once; what the model's rules say against a plan that can be read is in its `advice`,
    what it takes in its `cost`. Of a search the plan holds the cells up to the next trial.
    """
    conditions = Conditions(PromptLibrary.find(prompts), device, retry_failed, max_vram, take_over, gpu)
    named = [file for file in files if not isinstance(file, Sweep)]
    sweeps = load_sweeps(named, overrides, conditions.library)
    sweeps += [sweep for sweep in files if isinstance(sweep, Sweep)]
    planner = Planner(conditions, tracking_uri, use_store)
    history = planner.history()
    plan = planner.plan_cells([sweep for sweep in sweeps if sweep.optuna is None], history)
    for sweep in sweeps:
        if sweep.optuna is not None:
            plan = add_search(plan, Search(sweep, planner), history, retry_failed)
    return planner.complete(replace(plan, sweeps=tuple(sweeps)), history)


def run_sweeps(
    files: Sequence[str | Path],
    *,
    overrides: Mapping[str, Any] | None = None,
    prompts: Path | None = None,
    device: str = "auto",
    tracking_uri: str | None = None,
    retry_failed: bool = False,
    max_vram: float | None = None,
    take_over: bool = False,
    fail_fast: bool = False,
    progress: Progress | None = None,
    executor: "Executor | None" = None,
) -> Records[Outcome]:
    """Runs every cell of the sweep files that is not finished yet, and tracks it. Returns the outcome of each cell.

    Takes the options of `plan_sweeps` and `execute`. Raises InputError where the files or the model's rules forbid the
    plan, CogxError where no cell can run.
    """
    plan = plan_sweeps(
        files,
        overrides=overrides,
        prompts=prompts,
        device=device,
        tracking_uri=tracking_uri,
        retry_failed=retry_failed,
        max_vram=max_vram,
        take_over=take_over,
    )
    return execute(plan, tracking_uri=tracking_uri, fail_fast=fail_fast, progress=progress, executor=executor)


def execute(
    plan: Plan,
    *,
    tracking_uri: str | None = None,
    fail_fast: bool = False,
    progress: Progress | None = None,
    executor: "Executor | None" = None,
) -> Records[Outcome]:
    """Runs a plan, its searches after its other cells, by an executor on this machine unless one is given.

    Raises InputError where the plan's advice holds errors, CogxError where no cell can run.
    """
    plan.check()
    progress = progress or SilentProgress()
    outcomes: Records[Outcome] = Records()
    with entered(executor, tracking_uri) as used:
        searches = _searches(plan, tracking_uri)
        for search in searches:  # by the memory that is free before anything is loaded
            search.choose_placement()
        ordinary = _without_searches(plan)
        if ordinary.runs or not searches:
            outcomes += used.run(ordinary, progress, fail_fast=fail_fast)
        for search in searches:
            if fail_fast and any(outcome.status is OutcomeStatus.FAILED for outcome in outcomes):
                progress.note(f"{search.sweep.name} is not begun, since a cell failed")
                break
            retry_failed = search.planner.conditions.retry_failed
            outcomes += run_search(search, used, progress, retry_failed=retry_failed, fail_fast=fail_fast)
    return _compared_with_exact(outcomes, progress, tracking_uri)


def _compared_with_exact(outcomes: Records[Outcome], progress: Progress, tracking_uri: str | None) -> Records[Outcome]:
    """Compares the approximate cells of sweeps that have the exact ones too with those, and adds the values."""
    finished = [outcome.spec for outcome in outcomes if outcome.status.is_success]
    approximate = {spec.sweep: spec.device for spec in finished if spec.not_bitwise}
    values: dict[str | None, Mapping[str, float]] = {}
    for sweep in dict.fromkeys(spec.sweep for spec in finished if not spec.not_bitwise and spec.sweep in approximate):
        from cogx_runs.rescore.rescoring import compare_with_exact

        try:
            compared = compare_with_exact(
                sweep, device=approximate[sweep], tracking_uri=tracking_uri, report=progress.phase
            )
        except CogxError as error:
            progress.note(f"{sweep}: not compared with its exact cells: {first_line(error)}")
            continue
        values |= {run.run_id: run.values for run in compared}
        for run in compared:
            for problem in run.problems:
                progress.note(f"{run.run_name}: not compared with its exact cell: {problem}")
    return Records(
        replace(outcome, metrics={**(outcome.metrics or {}), **values[outcome.run_id]})
        if outcome.run_id in values
        else outcome
        for outcome in outcomes
    )


def best_trials(
    sweep: str | Path | Sweep,
    *,
    every: bool = False,
    overrides: Mapping[str, Any] | None = None,
    prompts: Path | None = None,
    device: str = "auto",
    tracking_uri: str | None = None,
) -> "pd.DataFrame":
    """Finds the best trial of a search, or of two objectives the Pareto front, the best in the first one first; with
    `every` returns all of its trials in order.

    One row a trial: `trial` (counted from 1), `state` (`finished`, `failed`, `open`), `best`, `cells` (how many the
    means rest on), each searched parameter, and the mean of each objective over the cells. The best of many noisy
    trials looks better than it is: compare it on other seeds. Takes a sweep file with `vary: optuna`, and the options
    of `plan_sweeps` that it was run with. Raises CogxError for a file without a search.
    """
    import pandas as pd

    found = [sweep] if isinstance(sweep, Sweep) else load_sweeps([sweep], overrides)
    searches = [one for one in found if one.optuna is not None]
    if len(searches) != 1:
        raise CogxError(f"{sweep}: holds {len(searches)} sweeps with `vary: optuna`; name a file with one")
    planner = Planner(Conditions(PromptLibrary.find(prompts), device), tracking_uri)
    result = result_of(Search(searches[0], planner), planner.history())
    return pd.DataFrame(result.rows(every), columns=result.columns)


def search_results(plan: Plan, *, tracking_uri: str | None = None) -> list[SearchResult]:
    """Reads what each search of a plan has come to from the tracking store."""
    searches = _searches(plan, tracking_uri)
    history = searches[0].planner.history() if searches else []
    return [result_of(search, history) for search in searches]


def plan_one(
    prompt: str,
    *,
    as_text: bool = False,
    overrides: Mapping[str, Any] | None = None,
    prompts: Path | None = None,
    device: str = "auto",
    tracking_uri: str | None = None,
    max_vram: float | None = None,
    take_over: bool = False,
) -> Plan:
    """Plans a single video in the experiment `generate`. `prompt` is a prompt's name or its text, a single word only
    with `as_text`."""
    library = PromptLibrary.find(prompts)
    text = " ".join(prompt.split())
    if prompt in library and not as_text:
        chosen = library.read(prompt)
    elif " " in text or (text and as_text):
        chosen = Prompt.of_text(text)
    else:
        raise CogxError(
            f"no prompt {shortened(prompt)} in {library.directory}; {did_you_mean(prompt, library.names)} "
            "(a text of one word needs --as-text)"
        )
    one = Sweep(
        name="generate",
        file="(command line)",
        description="Single videos.",
        prompts=((chosen,),),
        base=parameters_of(overrides or {}),
        axes={},
        vary="one_at_a_time",
    )
    conditions = Conditions(library, device, True, max_vram, take_over)
    return Planner(conditions, tracking_uri).plan([one])


def generate(prompt: str, *, tracking_uri: str | None = None, **options: Any) -> Outcome:
    """Makes one video and tracks it in the experiment `generate`; one that is finished is not made again.

    Takes the options of `plan_one`. Raises InputError for parameters that are wrong.
    """
    return execute(plan_one(prompt, tracking_uri=tracking_uri, **options), tracking_uri=tracking_uri)[0]


def deliver(*, tracking_uri: str | None = None) -> "list[Delivered]":
    """Brings to the tracking store what earlier processes of this machine have left in the spool, since the store did
    not answer or they were killed. A sweep does the same when it starts.

    Raises StoreUnavailableError where the store does not answer; what is left is kept.
    """
    if not left_behind() or not store_exists(tracking_uri):
        return []
    from cogx_runs.tracking.delivery import deliver_left_behind, telling_what_is_kept
    from cogx_runs.tracking.store import RunStore

    with telling_what_is_kept(tracking_uri):
        return list(deliver_left_behind(RunStore(tracking_uri)))


@dataclass(frozen=True)
class SweepEffects:
    """The effects in an experiment, judged over all looks at its primary metric."""

    effects: "list[Effect]"
    looks: "Looks"
    """The looks at the primary metric, this one among them."""
    notes: tuple[str, ...]
    """What the verdicts rest on after the first look, what was changed since, and what is not known or kept."""


def sweep_effects(
    sweep: str,
    axes: str | Sequence[str],
    metrics: str | Sequence[str] | None = None,
    baselines: Mapping[str, Any] | None = None,
    margins: "Mapping[str, Margin | None] | None" = None,
    *,
    where: Sequence[str] = (),
    apart: bool = False,
    tracking_uri: str | None = None,
) -> SweepEffects:
    """Judges the effects in an experiment as a report does: by its primary metric, with the looks at it so far, and
    keeps this look. `effects` does the same to any runs, and keeps none.

    `sweep` is an experiment's name or a sweep file, of which cells that no run was begun of count as lost pairs; the
    other options are those of `effects` and `load_runs`. Raises the errors of both, and CogxError for a file of several
    experiments.
    """
    from cogx_runs.analysis.effects import METRICS, contrasts, judge_contrasts
    from cogx_runs.analysis.frame import load_runs
    from cogx_runs.analysis.looks import changed_since, keep_looks, looks_of, primary_of
    from cogx_runs.analysis.promotion.chosen import without_chosen
    from cogx_runs.analysis.sequential import ONE_LOOK
    from cogx_runs.analysis.signflips import FEWEST
    from cogx_runs.analysis.wording import looks_sentence
    from cogx_runs.report.unbegun import add_unbegun
    from cogx_runs.tracking.store import RunStore

    runs = load_runs(sweep, where=where, tracking_uri=tracking_uri)
    store = RunStore(tracking_uri)
    experiments = experiments_of(sweep, store)
    if len(experiments) > 1:
        raise CogxError(f"{sweep}: names {len(experiments)} experiments, {', '.join(experiments)}; judge one of them")
    (name,) = experiments
    notes: list[str] = []
    if not where:
        runs, notes = add_unbegun(runs, name, sweep)
    tags = store.experiment_tags(store.experiment_id(name))
    primary = primary_of(tags)
    found = contrasts(without_chosen(runs), axes, metrics or METRICS, baselines, primary=primary, apart=apart)
    prompts = max((len(one.pairs.each) for one in found if one.family == "primary"), default=0)
    looks = ONE_LOOK
    if prompts >= FEWEST:
        looks = looks_of(tags, primary).at(prompts)
        if not_kept := keep_looks(store, name, primary, looks):
            notes.append(f"The store does not keep this look: {not_kept}")
    notes = [*filter(None, [looks_sentence(looks)]), *changed_since(tags, primary), *notes]
    return SweepEffects(judge_contrasts(found, margins or {}, looks), looks, tuple(notes))


def video_of(outcome: Outcome, target: str | Path, *, tracking_uri: str | None = None) -> Path:
    """Copies the video of a finished cell to `target`. Raises CogxError where it cannot be written,
    DamagedArtifactError where the video is not what was logged."""
    from cogx_runs.tracking.artifacts import VIDEO
    from cogx_runs.tracking.reader import RunReader

    store = RunReader(tracking_uri)
    run = store.find_finished(outcome.spec.output_hash)
    if run is None:
        raise CogxError(f"{outcome.spec.run_name}: has no finished run")
    with temporary_folder() as folder:
        try:
            video = store.download(run.run_id, VIDEO, folder)
        except DamagedArtifactError as error:
            again = f"`cogx-runs verify {run.experiment}` marks it, and the same command makes it again"
            raise DamagedArtifactError(f"{error}; {again}") from error
        try:
            return Path(shutil.copy(video, target))
        except OSError as error:
            raise CogxError(f"--output {target}: cannot be written ({error.strerror})") from error


@contextmanager
def open_dashboard(
    sweeps: str | Sequence[str] = (),
    *,
    model: str | None = None,
    prompt: str | None = None,
    port: int | None = None,
    tracking_uri: str | None = None,
) -> "Iterator[Dashboard]":
    """Serves MLflow's UI while the block runs. Its `address` is the view of one sweep, of the runs of one model or
    prompt where that is named; the overviews of several sweeps side by side; or, for none, the list of experiments.

    Raises CogxError for a sweep, model or prompt that has not been run, and where the server does not answer.
    """
    from cogx_runs.dashboard.board import show, show_several
    from cogx_runs.dashboard.server import ALL_EXPERIMENTS, serve
    from cogx_runs.dashboard.view import RunFilter
    from cogx_runs.tracking.store import RunStore

    store = RunStore(tracking_uri)
    sweeps = [sweeps] if isinstance(sweeps, str) else sweeps
    names = list(dict.fromkeys(name for sweep in sweeps for name in experiments_of(sweep, store)))
    if len(names) != 1 and (model or prompt):
        raise CogxError("--model and --prompt choose among the runs of one sweep; name one")
    page = ALL_EXPERIMENTS
    if len(names) > 1:
        page = show_several(store, names)
    elif names:
        page = show(store, names[0], RunFilter(model, prompt))
    with serve(page, port=port, uri=tracking_uri) as server:
        yield server


def _searches(plan: Plan, tracking_uri: str | None) -> list[Search]:
    """The searches of a plan."""
    if not plan.searches:
        return []
    assert plan.conditions is not None, "a plan with searches says under what they are planned"
    planner = Planner(plan.conditions, tracking_uri)
    return [Search(sweep, planner) for sweep in plan.searches]


def _without_searches(plan: Plan) -> Plan:
    """The plan's other cells."""
    sweeps = tuple(sweep for sweep in plan.sweeps if sweep.optuna is None)
    names = {sweep.name for sweep in sweeps}
    runs = tuple(run for run in plan.runs if run.spec.sweep in names)
    return replace(plan, sweeps=sweeps, runs=runs, cells_to_come=0)

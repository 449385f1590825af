"""What a notebook calls: plan, sweep and generate, from files to records."""

import math
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cogx_runs.definitions.prompts import Prompt, PromptLibrary
from cogx_runs.definitions.sweep import Sweep, load_sweeps, parameters_of
from cogx_runs.errors import CogxError, InputError, Mistake, did_you_mean
from cogx_runs.execution.outcomes import Outcome, Reporter, SilentReporter
from cogx_runs.metrics.registry import versions
from cogx_runs.models.memory import Budget
from cogx_runs.planning.actions import PastRun, choose_actions
from cogx_runs.planning.advice import advise, advise_rescoring
from cogx_runs.planning.cells import resolve_cells
from cogx_runs.planning.cost import CostModel
from cogx_runs.planning.plan import Advice, Conditions, Plan, PlannedRun
from cogx_runs.search.optuna.forecast import advise_search, outlook
from cogx_runs.search.optuna.results import SearchResult, result_of
from cogx_runs.search.optuna.trials import Search
from cogx_runs.system.hardware import avoid_fragmentation, choose_device
from cogx_runs.tracking.experiments import experiments_of
from cogx_runs.tracking.uri import store_exists

if TYPE_CHECKING:
    import pandas as pd

    from cogx_runs.dashboard.server import Dashboard
    from cogx_runs.execution.session import Workbench


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
) -> Plan:
    """The plan of one or more sweep files, or sweeps made in Python. Loads no model and creates no tracking store.

    `overrides` replace values of each file's `base`; `prompts` is a folder of prompts; `device` is `auto`, `cuda` or
    `cpu`; `max_vram` is the most that torch may take of the GPU, in GiB. Raises InputError naming every mistake of the
    files at once; what the model's rules say against a plan that can be read is in its `advice`. Of a search the plan
    holds the cells up to the next trial.
    """
    conditions = Conditions(PromptLibrary.find(prompts), device, retry_failed, max_vram)
    sweeps = load_sweeps([file for file in files if not isinstance(file, Sweep)], overrides)
    sweeps += [sweep for sweep in files if isinstance(sweep, Sweep)]
    history = _history(use_store, tracking_uri)
    planned = _plan([sweep for sweep in sweeps if sweep.optuna is None], conditions, history)
    for sweep in sweeps:
        if sweep.optuna is not None:
            planned = _with_search(planned, _search(sweep, conditions), retry_failed, history)
    return _with_rescoring(replace(planned, sweeps=tuple(sweeps), conditions=conditions), history)


def run_sweeps(
    files: Sequence[str | Path],
    *,
    overrides: Mapping[str, Any] | None = None,
    prompts: Path | None = None,
    device: str = "auto",
    tracking_uri: str | None = None,
    retry_failed: bool = False,
    max_vram: float | None = None,
    fail_fast: bool = False,
    reporter: Reporter | None = None,
) -> list[Outcome]:
    """Run every cell of the sweep files that is not finished yet, and track it. Returns what became of each cell.

    Raises InputError where the files or the model's rules forbid the plan, CogxError where no cell can run.
    """
    planned = plan_sweeps(
        files,
        overrides=overrides,
        prompts=prompts,
        device=device,
        tracking_uri=tracking_uri,
        retry_failed=retry_failed,
        max_vram=max_vram,
    )
    return execute(planned, tracking_uri=tracking_uri, fail_fast=fail_fast, reporter=reporter)


@contextmanager
def workbench() -> "Iterator[Workbench]":
    """What `execute` runs plans on; the model stays loaded from one plan to the next while the block lasts."""
    avoid_fragmentation()
    from cogx_runs.execution.session import Workbench

    with Workbench() as bench:
        yield bench


def execute(
    planned: Plan,
    *,
    tracking_uri: str | None = None,
    fail_fast: bool = False,
    reporter: Reporter | None = None,
    bench: "Workbench | None" = None,
) -> list[Outcome]:
    """Run a plan, on a workbench of its own unless one is given. Raises InputError where its advice holds errors,
    CogxError where no cell can run."""
    if planned.errors:
        raise InputError(Mistake(advice.where, advice.message) for advice in planned.errors)
    with workbench() if bench is None else nullcontext(bench) as used:
        return _execute(planned, used, tracking_uri, fail_fast, reporter or SilentReporter())


def _execute(
    planned: Plan, bench: "Workbench", tracking_uri: str | None, fail_fast: bool, reporter: Reporter
) -> list[Outcome]:
    from cogx_runs.execution.local import Runner
    from cogx_runs.tracking.store import RunStore

    store, ordinary = RunStore(tracking_uri), _ordinary(planned)
    retry_failed = planned.conditions is not None and planned.conditions.retry_failed
    outcomes: list[Outcome] = []
    searches = _searches(planned)
    for search in searches:  # by the memory that is free before anything is loaded
        search.choose_placement()
    if ordinary.runs or not planned.searches:
        outcomes += Runner(ordinary, store, reporter, bench).run(fail_fast)
    for search in searches:
        if fail_fast and any(outcome.status == "failed" for outcome in outcomes):
            reporter.note(f"{search.sweep.name} is not begun, since a cell failed")
            break
        outcomes += search.run(
            lambda trial: Runner(trial, store, reporter, bench).run(fail_fast=True),
            store.history,
            reporter,
            retry_failed=retry_failed,
            fail_fast=fail_fast,
        )
    return outcomes


def best_trials(
    sweep: str | Path | Sweep,
    *,
    every: bool = False,
    overrides: Mapping[str, Any] | None = None,
    prompts: Path | None = None,
    device: str = "auto",
    tracking_uri: str | None = None,
) -> "pd.DataFrame":
    """The best trial of a search, or of two objectives the Pareto front, the best in the first one first; with `every`
    all of its trials in order.

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
    history = _history(True, tracking_uri)
    result = result_of(_search(searches[0], Conditions(PromptLibrary.find(prompts), device)), history)
    return pd.DataFrame(result.rows(every), columns=result.columns)


def search_results(planned: Plan, *, tracking_uri: str | None = None) -> list[SearchResult]:
    """What each search of a plan has come to, as the tracking store has it now."""
    if not planned.searches:
        return []
    history = _history(True, tracking_uri)
    return [result_of(search, history) for search in _searches(planned)]


def plan_one(
    prompt: str,
    *,
    as_text: bool = False,
    overrides: Mapping[str, Any] | None = None,
    prompts: Path | None = None,
    device: str = "auto",
    tracking_uri: str | None = None,
    max_vram: float | None = None,
) -> Plan:
    """The plan of a single video in the experiment `generate`. `prompt` is a prompt's name or its text, a single
    word only with `as_text`."""
    library = PromptLibrary.find(prompts)
    text = " ".join(prompt.split())
    if prompt in library.names and not as_text:
        chosen = library.read(prompt)
    elif " " in text or (text and as_text):
        chosen = Prompt(re.sub(r"\W+", "_", text.lower())[:40].strip("_"), text, "(command line)")
    else:
        raise CogxError(
            f"no prompt {prompt!r} in {library.directory}; {did_you_mean(prompt, library.names)} "
            "(a text of one word needs --as-text)"
        )
    one = Sweep(
        name="generate",
        file="(command line)",
        description="Single videos.",
        prompts=(chosen.name,),
        base=parameters_of(overrides or {}),
        axes={},
        vary="one_at_a_time",
    )
    conditions = Conditions(PromptLibrary(library.directory, given=chosen), device, True, max_vram)
    history = _history(True, tracking_uri)
    return _with_rescoring(_plan([one], conditions, history), history)


def generate(prompt: str, *, tracking_uri: str | None = None, **options: Any) -> Outcome:
    """Make one video and track it in the experiment `generate`; one that is finished is not made again.

    Takes the options of `plan_one`. Raises InputError for parameters that are wrong.
    """
    planned = plan_one(prompt, tracking_uri=tracking_uri, **options)
    return execute(planned, tracking_uri=tracking_uri)[0]


def video_of(outcome: Outcome, target: str | Path, *, tracking_uri: str | None = None) -> Path:
    """Copy the video of a finished cell to `target`. Raises CogxError where it cannot be written."""
    from cogx_runs.tracking.store import RunStore

    store = RunStore(tracking_uri)
    run = store.find_finished(outcome.spec.output_hash)
    if run is None:
        raise CogxError(f"{outcome.spec.run_name}: has no finished run")
    with tempfile.TemporaryDirectory(prefix="cogx-runs-") as folder:
        video = store.download(run.info.run_id, "video.mp4", Path(folder))
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
    """MLflow's server while the block runs. Its `address` is the view of one sweep, of the runs of one model or prompt
    where that is named; the comparison of several sweeps; or, for none, the list of experiments.

    Raises CogxError for a sweep, model or prompt that has not been run, and where the server does not answer.
    """
    from cogx_runs.dashboard.board import show
    from cogx_runs.dashboard.server import ALL_EXPERIMENTS, comparison, serve
    from cogx_runs.dashboard.view import Only
    from cogx_runs.tracking.store import RunStore

    store = RunStore(tracking_uri)
    sweeps = [sweeps] if isinstance(sweeps, str) else sweeps
    names = list(dict.fromkeys(name for sweep in sweeps for name in experiments_of(sweep, store)))
    if len(names) != 1 and (model or prompt):
        raise CogxError("--model and --prompt choose among the runs of one sweep; name one")
    pages = [show(store, name, Only(model, prompt)) for name in names]
    if len(names) > 1:
        pages = [comparison([store.experiment_id(name) for name in names])]
    page = pages[0] if pages else ALL_EXPERIMENTS
    with serve(page, port=port, uri=tracking_uri) as server:
        yield server


def _plan(sweeps: Sequence[Sweep], conditions: Conditions, history: Sequence[PastRun]) -> Plan:
    max_vram = conditions.max_vram_gib
    if max_vram is not None and not 0 < max_vram < math.inf:
        raise CogxError(f"--max-vram {max_vram:g}: must be a number of GiB above 0")
    device = choose_device(conditions.device)
    budget = Budget.here(device, max_vram)
    specs, cards = resolve_cells(sweeps, conditions.library, device, versions(), budget)
    costs = CostModel(history)
    decisions = choose_actions(specs, history, conditions.retry_failed)
    runs = tuple(
        PlannedRun(spec, decision, costs.estimate(spec, decision))
        for spec, decision in zip(specs, decisions, strict=True)
    )
    advice = advise(specs, sweeps, cards, budget)
    if max_vram is not None and device == "cpu":
        advice.append(Advice("note", "(command line):max_vram", "has no effect on a CPU"))
    return Plan(tuple(sweeps), runs, tuple(advice), cards, None if budget is None else max_vram)


def _with_rescoring(planned: Plan, history: Sequence[PastRun]) -> Plan:
    """The plan with a note on what `rescore` would do better."""
    return replace(planned, advice=(*planned.advice, *advise_rescoring(planned.runs, planned.sweeps, history)))


def _search(sweep: Sweep, conditions: Conditions) -> Search:
    """The search of a sweep, whose trials are planned under these conditions."""

    def plan(sweeps: Sequence[Sweep], history: Sequence[PastRun], retry_failed: bool) -> Plan:
        return _plan(sweeps, replace(conditions, retry_failed=retry_failed), history)

    return Search(sweep, plan)


def _searches(planned: Plan) -> list[Search]:
    """The searches of a plan."""
    if not planned.searches:
        return []
    assert planned.conditions is not None, "a plan with searches says under what they are planned"
    return [_search(sweep, planned.conditions) for sweep in planned.searches]


def _with_search(planned: Plan, search: Search, retry_failed: bool, history: Sequence[PastRun]) -> Plan:
    """The plan with what can be told of a search beforehand: its cells up to the next trial, and its outlook."""
    advice = advise_search(search)
    if any(item.level == "error" for item in advice):
        return replace(planned, advice=tuple(dict.fromkeys((*planned.advice, *advice))))
    trials = search.known(history, retry_failed)
    to_come, cells = outlook(search, trials)
    return replace(
        planned,
        runs=(*planned.runs, *(run for trial in trials for run in trial.plan.runs)),
        advice=tuple(dict.fromkeys((*planned.advice, *advice, to_come))),
        cells_to_come=planned.cells_to_come + cells,
    )


def _ordinary(planned: Plan) -> Plan:
    """The plan without its searches."""
    sweeps = tuple(sweep for sweep in planned.sweeps if sweep.optuna is None)
    names = {sweep.name for sweep in sweeps}
    runs = tuple(run for run in planned.runs if run.spec.sweep in names)
    return replace(planned, sweeps=sweeps, runs=runs, cells_to_come=0)


def _history(use_store: bool, tracking_uri: str | None) -> list[PastRun]:
    if not use_store or not store_exists(tracking_uri):
        return []
    from cogx_runs.tracking.store import RunStore

    return RunStore(tracking_uri).history()

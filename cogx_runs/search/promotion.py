"""Candidates at few steps, and the best of them made again at many, in the same experiment."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from cogx_runs.analysis.frame import load_runs
from cogx_runs.analysis.promotion.agreement import Agreement, agreement
from cogx_runs.analysis.promotion.choice import Candidate, Choice, choose, direction_to_choose_by, rescoring
from cogx_runs.analysis.promotion.finals import Comparison, Promoted, compare, metric_to_check_by, promoted
from cogx_runs.analysis.promotion.previews import STEPS, of_newest_texts
from cogx_runs.analysis.promotion.wording import no_agreement, say_agreement, say_comparison
from cogx_runs.definitions.parameters import RESOLVED, Parameters
from cogx_runs.definitions.prompts import PromptLibrary
from cogx_runs.definitions.spec import PIXEL_FIELDS
from cogx_runs.definitions.sweep import Sweep, parameters_of
from cogx_runs.errors import CogxError
from cogx_runs.execution.executor import Executor
from cogx_runs.execution.outcomes import Outcome
from cogx_runs.models.cards import HUB_MODELS, NAMES
from cogx_runs.planning.actions import Action
from cogx_runs.planning.plan import Advice, Conditions, Plan, PlannedRun
from cogx_runs.planning.planner import Planner
from cogx_runs.progress import Progress, SilentProgress
from cogx_runs.tracking.artifacts import CONFIG
from cogx_runs.tracking.experiments import experiments_of
from cogx_runs.tracking.store import RunStore
from cogx_runs.tracking.tags import AXES, PROMOTED_BY, PROMOTED_FROM, PROMOTED_RANK, QUESTION, SWEEP_FILE
from cogx_runs.tracking.uri import store_exists

COMMAND_LINE = "(command line)"


@dataclass(frozen=True)
class PlannedPromotion:
    """Which candidates are to be made again, and the plan that does it."""

    experiment: str
    choice: Choice
    check: str | None
    """The metric that did not choose; None where the candidates have no other."""
    plan: Plan


@dataclass(frozen=True)
class Promotion:
    """What came of it."""

    planned: PlannedPromotion
    outcomes: tuple[Outcome, ...]
    promoted: tuple[Promoted, ...]
    comparisons: tuple[Comparison, ...]
    agreement: Agreement | None
    """None where not every candidate of any prompt is there at both step counts."""
    sentences: tuple[str, ...]
    """What the figures say, and what they cannot."""


def promote(
    sweep: str,
    *,
    by: str,
    tracking_uri: str | None = None,
    progress: Progress | None = None,
    executor: Executor | None = None,
    **options: Any,
) -> Promotion:
    """Makes the best candidates of each prompt again at more steps, in the experiment that they are of.

    Takes the options of `plan_promotion`, and raises what it raises.
    """
    planned = plan_promotion(sweep, by=by, tracking_uri=tracking_uri, **options)
    return carry_out(planned, tracking_uri=tracking_uri, progress=progress, executor=executor)


def plan_promotion(
    sweep: str,
    *,
    by: str,
    steps: int = 50,
    from_steps: int | None = None,
    top: int | None = 1,
    check: str | None = None,
    device: str = "auto",
    max_vram: float | None = None,
    retry_failed: bool = False,
    tracking_uri: str | None = None,
) -> PlannedPromotion:
    """Chooses the `top` best candidates of each prompt of an experiment, or of a sweep file's, and plans them at
    `steps`. Loads no model.

    Candidates are the finished cells at `from_steps`, by default the one count below `steps` that is there; `top` None
    takes all of them. `check` is a metric that does not choose, by default the first that every candidate has. All
    else of a candidate stays as its run says, whatever this machine or the sweep file would make of it now; only its
    placement, which changes no pixel, is chosen anew. Raises CogxError where the candidates cannot be told or ranked,
    or where one cannot be made again as it was.
    """
    parameters_of({STEPS: steps})
    if top is not None and top < 1:
        raise CogxError(f"--top {top}: must be 1 or more, or all")
    if not store_exists(tracking_uri):
        raise CogxError("no runs yet: there is no tracking store here; `cogx-runs sweep FILE` makes one")
    store = RunStore(tracking_uri)
    experiments = experiments_of(sweep, store)
    if len(experiments) > 1:
        raise CogxError(f"{sweep}: names {len(experiments)} experiments, {', '.join(experiments)}; promote one of them")
    (experiment,) = experiments
    frame = load_runs(experiment, tracking_uri=tracking_uri)
    choice = choose(frame, by, steps, from_steps=from_steps, top=top)
    if check is not None:
        direction_to_choose_by(frame, check, "--check")
        if check == by:
            raise CogxError(f"--check {check}: is the metric that chooses; name another")
    plan = _plan(store, experiment, choice, device=device, max_vram=max_vram, retry_failed=retry_failed)
    return PlannedPromotion(experiment, choice, check or metric_to_check_by(frame, choice), plan)


def carry_out(
    planned: PlannedPromotion,
    *,
    tracking_uri: str | None = None,
    progress: Progress | None = None,
    executor: Executor | None = None,
) -> Promotion:
    """Runs the plan of a promotion, tags its runs with their lineage, and compares previews with finals.

    Raises InputError where the plan's advice holds errors, CogxError where no cell can run.
    """
    from cogx_runs.execution.local import LocalExecutor

    planned.plan.check()
    with LocalExecutor(tracking_uri) if executor is None else nullcontext(executor) as used:
        outcomes = used.run(planned.plan, progress or SilentProgress())
    choice, check = planned.choice, planned.check
    _tag(RunStore(tracking_uri), planned, outcomes)
    frame = load_runs(planned.experiment, tracking_uri=tracking_uri)
    found = promoted(frame, choice, check)
    comparisons = compare(frame, choice, choice.by)
    if check is not None:
        comparisons += compare(frame, choice, check)
    agreed = agreement(of_newest_texts(frame, choice.from_steps), choice.by, choice.from_steps, choice.steps)
    said = [say_comparison(comparison, choice) for comparison in comparisons]
    said += [no_agreement(choice)] if agreed is None else say_agreement(agreed)
    said += _lacking(planned, outcomes, found)
    return Promotion(planned, tuple(outcomes), found, comparisons, agreed, tuple(said))


def lineage(present: Mapping[str, str], candidate: Candidate, by: str) -> dict[str, str]:
    """The tags of a run that a candidate was made again as, with the metrics that chose the same one before."""
    chosen = {}
    if present.get(PROMOTED_FROM) == candidate.run_id:
        chosen = dict(
            zip(present.get(PROMOTED_BY, "").split(", "), present.get(PROMOTED_RANK, "").split(", "), strict=False)
        )
    chosen[by] = f"{candidate.rank} of {candidate.of}"
    return {PROMOTED_FROM: candidate.run_id, PROMOTED_BY: ", ".join(chosen), PROMOTED_RANK: ", ".join(chosen.values())}


def _plan(
    store: RunStore, experiment: str, choice: Choice, *, device: str, max_vram: float | None, retry_failed: bool
) -> Plan:
    """The chosen candidates at the final step count as one plan, with their lineage in tags."""
    configs = {one.run_id: _config(store, one) for one in choice.promoted}
    tags = store.experiment_tags(store.experiment_id(experiment))
    axes = list(dict.fromkeys([*json.loads(tags.get(AXES, "{}")), STEPS]))
    cells = [_cell(experiment, configs[one.run_id], choice.steps, axes) for one in choice.promoted]
    with tempfile.TemporaryDirectory(prefix="cogx-runs-") as folder:  # the library's own texts may have changed since
        for config in configs.values():
            (Path(folder) / f"{config['prompt_name']}.txt").write_text(config["prompt"], encoding="utf-8")
        conditions = Conditions(PromptLibrary.find(Path(folder)), device, retry_failed, max_vram)
        planned = Planner(conditions, store.uri).plan(cells)
    runs = []
    for run in planned.runs:
        candidate = next((one for one in choice.promoted if _is_same(run, configs[one.run_id])), None)
        if candidate is None:
            raise CogxError(_changed(run, configs, choice))
        runs.append(replace(run, tags=lineage({}, candidate, choice.by)))
    whole = Sweep(
        name=experiment,
        file=tags.get(SWEEP_FILE, COMMAND_LINE),
        description=tags.get(QUESTION, ""),
        prompts=tuple(dict.fromkeys(one.prompt for one in choice.promoted)),
        base=cells[0].base,
        axes={axis: tuple(dict.fromkeys(value for cell in cells for value in cell.axes[axis])) for axis in axes},
        vary="zip",
    )
    return replace(planned, sweeps=(whole,), runs=tuple(runs), advice=_advice(planned, choice))


def _config(store: RunStore, candidate: Candidate) -> dict[str, Any]:
    """What a run was made of, each value in its own type. Raises CogxError where it does not say."""
    with tempfile.TemporaryDirectory(prefix="cogx-runs-") as folder:
        text = store.download(candidate.run_id, CONFIG, Path(folder)).read_text(encoding="utf-8")
    try:
        config = yaml.safe_load(text)
    except yaml.YAMLError:
        config = None
    needed = {"prompt_name", "prompt", "model", "model_source", "model_revision", "seed", *RESOLVED}
    lacking = sorted(needed - set(config)) if isinstance(config, dict) else ["parameters"]
    if lacking:
        raise CogxError(
            f"{candidate.run_name} (run {candidate.run_id}): its config.yaml has no {', '.join(lacking)}, so that it "
            "cannot be made again as it was"
        )
    return dict(config)


def _cell(experiment: str, config: Mapping[str, Any], steps: int, axes: Sequence[str]) -> Sweep:
    """A sweep of one cell: this configuration with another step count."""
    named = config["model"] in NAMES or str(Path(config["model"]).expanduser().absolute()) == config["model_source"]
    given = {name: config[name] for name in Parameters.model_fields if name in config} | {
        "model": config["model"] if named else config["model_source"],
        "revision": config["model_revision"] if config["model"] in HUB_MODELS else None,
        "placement": "auto",
        STEPS: steps,
    }
    base = parameters_of(given)
    return Sweep(
        name=experiment,
        file=COMMAND_LINE,
        description="",
        prompts=(config["prompt_name"],),
        base=base,
        axes={axis: (getattr(base, axis),) for axis in axes},
        vary="zip",
    )


def _is_same(run: PlannedRun, config: Mapping[str, Any]) -> bool:
    """Whether a planned cell is a candidate but for its step count."""
    return not _differences(run, config) and run.spec.prompt_name == config["prompt_name"]


def _differences(run: PlannedRun, config: Mapping[str, Any]) -> list[str]:
    """What changes the pixels and is not as it was, the step count aside. What the package knew nothing of when the
    run was made has the value that changes nothing."""
    return [
        name for name in PIXEL_FIELDS if name != STEPS and name in config and getattr(run.spec, name) != config[name]
    ]


def _changed(run: PlannedRun, configs: Mapping[str, Mapping[str, Any]], choice: Choice) -> str:
    """Why no candidate would come of a planned cell."""
    nearest = min(choice.promoted, key=lambda one: len(_differences(run, configs[one.run_id])))
    names = _differences(run, configs[nearest.run_id])
    what = ", ".join(
        f"{name} was {configs[nearest.run_id][name]} and is now {getattr(run.spec, name)}" for name in names
    )
    return f"{nearest.run_name} (run {nearest.run_id}): cannot be made again as it was: {what}"


def _advice(planned: Plan, choice: Choice) -> tuple[Advice, ...]:
    """The plan's, with what the choice has to say."""
    said = [Advice("note", f"--by {choice.by}", note) for note in choice.notes]
    here = {run.spec.device for run in planned.runs}
    elsewhere = sorted({one.device for one in choice.promoted} - here)
    if elsewhere and any(run.action is Action.RUN for run in planned.runs):
        message = (
            f"the candidates were made on {' and '.join(elsewhere)}, and these are on {' and '.join(sorted(here))}: "
            "their pixels differ in rounding too, and not by the steps alone"
        )
        said.append(Advice("warning", "--device", message))
    own = [replace(one, where="--steps") if one.where.endswith(f".{STEPS}") else one for one in planned.advice]
    order = ("error", "warning", "note")
    return tuple(sorted([*own, *said], key=lambda one: order.index(one.level)))


def _tag(store: RunStore, planned: PlannedPromotion, outcomes: Sequence[Outcome]) -> None:
    """Give each final run its lineage, where it has it not: those that were finished before, too."""
    candidates = {one.run_id: one for one in planned.choice.promoted}
    finals = {
        outcome.run_id: candidates[run.tags[PROMOTED_FROM]]
        for run, outcome in zip(planned.plan.runs, outcomes, strict=True)
        if outcome.status.is_success
    }
    for run in list(store.runs([planned.experiment], finished_only=True)):
        if run.run_id in finals:
            wanted = lineage(run.tags, finals[run.run_id], planned.choice.by)
            if wanted.items() - run.tags.items():
                store.amend(run.run_id, {}, wanted)


def _lacking(planned: PlannedPromotion, outcomes: Sequence[Outcome], found: Sequence[Promoted]) -> list[str]:
    """What is not there to look at, with the command that adds it, or not worth looking at."""
    sweep, check, by = planned.experiment, planned.check, planned.choice.by
    said = []
    if bad := [one.run_name for one in found if one.final_is_degenerate]:
        said.append(
            f"Degenerate at {planned.choice.steps} steps: {', '.join(bad)}. They count in what is compared above."
        )
    made = sum(outcome.status.is_success for outcome in outcomes)
    if other := made - sum(one.final is not None for one in found):
        said.append(
            f"{other} of the finals have no {by}, or one by another definition than the candidates', and are not "
            f"compared; where it is missing, `{rescoring(by, sweep)}` adds it."
        )
    if check is None:
        said.append(
            f"No metric that did not choose is there for every candidate; `cogx-runs rescore {sweep} "
            "--clip-model ARCHITECTURE:TAG` adds another CLIP's score."
        )
    elif without := sum(one.final is not None and one.check_final is None for one in found):
        said.append(
            f"{without} of the finals have no {check} yet; `{rescoring(check, sweep)}` adds it, and then the same "
            "command shows it."
        )
    return said

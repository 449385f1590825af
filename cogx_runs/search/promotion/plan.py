"""The plan of a promotion: the best candidates at few steps, and their cells at more."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cogx_runs.analysis.frame import load_runs
from cogx_runs.analysis.promotion.choice import Choice, choose, direction_to_choose_by
from cogx_runs.analysis.promotion.finals import metric_to_check_by
from cogx_runs.analysis.promotion.previews import STEPS
from cogx_runs.definitions.prompts import PromptLibrary
from cogx_runs.definitions.sweep import Sweep, parameters_of
from cogx_runs.definitions.variables import is_variable
from cogx_runs.errors import CogxError
from cogx_runs.metrics.registry import EXTRAS
from cogx_runs.planning.actions import Action
from cogx_runs.planning.plan import Advice, Conditions, Plan
from cogx_runs.planning.planner import Planner
from cogx_runs.search.promotion.configuration import (
    COMMAND_LINE,
    final_cell,
    is_final_of,
    not_reproducible,
    read_config,
)
from cogx_runs.search.promotion.lineage import lineage
from cogx_runs.tracking.columns import tag_column
from cogx_runs.tracking.experiments import experiments_of
from cogx_runs.tracking.reader import RunReader
from cogx_runs.tracking.tags import AXES, IMPORTED_FROM, QUESTION, SWEEP_FILE, texts_tag
from cogx_runs.tracking.uri import require_store


@dataclass(frozen=True)
class PlannedPromotion:
    """The chosen candidates of an experiment, and the plan that runs them at more steps."""

    experiment: str
    choice: Choice
    check: str | None
    """The metric that did not choose; None where the candidates have no other."""
    plan: Plan


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
    take_over: bool = False,
    tracking_uri: str | None = None,
) -> PlannedPromotion:
    """Chooses the `top` best candidates of each prompt of an experiment, or of a sweep file's, and plans them at
    `steps`. Loads no model.

    Candidates are the finished cells at `from_steps`, by default the one count below `steps` that is there; `top` None
    takes all of them. `check` is a metric that does not choose, by default the first that every candidate has. A final
    has the parameters of its candidate's run, whatever the defaults, the prompt's text and the sweep file are by then;
    only the placement, which changes no pixel, is chosen anew. Raises CogxError where the candidates are ambiguous or
    cannot be ranked, or where one cannot be reproduced.
    """
    parameters_of({STEPS: steps})
    if top is not None and top < 1:
        raise CogxError(f"--top {top}: must be 1 or more, or all")
    require_store(tracking_uri)
    store = RunReader(tracking_uri)
    experiments = experiments_of(sweep, store)
    if len(experiments) > 1:
        raise CogxError(f"{sweep}: names {len(experiments)} experiments, {', '.join(experiments)}; promote one of them")
    (experiment,) = experiments
    frame = load_runs(experiment, tracking_uri=tracking_uri)
    if (imported := tag_column(IMPORTED_FROM)) in frame.columns:
        frame = frame[frame[imported].isna()]  # nobody can make them again
    choice = choose(frame, by, steps, from_steps=from_steps, top=top)
    if check is not None:
        direction_to_choose_by(frame, check, "--check")
        if check == by:
            raise CogxError(f"--check {check}: is the metric that chooses; name another")
    conditions = Conditions(PromptLibrary.find(), device, retry_failed, max_vram, take_over)
    check = check or metric_to_check_by(frame, choice)
    extras = [name for name in EXTRAS if name in (by, check)]
    return PlannedPromotion(experiment, choice, check, _plan(store, experiment, choice, extras, conditions))


def _plan(
    store: RunReader,
    experiment: str,
    choice: Choice,
    extra_metrics: Sequence[str],
    conditions: Conditions,
) -> Plan:
    """Plans the chosen candidates at the final step count as one sweep, with their lineage in tags."""
    configs = {one.run_id: read_config(store, one) for one in choice.promoted}
    tags = store.experiment_tags(store.experiment_id(experiment))
    axes = list(dict.fromkeys([*(axis for axis in texts_tag(tags, AXES) if not is_variable(axis)), STEPS]))
    cells = [final_cell(experiment, configs[one.run_id], choice.steps, axes, extra_metrics) for one in choice.promoted]
    planned = Planner(conditions, store.uri).plan(cells)
    runs = []
    for run in planned.runs:
        candidate = next((one for one in choice.promoted if is_final_of(run.spec, configs[one.run_id])), None)
        if candidate is None:
            raise not_reproducible(run.spec, configs, choice)
        runs.append(replace(run, tags=lineage({}, candidate, choice.by)))
    whole = Sweep(
        name=experiment,
        file=tags.get(SWEEP_FILE, COMMAND_LINE),
        description=tags.get(QUESTION, ""),
        prompts=tuple(dict.fromkeys(one.prompt for one in choice.promoted)),
        base=cells[0].base,
        axes={axis: tuple(dict.fromkeys(value for cell in cells for value in cell.axes[axis])) for axis in axes},
        vary="grid",
    )
    return replace(planned, sweeps=(whole,), runs=tuple(runs), advice=_advice(planned, choice))


def _advice(planned: Plan, choice: Choice) -> tuple[Advice, ...]:
    """Adds the notes of the choice to the plan's advice, and a warning where the device is another one."""
    advice = [Advice("note", f"--by {choice.by}", note) for note in choice.notes]
    here = {run.spec.device for run in planned.runs}
    elsewhere = sorted({one.device for one in choice.promoted} - here)
    if elsewhere and any(run.action is Action.RUN for run in planned.runs):
        message = (
            f"the candidates ran on {' and '.join(elsewhere)}, the finals run on {' and '.join(sorted(here))}: their "
            "pixels differ by rounding too, not by the steps alone"
        )
        advice.append(Advice("warning", "--device", message))
    own = [replace(one, where="--steps") if one.where.endswith(f".{STEPS}") else one for one in planned.advice]
    order = ("error", "warning", "note")
    return tuple(sorted([*own, *advice], key=lambda one: order.index(one.level)))

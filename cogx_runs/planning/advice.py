"""Advice on a plan by the model's own rules: errors, warnings and notes."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from cogx_runs.definitions.parameters import Dtype, Placement
from cogx_runs.definitions.spec import RunSpec
from cogx_runs.definitions.sweep import Sweep
from cogx_runs.errors import did_you_mean
from cogx_runs.formatting import count, shortened
from cogx_runs.metrics.registry import EXTRAS, cards_of_every_cell, titles
from cogx_runs.models.cards import ModelCard
from cogx_runs.models.download import GB
from cogx_runs.models.gpus import cards_of_size, gpu_for_plan
from cogx_runs.models.memory import Budget, choose_text_placement, largest_needs, least
from cogx_runs.models.speed import SLOW_S
from cogx_runs.planning.actions import Action
from cogx_runs.planning.cells import ResolvedCells
from cogx_runs.planning.fast import advise_fast
from cogx_runs.planning.model_axis import advise_across_models
from cogx_runs.planning.plan import Advice, Plan, PlanCost, PlannedRun
from cogx_runs.planning.rules import RULES
from cogx_runs.system.disk import free_bytes
from cogx_runs.system.hardware import Gpu
from cogx_runs.system.kernels import KERNELS
from cogx_runs.tracking.liveness import is_alive, is_of_this_host
from cogx_runs.tracking.run import RunState, TrackedRun
from cogx_runs.tracking.signs import where_made

BFLOAT16_SINCE = (8, 0)
"""Compute capability of the first GPUs with bfloat16 of their own."""
NAMED = 20
"""The most cells of a sweep whose losses are named."""


def advise(
    cells: ResolvedCells, sweeps: Sequence[Sweep], budget: Budget | None = None, gpu: Gpu | None = None
) -> list[Advice]:
    """Advises on the cells, without repetition: errors where the result would differ from the request, warnings where
    a comparison would mislead or memory may not suffice, notes for the rest.

    `budget` is the one with which the cells were resolved, `gpu` the GPU that is planned for.
    """
    by_name = {sweep.name: sweep for sweep in sweeps}
    found: dict[Advice, None] = {}
    for spec in _distinct(cells.specs):
        sweep = by_name[spec.sweep]
        for rule in RULES:
            found.update(dict.fromkeys(rule(spec, cells.cards[spec.model_key], sweep)))
    for sweep in sweeps:
        found.update(dict.fromkeys(_sweep_as_a_whole(sweep)))
        found.update(dict.fromkeys(_primary(sweep)))
        found.update(dict.fromkeys(_placement_axis(sweep)))
        found.update(dict.fromkeys(_extra_metrics(sweep)))
    found.update(dict.fromkeys(advise_across_models(cells, sweeps)))
    found.update(dict.fromkeys(_too_large(cells, by_name, gpu)))
    if gpu is not None and gpu.compute_capability < BFLOAT16_SINCE:
        found.update(dict.fromkeys(_without_bfloat16(cells, by_name, gpu)))
    found.update(dict.fromkeys(advise_fast([spec for spec in cells.specs if spec.fast], by_name)))
    found.update(dict.fromkeys(_kernels(cells, by_name, gpu)))
    if budget is not None:
        found.update(dict.fromkeys(_memory(cells, by_name, budget)))
    order = {"error": 0, "warning": 1, "note": 2}
    return sorted(found, key=lambda advice: order[advice.level])


def advise_without_gpu(
    runs: Sequence[PlannedRun], cards: Mapping[tuple[str, str], ModelCard], sweeps: Sequence[Sweep]
) -> list[Advice]:
    """Warns of each model whose videos take a CPU more than SLOW_S, with the hours of one."""
    by_name = {sweep.name: sweep for sweep in sweeps}
    slowest: dict[tuple[str, str], PlannedRun] = {}
    for run in runs:
        key = run.spec.model_key
        if run.spec.device == "cpu" and run.action is Action.RUN and _seconds(run) > SLOW_S:
            slowest[key] = max(slowest.get(key, run), run, key=_seconds)
    found = []
    for key, run in slowest.items():
        rough = " (rough)" if run.estimate.is_rough else ""
        message = (
            f"{cards[key].name} takes about {_seconds(run) / 3600:.0f} hours a video on this CPU{rough}; use a GPU "
            "(`plan --gpu 12GB` says what one takes) or --model toy"
        )
        found.append(Advice("warning", by_name[run.spec.sweep].where("model"), message))
    return found


def advise_gpu(asked: str) -> list[Advice]:
    """Notes which card a memory size was taken for."""
    chosen = gpu_for_plan(asked)
    others = [card.name for card in cards_of_size(asked) if card != chosen]
    if not others:
        return []
    message = f"{asked} is taken for {chosen.name}, the slowest of that size; others: {', '.join(others)}"
    return [Advice("note", "(command line):gpu", message)]


def _seconds(run: PlannedRun) -> float:
    return run.estimate.seconds or 0.0


def advise_disk(plan: Plan, cost: PlanCost) -> list[Advice]:
    """Warns of a disk on which less is free than the plan's downloads, or its videos, take."""
    wanted: dict[Path, float] = {}
    for folder, gb in [(Path(one.folder), one.gb) for one in cost.downloads] + [(Path.cwd(), cost.disk_gb)]:
        wanted[folder] = wanted.get(folder, 0.0) + gb
    return [
        Advice(
            "warning",
            plan.sweeps[0].at("name"),
            f"{gb:.1f} GB are wanted in {folder}, and {free_bytes(folder) / GB:.1f} GB are free there",
        )
        for folder, gb in wanted.items()
        if plan.sweeps and gb * GB > free_bytes(folder)
    ]


def advise_elsewhere(
    runs: Sequence[PlannedRun], sweeps: Sequence[Sweep], history: Sequence[TrackedRun], clock_ms: int
) -> list[Advice]:
    """Notes each cell that another host is at, with its last sign of life by this host's clock."""
    files = {sweep.name: sweep.file for sweep in sweeps}
    cells = {(run.spec.sweep, run.spec.output_hash) for run in runs if run.action.is_open}
    return [
        Advice(
            "note",
            f"{files[run.experiment]}:name",
            f"{run.name}: {where_made(run, clock_ms)}; --take-over runs it here",
        )
        for run in history
        if run.state is RunState.RUNNING
        and (run.experiment, run.output_hash) in cells
        and is_alive(run.tags)
        and not is_of_this_host(run.tags)
    ]


def advise_rescoring(
    runs: Sequence[PlannedRun], sweeps: Sequence[Sweep], history: Sequence[TrackedRun]
) -> list[Advice]:
    """Notes each sweep with cells that are planned again only for their metrics, although a finished run in its
    experiment has their pixels and their file: `rescore` can measure what is missing in place."""
    finished: dict[tuple[str, str], list[TrackedRun]] = {}
    for past in history:
        if past.state.is_finished:
            finished.setdefault((past.experiment, past.signature), []).append(past)
    found = []
    for sweep in {sweep.name: sweep for sweep in sweeps}.values():
        planned = [run.spec for run in runs if run.spec.sweep == sweep.name and run.action.is_open]
        of_each = [_lacks(finished.get((sweep.name, spec.signature), []), spec) for spec in planned]
        lacking = [lacks for lacks in of_each if lacks is not None]
        if lacking:
            names = ", ".join(dict.fromkeys(name for lacks in lacking for name in lacks))
            cells = f"{count(len(lacking), 'finished cell')} {'lacks' if len(lacking) == 1 else 'lack'}"
            found.append(
                Advice(
                    "note",
                    sweep.at("name"),
                    f"{cells} {names or 'the present set of metrics'}; run `cogx-runs rescore {sweep.name}` first, or "
                    "each gets a second run",
                )
            )
    return found


def advise_extras(runs: Sequence[PlannedRun], sweeps: Sequence[Sweep]) -> list[Advice]:
    """Notes each sweep with finished cells that lack an extra metric that its file names: they are not made again."""
    found = []
    for sweep in {sweep.name: sweep for sweep in sweeps}.values():
        of_each = [
            [name for name in run.spec.extra_metrics if name not in run.decision.finished.definitions]
            for run in runs
            if run.spec.sweep == sweep.name and run.decision.finished is not None
        ]
        lacking = [names for names in of_each if names]
        if lacking:
            names = list(dict.fromkeys(name for each in lacking for name in each))
            cells = f"{count(len(lacking), 'finished cell')} {'lacks' if len(lacking) == 1 else 'lack'}"
            command = " ".join(["cogx-runs rescore", sweep.name, *(f"--metric {name}" for name in names)])
            message = f"{cells} {titles(names)}; `{command}` adds what can be measured"
            found.append(Advice("note", sweep.at("extra_metrics"), message))
    return found


def advise_remaking(runs: Sequence[PlannedRun], sweeps: Sequence[Sweep]) -> list[Advice]:
    """Warns for each sweep of its finished cells whose files are gone, and says how they are made again."""
    found = []
    for sweep in {sweep.name: sweep for sweep in sweeps}.values():
        lost = [run for run in runs if run.spec.sweep == sweep.name and run.decision.lost]
        if lost:
            shown = [f"{run.spec.run_name} ({_names(run.decision.lost)})" for run in lost[:NAMED]]
            shown += [f"and {len(lost) - NAMED} more"] if len(lost) > NAMED else []
            cells = f"{count(len(lost), 'finished cell')} {'has' if len(lost) == 1 else 'have'}"
            anew = sum(run.action is Action.RUN for run in lost)
            how = "from kept latents" if not anew else f"{anew} of them anew, the others from kept latents"
            how = "anew" if anew == len(lost) else how
            message = f"{cells} lost files, and will be made again, {how}: {', '.join(shown)}"
            found.append(Advice("warning", f"{sweep.file}:name", message))
    return found


def _names(lost: Sequence[str]) -> str:
    """Names lost artifacts, those in a folder by the folder."""
    return ", ".join(dict.fromkeys(name.partition("/")[0] for name in lost))


def _lacks(runs: Sequence[TrackedRun], spec: RunSpec) -> list[str] | None:
    """Lists the metrics that the first run with the cell's file and CLIP lacks; None without such a run."""
    for run in runs:
        if run.outputs == spec.outputs:
            versions = {name: definition.partition(" ")[0] for name, definition in run.definitions.items()}
            return [
                f"{name} (version {version}, measured by {versions[name]})" if name in versions else name
                for name, version in spec.metric_versions
                if versions.get(name) != version
            ]
    return None


def _distinct(specs: Iterable[RunSpec]) -> Iterator[RunSpec]:
    """Yields one cell for each combination of values on which the rules depend."""
    seen = set()
    for spec in specs:
        if spec.judged not in seen:
            seen.add(spec.judged)
            yield spec


def _sweep_as_a_whole(sweep: Sweep) -> Iterator[Advice]:
    for axis, values in sweep.axes.items():
        base = getattr(sweep.base, axis)
        if sweep.vary == "one_at_a_time" and base not in (None, "auto") and base not in values:
            yield Advice(
                "note",
                sweep.where(axis),
                f"has no baseline: add {base}, the value of base",
            )
    for name in sorted(sweep.overridden & set(sweep.axes)):
        yield Advice("note", sweep.where(name), f"is swept; {name} on the command line has no effect")


def _without_bfloat16(cells: ResolvedCells, sweeps: Mapping[str, Sweep], gpu: Gpu) -> Iterator[Advice]:
    """Warns of models in a precision that a GPU computes only by detours."""
    for spec in cells.specs:
        if spec.dtype == "bfloat16":
            name = cells.cards[spec.model_key].name
            message = f"{gpu.name} has no native bfloat16; {name} will be very slow on it"
            yield Advice("warning", sweeps[spec.sweep].where("dtype"), message)


def _kernels(cells: ResolvedCells, sweeps: Mapping[str, Sweep], gpu: Gpu | None) -> Iterator[Advice]:
    """Finds the kernels that the GPU or the installation lacks."""
    for spec in cells.specs:
        sweep = sweeps[spec.sweep]
        for name in spec.not_bitwise:
            value = getattr(spec, name)
            lack = KERNELS[value].lack(spec.device, gpu) if value in KERNELS else ""
            if lack:
                yield Advice("error", sweep.where(name), f"{value} {lack}; or use {RunSpec.model_fields[name].default}")
        if spec.attention != "sdpa" and spec.dtype == "float32" and spec.device == "cuda":
            message = f"{spec.attention} works in float16 and bfloat16; use sdpa"
            yield Advice("error", sweep.where("attention"), message)


def _too_large(cells: ResolvedCells, sweeps: Mapping[str, Sweep], gpu: Gpu | None) -> Iterator[Advice]:
    """Finds the sizes that the whole memory of this machine does not suffice for.

    A model's own size, decoded in tiles, is none of them: what is planned here may run elsewhere.
    """
    seen = dict.fromkeys((spec.model_key, spec.sweep, spec.device, spec.workload) for spec in cells.specs)
    for key, sweep, device, workload in seen:
        card = cells.cards[key]
        is_own = workload.vae_tiling and (workload.height, workload.width) == (card.height, card.width)
        excess = "" if is_own else least(card, workload).excess(device, gpu)
        if excess:
            size = f"{workload.num_frames} frames of {workload.height}x{workload.width} in {workload.dtype}"
            instead = f"use {card.height}x{card.width}" + ("" if workload.vae_tiling else " or vae_tiling: true")
            yield Advice("error", sweeps[sweep].where("height"), f"{card.name} {excess} for {size}; {instead}")


def _memory(cells: ResolvedCells, sweeps: Mapping[str, Sweep], budget: Budget) -> Iterator[Advice]:
    """Notes the placement that `auto` chooses for each model, and warns of too little memory."""
    alike: dict[tuple[tuple[str, str], Dtype, Placement], list[RunSpec]] = {}
    for spec in cells.specs:
        asked = spec.placement if spec.cost_axes else sweeps[spec.sweep].base.placement
        alike.setdefault((spec.model_key, spec.dtype, asked), []).append(spec)
    for (key, dtype, placement), specs in alike.items():
        card, where = cells.cards[key], sweeps[specs[0].sweep].where("placement")
        text = choose_text_placement(card, dtype, budget)
        if placement == "auto":
            choice = cells.choices[key, dtype]
            message = f"auto for {card.name} is {choice.placement}: {choice.reason}; text encoder {text.placement}"
            yield Advice("note", where, message)
            placement, shortage = choice.placement, choice.shortage
        else:
            shortage = largest_needs(card, placement, {spec.workload for spec in specs}).shortage(budget)
        if shortage:
            yield Advice("warning", where, f"{placement} {shortage}")
        if text.shortage:
            yield Advice("warning", where, f"the text encoder of {card.name} {text.shortage}")


def _placement_axis(sweep: Sweep) -> Iterator[Advice]:
    """Refuses `auto` among placements that are compared, since it is one of the others."""
    if "auto" in sweep.axes.get("placement", ()):
        message = "auto is one of resident, group, model and sequential; name those to compare"
        yield Advice("error", sweep.at("axes.placement"), message)


def _primary(sweep: Sweep) -> Iterator[Advice]:
    """Refuses a primary metric that no cell would have, with the nearest one."""
    usable = cards_of_every_cell(sweep.extra_metrics)
    if sweep.primary is not None and sweep.primary not in usable:
        message = f"no metric {shortened(sweep.primary)} of every cell; {did_you_mean(sweep.primary, usable)}"
        yield Advice("error", sweep.at("primary"), message)


def _extra_metrics(sweep: Sweep) -> Iterator[Advice]:
    """Refuses an unknown extra metric, with the nearest one; warns of one whose weights cannot be had here."""
    for index, name in enumerate(sweep.extra_metrics):
        where = sweep.at(f"extra_metrics.{index}")
        if name not in EXTRAS:
            yield Advice("error", where, f"no extra metric {shortened(name)}; {did_you_mean(name, EXTRAS)}")
            continue
        for lack in EXTRAS[name].lacks():
            yield Advice("warning", where, f"no {titles([name])}: {lack}; runs finish without")

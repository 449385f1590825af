"""What the model's own rules say of a plan: errors, warnings and notes."""

import itertools
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from cogx_runs.definitions.parameters import MATCHED, Dtype, Placement, Scheduler
from cogx_runs.definitions.spec import RunSpec
from cogx_runs.definitions.sweep import Sweep
from cogx_runs.errors import did_you_mean
from cogx_runs.models.cards import ModelCard, clip_folder
from cogx_runs.models.memory import Budget, choose_placement, choose_text_placement, largest_needs, text_shortage
from cogx_runs.models.tokens import clip_architectures, count_clip_tokens, count_t5_tokens
from cogx_runs.planning.plan import Advice, PlannedRun
from cogx_runs.system.hardware import gpu
from cogx_runs.tracking.run import TrackedRun

Rule = Callable[[RunSpec, ModelCard, Sweep], Iterator[Advice]]


def advise(
    specs: Sequence[RunSpec],
    sweeps: Sequence[Sweep],
    cards: Mapping[tuple[str, str], ModelCard],
    budget: Budget | None = None,
) -> list[Advice]:
    """Advice on the cells, each said once: errors where the result would not be what was asked for, warnings where
    a comparison would mislead or memory may not suffice, notes for the rest. `budget` is the GPU's, None on a CPU."""
    by_name = {sweep.name: sweep for sweep in sweeps}
    found: dict[Advice, None] = {}
    for spec in _distinct(specs):
        sweep = by_name[spec.sweep]
        for rule in _RULES:
            found.update(dict.fromkeys(rule(spec, cards[spec.model_key], sweep)))
    for sweep in sweeps:
        found.update(dict.fromkeys(_sweep_as_a_whole(sweep)))
    if budget is not None:
        found.update(dict.fromkeys(_memory(specs, by_name, cards, budget)))
    order = {"error": 0, "warning": 1, "note": 2}
    return sorted(found, key=lambda advice: order[advice.level])


def advise_rescoring(
    runs: Sequence[PlannedRun], sweeps: Sequence[Sweep], history: Sequence[TrackedRun]
) -> list[Advice]:
    """A note for each sweep with cells that are planned again for their metrics alone, though a finished run in its
    experiment has their pixels and their file: what these lack can be measured in place."""
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
            cells = "1 finished cell lacks" if len(lacking) == 1 else f"{len(lacking)} finished cells lack"
            found.append(
                Advice(
                    "note",
                    f"{sweep.file}:name",
                    f"{cells} {names or 'the present set of metrics'}: first `cogx-runs rescore {sweep.name}`, which "
                    "measures that in place; without it each gets a second run",
                )
            )
    return found


def _lacks(made: Sequence[TrackedRun], spec: RunSpec) -> list[str] | None:
    """The metrics that the first of the runs of these pixels with the cell's file and CLIP lacks; None without one."""
    for run in made:
        if run.outputs == spec.outputs:
            versions = {name: definition.partition(" ")[0] for name, definition in run.definitions.items()}
            return [
                f"{name} (version {version}, measured by {versions[name]})" if name in versions else name
                for name, version in spec.metric_versions
                if versions.get(name) != version
            ]
    return None


def _distinct(specs: Iterable[RunSpec]) -> Iterator[RunSpec]:
    """One cell for each combination of what the rules look at."""
    seen = set()
    for spec in specs:
        if spec.judged not in seen:
            seen.add(spec.judged)
            yield spec


def timesteps(num_inference_steps: int, num_train_timesteps: int, spacing: str) -> list[int]:
    """The timesteps that `CogVideoXDDIMScheduler.set_timesteps` and the DPM one make, first to last."""
    if spacing == "trailing":
        ratio = num_train_timesteps / num_inference_steps
        # numpy's arange, which they use, goes by the difference of its first two values; its rounding decides ties.
        stride = num_train_timesteps - (num_train_timesteps - ratio)
        return [round(num_train_timesteps - i * stride) - 1 for i in range(math.ceil(num_train_timesteps / ratio))]
    if spacing == "leading":
        ratio = num_train_timesteps // num_inference_steps
        return [i * ratio for i in reversed(range(num_inference_steps))]
    last = num_train_timesteps - 1
    step = last / max(num_inference_steps - 1, 1)
    return [round(step * i) for i in reversed(range(num_inference_steps))]


def schedule_faults(num_inference_steps: int, num_train_timesteps: int, spacing: str) -> tuple[int, int]:
    """How many steps the scheduler takes to another timestep than the next one visits, and the timestep at which the
    last one ends; below 0 is past the end, as it should be.

    The schedulers compute `previous = t - num_train_timesteps // num_inference_steps` (their `step` in diffusers).
    """
    visited = timesteps(num_inference_steps, num_train_timesteps, spacing)
    stride = num_train_timesteps // num_inference_steps
    mismatches = sum(here - stride != there for here, there in itertools.pairwise(visited))
    return mismatches, visited[-1] - stride


def goes_right(steps: int, scheduler: Scheduler, card: ModelCard) -> bool:
    """Whether each step of a schedule of so many ends where the next one starts, and the last without noise."""
    return scheduler in MATCHED.values() or not _is_at_fault(steps, card)


def _is_at_fault(steps: int, card: ModelCard) -> bool:
    mismatches, end = schedule_faults(steps, card.num_train_timesteps, card.timestep_spacing)
    return mismatches > 0 or end >= 0


def _right_step_counts(near: int, card: ModelCard) -> list[int]:
    """The nearest step counts below and above `near` that diffusers' schedulers get right."""
    ways = (range(near - 1, 0, -1), range(near + 1, card.num_train_timesteps + 1))
    found = (next((steps for steps in way if not _is_at_fault(steps, card)), None) for way in ways)
    return [steps for steps in found if steps is not None]


def _step_count(spec: RunSpec, card: ModelCard, sweep: Sweep) -> Iterator[Advice]:
    steps = spec.num_inference_steps
    if goes_right(steps, spec.scheduler, card):
        return
    mismatches, end = schedule_faults(steps, card.num_train_timesteps, card.timestep_spacing)
    nearest = " or ".join(str(count) for count in _right_step_counts(steps, card))
    instead = f"{MATCHED[spec.scheduler]} is right at any count, and so is {spec.scheduler} at {nearest}"
    where = sweep.where("num_inference_steps")
    if end >= 0:
        yield Advice(
            "error",
            where,
            f"{steps} steps end at timestep {end} instead of past 0 with the {spec.scheduler} scheduler, which leaves "
            f"noise in the video (about 5% at timestep 0); {instead}",
        )
    else:
        yield Advice(
            "warning",
            where,
            f"the {spec.scheduler} scheduler takes {mismatches} of {steps} steps to another timestep than the next "
            f"one starts from, which is right only where the count divides {card.num_train_timesteps}; "
            f"{instead}",
        )


def _frame_count(spec: RunSpec, card: ModelCard, sweep: Sweep) -> Iterator[Advice]:
    frames, valid = spec.num_frames, card.valid_frames() or [card.max_frames]
    nearest = sorted(sorted(valid, key=lambda count: abs(count - frames))[:2])
    where, use = sweep.where("num_frames"), f"use {' or '.join(str(count) for count in nearest)}"
    if frames > card.max_frames:
        yield Advice("error", where, f"{frames} frames are beyond the {card.max_frames} that {card.name} makes; {use}")
    elif frames not in valid:
        came = card.decoded_frames(frames)
        what = f"would come back as {came}" if came != frames else f"are not {card.frame_multiple}N+1"
        yield Advice("error", where, f"{frames} frames {what}; {use}")


def _size(spec: RunSpec, card: ModelCard, sweep: Sweep) -> Iterator[Advice]:
    for name, value, own in (("height", spec.height, card.height), ("width", spec.width, card.width)):
        if value % card.size_multiple:
            yield Advice(
                "error", sweep.where(name), f"{name} {value} is no multiple of {card.size_multiple}; use {own}"
            )
        elif value != own:
            yield Advice(
                "warning", sweep.where(name), f"{card.name} was trained at {name} {own}; {value} may look worse"
            )


def _dtype(spec: RunSpec, card: ModelCard, sweep: Sweep) -> Iterator[Advice]:
    where = sweep.where("dtype")
    if spec.dtype == "float16" and card.dtype == "bfloat16":
        yield Advice("error", where, f"{card.name} in float16 gives NaN or black frames; use bfloat16")
    if spec.device == "cpu" and spec.dtype != "float32":
        yield Advice("warning", where, f"{spec.dtype} is slow on a CPU; float32 is what null gives")
    found = gpu() if spec.device == "cuda" else None
    if found and spec.dtype == "bfloat16" and found.compute_capability < (8, 0):
        yield Advice("warning", where, f"{found.name} has no native bfloat16; {card.name} will be very slow on it")


def _placement(spec: RunSpec, _card: ModelCard, sweep: Sweep) -> Iterator[Advice]:
    if spec.device == "cpu" and spec.placement in {"model", "sequential"}:
        yield Advice(
            "error",
            sweep.where("placement"),
            f"{spec.placement} moves weights between the host and a GPU, and this runs on a CPU; use auto",
        )


def _compile(spec: RunSpec, _card: ModelCard, sweep: Sweep) -> Iterator[Advice]:
    if spec.compile and spec.placement in {"sequential", "model"}:
        yield Advice(
            "error",
            sweep.where("compile"),
            f"placement {spec.placement} moves the layers inside a compiled block; use resident or group",
        )


def _dynamic_guidance(spec: RunSpec, _card: ModelCard, sweep: Sweep) -> Iterator[Advice]:
    for axis in ("guidance_scale", "num_inference_steps"):
        if spec.use_dynamic_cfg and axis in sweep.axes:
            yield Advice(
                "warning",
                sweep.where("use_dynamic_cfg"),
                f"dynamic guidance is a jumpy function of the step count: a sweep over {axis} would compare that",
            )


def _clip_model(spec: RunSpec, _card: ModelCard, sweep: Sweep) -> Iterator[Advice]:
    architecture, colon, _ = spec.clip_model.partition(":")
    if clip_folder(spec.clip_model):
        return
    known = clip_architectures()
    if architecture not in known:
        mistake = f"no such folder or architecture: {architecture!r}; {did_you_mean(architecture, known)}"
        yield Advice("error", sweep.where("clip_model"), mistake)
    elif not colon:
        yield Advice("error", sweep.where("clip_model"), f"names no weights; write it as {architecture}:openai")


def _revision(spec: RunSpec, card: ModelCard, sweep: Sweep) -> Iterator[Advice]:
    if not card.is_local and not re.fullmatch(r"[0-9a-f]{40}", spec.model_revision):
        yield Advice(
            "warning",
            sweep.where("revision"),
            f"{spec.model_revision!r} can come to mean other weights; name a commit, so that cells stay what they are",
        )


def _negative_prompt(spec: RunSpec, _card: ModelCard, sweep: Sweep) -> Iterator[Advice]:
    if spec.negative_prompt and not spec.is_guided:
        yield Advice(
            "warning",
            sweep.where("negative_prompt"),
            f"guidance {spec.guidance_scale:g} switches guidance off, and the negative prompt with it; use more than 1",
        )


def _text_length(spec: RunSpec, card: ModelCard, sweep: Sweep) -> Iterator[Advice]:
    where = f"{sweep.file}:prompts.{spec.prompt_name}"
    clip = count_clip_tokens(spec.prompt, spec.clip_model)
    about = "" if clip.exact else "about "
    if clip.is_cut:
        yield Advice(
            "warning",
            where,
            f"has {about}{clip.tokens} CLIP tokens; the CLIP score sees the first {clip.limit} and knows nothing of "
            "the rest; shorten it",
        )
    for text, place in ((spec.prompt, where), (spec.negative_prompt, sweep.where("negative_prompt"))):
        t5 = count_t5_tokens(text, card)
        if t5.is_cut:
            basis = "" if t5.exact else " (an estimate: the model's tokenizer is not on this machine)"
            yield Advice(
                "error" if t5.exact else "warning",
                place,
                f"has {t5.tokens} T5 tokens{basis}; {card.name} reads the first {t5.limit}; shorten it",
            )
        if t5.unknown_words:
            yield Advice(
                "warning",
                place,
                f"{card.name} does not know {', '.join(t5.unknown_words)}, and reads each as an unknown word",
            )


def _sweep_as_a_whole(sweep: Sweep) -> Iterator[Advice]:
    for axis, values in sweep.axes.items():
        base = getattr(sweep.base, axis)
        if sweep.vary == "one_at_a_time" and base is not None and base not in values:
            yield Advice(
                "note",
                sweep.where(axis),
                f"the base value {base} is not among the values, so that this sweep holds no baseline to compare with",
            )
    for name in sorted(sweep.overridden & set(sweep.axes)):
        yield Advice("note", sweep.where(name), f"is swept, so that {name} given on the command line changes nothing")


def _memory(
    specs: Sequence[RunSpec],
    sweeps: Mapping[str, Sweep],
    cards: Mapping[tuple[str, str], ModelCard],
    budget: Budget,
) -> Iterator[Advice]:
    """Of each model: what `auto` is and why, and what there is too little memory for."""
    alike: dict[tuple[tuple[str, str], Dtype, Placement], list[RunSpec]] = {}
    for spec in specs:
        alike.setdefault((spec.model_key, spec.dtype, sweeps[spec.sweep].base.placement), []).append(spec)
    for (key, dtype, placement), cells in alike.items():
        card, workloads = cards[key], {cell.workload for cell in cells}
        where = sweeps[cells[0].sweep].where("placement")
        if placement == "auto":
            choice = choose_placement(card, workloads, budget)
            text = choose_text_placement(card, dtype, budget)
            message = f"auto for {card.name} is {choice.placement}: {choice.reason}; text encoder {text}"
            yield Advice("note", where, message)
            placement, shortage = choice.placement, choice.shortage
        else:
            shortage = largest_needs(card, placement, workloads).shortage(budget)
        if shortage:
            yield Advice("warning", where, f"{placement} {shortage}")
        if shortage := text_shortage(card, dtype, budget):
            yield Advice("warning", where, f"the text encoder of {card.name} {shortage}")


_RULES: tuple[Rule, ...] = (
    _step_count,
    _frame_count,
    _size,
    _dtype,
    _placement,
    _compile,
    _dynamic_guidance,
    _negative_prompt,
    _clip_model,
    _revision,
    _text_length,
)

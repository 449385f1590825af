"""The model's own rules for one cell, on failures, misleading results and slow runs."""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache

from cogx_runs.definitions.caches import CACHES, NO_CACHE
from cogx_runs.definitions.lora import NO_LORA
from cogx_runs.definitions.parameters import MATCHED
from cogx_runs.definitions.spec import RunSpec
from cogx_runs.definitions.sweep import Sweep
from cogx_runs.errors import CogxError, InputError, did_you_mean
from cogx_runs.formatting import count, shortened
from cogx_runs.models.cards import ModelCard, clip_folder
from cogx_runs.models.clip_folder import check_clip_folder
from cogx_runs.models.quantization import FP8_MULTIPLE, quantized_weights
from cogx_runs.models.schedule import is_schedule_exact, right_step_counts, schedule_faults, timesteps
from cogx_runs.models.tokens import clip_architectures, count_clip_tokens, count_t5_tokens
from cogx_runs.planning.fast import against_compile
from cogx_runs.planning.plan import Advice

LARGEST_SIDE_PX = 16_384
"""Side of the largest video in H.264 that x264 writes."""
Rule = Callable[[RunSpec, ModelCard, Sweep], Iterator[Advice]]


def _step_count(spec: RunSpec, card: ModelCard, sweep: Sweep) -> Iterator[Advice]:
    steps = spec.num_inference_steps
    if steps > card.num_train_timesteps:
        yield Advice(
            "error",
            sweep.where("num_inference_steps"),
            f"{steps} steps are more than the {card.num_train_timesteps} timesteps of {card.name}; use fewer",
        )
        return
    if is_schedule_exact(steps, spec.scheduler, card):
        return
    mismatches, end = schedule_faults(steps, card.num_train_timesteps, card.timestep_spacing)
    nearest = " or ".join(str(count) for count in right_step_counts(steps, card))
    instead = f"use {nearest}, or {MATCHED[spec.scheduler]}, which is right at any count"
    where = sweep.where("num_inference_steps")
    if end >= 0:
        yield Advice(
            "error",
            where,
            f"{spec.scheduler} leaves noise at {steps} steps; {instead}",
        )
    else:
        yield Advice(
            "warning",
            where,
            f"{spec.scheduler} misplaces {mismatches} of {steps} steps; {instead}",
        )


def _frame_count(spec: RunSpec, card: ModelCard, sweep: Sweep) -> Iterator[Advice]:
    frames, valid = spec.num_frames, card.valid_frames() or [card.max_frames]
    nearest = sorted(sorted(valid, key=lambda count: abs(count - frames))[:2])
    where, use = sweep.where("num_frames"), f"use {' or '.join(str(count) for count in nearest)}"
    if frames > card.max_frames:
        yield Advice("error", where, f"{frames} frames are beyond the {card.max_frames} of {card.name}; {use}")
    elif frames not in valid:
        decoded = card.decoded_frames(frames)
        form = f"are not {card.name}'s {card.frame_multiple}N+1"
        fault = form if decoded == frames else f"would come back as {decoded}"
        yield Advice("error", where, f"{frames} frames {fault}; {use}")


def _size(spec: RunSpec, card: ModelCard, sweep: Sweep) -> Iterator[Advice]:
    for name, value, own, most in (
        ("height", spec.height, card.height, card.max_height),
        ("width", spec.width, card.width, card.max_width),
    ):
        if value % card.size_multiple:
            yield Advice(
                "error", sweep.where(name), f"{name} {value} is no multiple of {card.size_multiple}; use {own}"
            )
        elif value % 2 or value > LARGEST_SIDE_PX:
            fault = "is odd" if value % 2 else f"is above {LARGEST_SIDE_PX}"
            yield Advice("error", sweep.where(name), f"{name} {value} {fault}, which H.264 has no videos of; use {own}")
        elif most is not None and value > most:
            yield Advice("error", sweep.where(name), f"{name} {value} is beyond the {most} of {card.name}; use {own}")
        elif value != own and card.has_fixed_size:
            yield Advice("error", sweep.where(name), f"{card.name} makes videos of {name} {own} alone; use {own}")
        elif value != own:
            yield Advice(
                "warning", sweep.where(name), f"{card.name} was trained at {name} {own}; {value} may look worse"
            )


def _dtype(spec: RunSpec, card: ModelCard, sweep: Sweep) -> Iterator[Advice]:
    where = sweep.where("dtype")
    if spec.dtype == "float16" and card.dtype == "bfloat16":
        yield Advice("error", where, f"{card.name} in float16 gives NaN or black frames; use bfloat16")
    if spec.device == "cpu" and spec.dtype != "float32":
        yield Advice("warning", where, f"{spec.dtype} is slow on a CPU; use float32, the default there")


def _placement(spec: RunSpec, _card: ModelCard, sweep: Sweep) -> Iterator[Advice]:
    if spec.device == "cpu" and spec.placement in {"model", "sequential"}:
        yield Advice(
            "error",
            sweep.where("placement"),
            f"{spec.placement} moves weights between the host and a GPU, and this runs on a CPU; use auto",
        )


def _compile(spec: RunSpec, _card: ModelCard, sweep: Sweep) -> Iterator[Advice]:
    if spec.compile and "placement" in against_compile(spec):
        yield Advice(
            "error",
            sweep.where("compile"),
            f"placement {spec.placement} moves the layers inside a compiled block; use resident or group",
        )


def _quantization(spec: RunSpec, card: ModelCard, sweep: Sweep) -> Iterator[Advice]:
    where = sweep.where("quantization")
    if spec.compile and "quantization" in against_compile(spec):
        message = "fp8_storage casts the layers inside a compiled block; use int8, or compile: false"
        yield Advice("error", where, message)
    sides = {side for shape in quantized_weights(card.transformer).values() for side in shape}
    if spec.quantization == "fp8" and any(side % FP8_MULTIPLE for side in sides):
        message = (
            f"fp8 does nothing to {card.name}, whose layers are no multiples of {FP8_MULTIPLE} wide; use int8 or "
            "fp8_storage"
        )
        yield Advice("error", where, message)
    elif spec.quantization == "fp8" and not spec.compile:
        message = (
            "fp8 is slower than none and takes more memory where it is not compiled: 0.750 against 0.638 s a step, "
            "6.57 against 4.99 GiB (2b, one H200); set compile: true, or use int8"
        )
        yield Advice("warning", where, message)


def _cache(spec: RunSpec, card: ModelCard, sweep: Sweep) -> Iterator[Advice]:
    cache, where = spec.step_cache, sweep.where("cache")
    if cache is None:
        return
    if spec.compile and "cache" in against_compile(spec):
        outside = ", ".join(name for name, kind in CACHES.items() if kind.of_blocks)
        yield Advice(
            "error", where, f"{cache.name} acts inside a compiled block; use {outside}, or {cache.name} without compile"
        )
    if cache.needs_blocks > card.num_layers:
        yield Advice(
            "error", where, f"{cache.name} skips all blocks but the first, and {card.name} has no other; use {NO_CACHE}"
        )
    visited = timesteps(spec.num_inference_steps, card.num_train_timesteps, card.timestep_spacing)
    if not cache.may_skip(visited, is_guided=spec.is_guided):
        steps = count(spec.num_inference_steps, "step")
        yield Advice("error", where, f"{cache} can skip nothing in {steps}; use more steps, or other numbers")


def _lora_scale(spec: RunSpec, _card: ModelCard, sweep: Sweep) -> Iterator[Advice]:
    scales = sweep.axes.get("lora_scale", (sweep.base.lora_scale,))
    if spec.lora == NO_LORA and "lora" not in sweep.axes and any(scale != 1 for scale in scales):
        yield Advice("error", sweep.where("lora_scale"), "scales nothing: `lora` names no adapter; name one")


def _dynamic_guidance(spec: RunSpec, _card: ModelCard, sweep: Sweep) -> Iterator[Advice]:
    for axis in ("guidance_scale", "num_inference_steps"):
        if spec.use_dynamic_cfg and axis in sweep.axes:
            yield Advice(
                "warning",
                sweep.where("use_dynamic_cfg"),
                f"dynamic guidance depends on the step count and would blur the comparison of {axis}; switch it off",
            )


def _clip_model(spec: RunSpec, _card: ModelCard, sweep: Sweep) -> Iterator[Advice]:
    architecture, colon, _ = spec.clip_model.partition(":")
    folder = clip_folder(spec.clip_model)
    if folder is not None:
        try:
            check_clip_folder(folder)
        except CogxError as error:
            raise InputError.single(sweep.where("clip_model"), str(error)) from error
        return
    known = clip_architectures()
    if architecture not in known:
        mistake = f"no such folder or architecture: {shortened(architecture)}; {did_you_mean(architecture, known)}"
        yield Advice("error", sweep.where("clip_model"), mistake)
    elif not colon:
        yield Advice("error", sweep.where("clip_model"), f"names no weights; write it as {architecture}:openai")


def _revision(spec: RunSpec, card: ModelCard, sweep: Sweep) -> Iterator[Advice]:
    if not card.is_local and not re.fullmatch(r"[0-9a-f]{40}", spec.model_revision):
        yield Advice(
            "warning",
            sweep.where("revision"),
            f"{shortened(spec.model_revision)} may later point to other weights; name a commit",
        )


def _negative_prompt(spec: RunSpec, _card: ModelCard, sweep: Sweep) -> Iterator[Advice]:
    if spec.negative_prompt and not spec.is_guided:
        yield Advice(
            "warning",
            sweep.where("negative_prompt"),
            f"guidance {spec.guidance_scale:g} switches guidance off, and the negative prompt with it; use more than 1",
        )


def _text_length(spec: RunSpec, card: ModelCard, sweep: Sweep) -> Iterator[Advice]:
    where = sweep.at(f"prompts.{spec.prompt_name}")
    clip = _clip_tokens(spec.prompt, spec.clip_model)
    about = "" if clip.exact else "about "
    if clip.is_cut:
        yield Advice(
            "warning",
            where,
            f"has {about}{clip.tokens} CLIP tokens, of which the CLIP score reads the first {clip.limit}; shorten it",
        )
    for text, place in ((spec.prompt, where), (spec.negative_prompt, sweep.where("negative_prompt"))):
        t5 = _t5_tokens(text, card)
        if t5.is_cut:
            most = "" if t5.exact else "up to "
            basis = "" if t5.exact else " (an upper estimate: the model's tokenizer is not on this machine)"
            yield Advice(
                "error" if t5.exact else "warning",
                place,
                f"has {most}{t5.tokens} T5 tokens{basis}; {card.name} reads the first {t5.limit}; shorten it",
            )
        if t5.unknown_words:
            yield Advice(
                "warning",
                place,
                f"{card.name} has no token for {', '.join(t5.unknown_words)}; use other words",
            )


_clip_tokens, _t5_tokens = lru_cache(64)(count_clip_tokens), lru_cache(64)(count_t5_tokens)
"""Counted once for a text: a long one takes a second, and many cells have it."""

RULES: tuple[Rule, ...] = (
    _step_count,
    _frame_count,
    _size,
    _dtype,
    _placement,
    _compile,
    _quantization,
    _cache,
    _lora_scale,
    _dynamic_guidance,
    _negative_prompt,
    _clip_model,
    _revision,
    _text_length,
)
"""Rules for each cell, in the order of their advice."""

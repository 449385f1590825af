"""Caches of the transformer, by diffusers' own hooks, for one run; and what they skipped.

The hooks are registered before a cell is denoised and removed after it, with all that they hold, so that the next cell
finds a plain transformer. diffusers keeps their state apart by the pass that they are in, and the pipeline passes the
prompt and the negative one as one batch. What is skipped is counted where it is computed: in the blocks, or in the
attention and the feed-forward layer within them, by a hook inside of the cache's own.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import CogVideoXPipeline, CogVideoXTransformer3DModel
from diffusers.hooks import (
    FasterCacheConfig,
    FirstBlockCacheConfig,
    HookRegistry,
    MagCacheConfig,
    ModelHook,
    PyramidAttentionBroadcastConfig,
    TaylorSeerCacheConfig,
)
from diffusers.hooks.mag_cache import _MAG_CACHE_BLOCK_HOOK
from diffusers.utils import logging as diffusers_logging

from cogx_runs.definitions.caches import (
    Cache,
    FasterCache,
    FirstBlock,
    MagCache,
    PyramidAttentionBroadcast,
    TaylorSeer,
)
from cogx_runs.definitions.spec import RunSpec
from cogx_runs.errors import CogxError

_COUNTED = "cogx_runs_counted"
"""Name of the hook that counts."""
Ratios = Sequence[float]
"""By how much the magnitude of what all blocks add changes from step to step, one number a step."""


@dataclass(frozen=True)
class Skipped:
    """What a cache skipped: evaluations of one text of the batch in one block and step."""

    attention: int
    feed_forward: int
    of_each: int
    """Evaluations of each of the two without a cache."""

    @property
    def fraction(self) -> float:
        """Share of all evaluations that was skipped."""
        return (self.attention + self.feed_forward) / (2 * self.of_each)

    def __str__(self) -> str:
        """Writes `attention 240 of 600, feed-forward 0 of 600 evaluations`."""
        return f"attention {self.attention} of {self.of_each}, feed-forward {self.feed_forward} of {self.of_each}"


@contextmanager
def caching(pipe: CogVideoXPipeline, spec: RunSpec, ratios: Ratios | None) -> Iterator[Callable[[], Skipped | None]]:
    """Has the cell's cache act for a block, and yields what tells, after the denoising, what it skipped.

    `ratios` are those of the model's schedule, for MagCache. Without a cache nothing is touched, and nothing told.
    Raises CogxError where the cache finds no part of this model to skip.
    """
    cache = spec.step_cache
    if cache is None:
        yield lambda: None
        return
    blocks = pipe.transformer.transformer_blocks
    of_each = spec.num_inference_steps * len(blocks) * (2 if spec.is_guided else 1)
    attention, feed_forward = _Evaluations(), _Evaluations()
    with _enabled(pipe.transformer, _config(pipe, cache, spec, ratios), cache, attention, feed_forward):
        yield lambda: Skipped(of_each - attention.rows, of_each - feed_forward.rows, of_each)


@contextmanager
def calibrating(transformer: CogVideoXTransformer3DModel, steps: int) -> Iterator[Callable[[], Ratios]]:
    """Has diffusers measure MagCache's ratios for a block in which nothing is skipped, and yields what tells them.

    They are there after the last step and before the pipeline's end, which forgets them.
    """
    # After the number of steps that it is given it would print the ratios and forget them.
    transformer.enable_cache(MagCacheConfig(calibrate=True, num_inference_steps=steps + 1))
    hook = transformer.transformer_blocks[-1]._diffusers_hook.get_hook(_MAG_CACHE_BLOCK_HOOK)

    def measured() -> Ratios:
        (state,) = hook.state_manager._state_cache.values()
        return list(state.calibration_ratios)

    try:
        yield measured
    finally:
        transformer.disable_cache()


class _Evaluations(ModelHook):  # type: ignore[misc]
    """Counts the texts of the batches that a module is called with, over all modules that it is registered on."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = 0

    def pre_forward(self, _module: torch.nn.Module, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        """Counts a call, and passes its arguments on."""
        self.rows += len(kwargs["hidden_states"] if "hidden_states" in kwargs else args[0])
        return args, kwargs


@contextmanager
def _enabled(
    transformer: CogVideoXTransformer3DModel,
    config: object,
    cache: Cache,
    attention: _Evaluations,
    feed_forward: _Evaluations,
) -> Iterator[None]:
    """Registers the hooks that count, and around them those of the cache; removes them in the reverse order."""
    counted = [
        (module, counter)
        for block in transformer.transformer_blocks
        for module, counter in (
            ((block, attention), (block, feed_forward))
            if cache.of_blocks
            else ((block.attn1, attention), (block.ff, feed_forward))
        )
    ]
    names = [f"{_COUNTED}_{place % 2}" for place in range(len(counted))]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.meshgrid")
        try:
            for (module, counter), name in zip(counted, names, strict=True):
                _registry(module).register_hook(counter, name)
            before = _hooks(transformer)
            with _quiet():
                transformer.enable_cache(config)
            if _hooks(transformer) == before:
                raise CogxError(f"cache {cache}: finds nothing to skip in {type(transformer).__name__}; use another")
            yield
        finally:
            if transformer.is_cache_enabled:
                transformer.disable_cache()
            for (module, _), name in reversed(list(zip(counted, names, strict=True))):
                _registry(module).remove_hook(name, recurse=False)


def _registry(module: torch.nn.Module) -> HookRegistry:
    return HookRegistry.check_if_exists_or_initialize(module)


def _hooks(transformer: CogVideoXTransformer3DModel) -> int:
    """Counts the hooks on the blocks and on what is in them."""
    registries = (getattr(module, "_diffusers_hook", None) for module in transformer.transformer_blocks.modules())
    return sum(len(registry.hooks) for registry in registries if registry is not None)


def _config(pipe: CogVideoXPipeline, cache: Cache, spec: RunSpec, ratios: Ratios | None) -> object:
    """Translates a cache into diffusers' configuration of it."""
    match cache:
        case FirstBlock():
            return FirstBlockCacheConfig(threshold=cache.threshold)
        case PyramidAttentionBroadcast():
            return PyramidAttentionBroadcastConfig(
                spatial_attention_block_skip_range=cache.interval,
                spatial_attention_timestep_skip_range=(cache.after, cache.before),
                current_timestep_callback=_timestep_of(pipe),
            )
        case FasterCache():
            return FasterCacheConfig(
                spatial_attention_block_skip_range=cache.interval,
                spatial_attention_timestep_skip_range=(-1, cache.before),
                unconditional_batch_skip_range=cache.guidance_interval,
                unconditional_batch_timestep_skip_range=(-1, cache.guidance_before),
                attention_weight_callback=lambda _: 0.5,
                tensor_format="BFCHW",
                is_guidance_distilled=not spec.is_guided,
                current_timestep_callback=_timestep_of(pipe),
            )
        case MagCache():
            assert ratios is not None, "a schedule is calibrated before a cell of it is denoised"
            return MagCacheConfig(
                threshold=cache.threshold,
                max_skip_steps=cache.most,
                retention_ratio=cache.kept_share,
                num_inference_steps=spec.num_inference_steps,
                mag_ratios=list(ratios),
            )
        case TaylorSeer():  # the blocks as a whole: diffusers' own patterns match no layer of CogVideoX
            return TaylorSeerCacheConfig(
                cache_interval=cache.interval,
                disable_cache_before_step=cache.first,
                max_order=cache.order,
                taylor_factors_dtype=torch.float32,
                use_lite_mode=True,
            )
    raise AssertionError(f"{cache.name} has no hooks")


def _timestep_of(pipe: CogVideoXPipeline) -> Callable[[], int]:
    """Makes what tells the timestep at hand, read from the GPU once a step: every attention asks for it."""
    read: list[Any] = [None, 0]

    def timestep() -> int:
        current = pipe.current_timestep
        if current is not read[0]:
            read[:] = current, int(current)
        known: int = read[1]
        return known

    return timestep


@contextmanager
def _quiet() -> Iterator[None]:
    """Hides what diffusers says of each cache whenever it is enabled."""
    level = diffusers_logging.get_verbosity()
    diffusers_logging.set_verbosity_error()
    try:
        yield
    finally:
        diffusers_logging.set_verbosity(level)

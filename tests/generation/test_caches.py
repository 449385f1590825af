"""Caches of the transformer: what each skips, counted where it is computed, and that nothing of it stays."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from cogx_runs.definitions.spec import RunSpec
from cogx_runs.errors import CogxError
from cogx_runs.generation.caches import Ratios
from cogx_runs.generation.generate import Denoised, denoise
from cogx_runs.generation.loader import Loader
from cogx_runs.models.cards import resolve_model
from cogx_runs.progress import SilentProgress
from cogx_runs.system.disk import cache_directory
from tests.support.pipelines import make_spec

STEPS = 10


def denoised(loader: Loader, spec: RunSpec) -> Denoised:
    pipe = loader.warm_pipeline(resolve_model(spec.model), spec, SilentProgress())
    return denoise(pipe, spec, loader.texts.of(spec), ratios=loader.ratios(spec))


def denoised_ratios(loader: Loader, spec: RunSpec) -> Ratios:
    loader.warm_pipeline(resolve_model(spec.model), spec, SilentProgress())
    ratios = loader.ratios(spec)
    assert ratios is not None
    return ratios


def hooks(loader: Loader, spec: RunSpec) -> int:
    pipe = loader.load(resolve_model(spec.model), spec, SilentProgress())
    registries = [getattr(module, "_diffusers_hook", None) for module in pipe.transformer.modules()]
    return sum(len(registry.hooks) for registry in registries if registry is not None)


@pytest.mark.parametrize("guidance", [6.0, 1.0])
@pytest.mark.parametrize(
    ("cache", "attention", "feed_forward"),
    [
        # Of 10 steps at timesteps 999, 899 ... 99 and 2 blocks; with guidance each has two texts.
        ("first_block:10", (36 - 18, 18 - 9), (36 - 18, 18 - 9)),  # the first block is always computed
        ("pab:2", (3 * 4, 3 * 2), (0, 0)),  # at 699, 499, 299
        (
            "fastercache:2:3",
            (4 * 2 + 2 * 2, 3 * 2),
            (4 * 2, 0),
        ),  # at 599, 499, 299, 199
        ("magcache:10:2:0.2", (6 * 4, 6 * 2), (6 * 4, 6 * 2)),  # two of three from the third
        ("taylorseer:2:1:3", (4 * 4, 4 * 2), (4 * 4, 4 * 2)),  # at 4, 6, 8 and 10
    ],
)
def test_a_cache_skips_what_it_says_and_is_gone_bitwise_from_the_next_cell(
    tiny_model: Path,
    loader: Loader,
    cache: str,
    attention: tuple[int, int],
    feed_forward: tuple[int, int],
    guidance: float,
) -> None:
    plain = make_spec(tiny_model, num_inference_steps=STEPS, guidance_scale=guidance)
    cached = plain.replace(cache=cache)

    before, first, second, after = (denoised(loader, spec) for spec in (plain, cached, cached, plain))

    assert first.skipped is not None
    place = 0 if guidance > 1 else 1
    assert (first.skipped.attention, first.skipped.feed_forward) == (attention[place], feed_forward[place])
    assert first.skipped.of_each == STEPS * 2 * (2 if guidance > 1 else 1)
    assert not torch.equal(first.latents, before.latents)
    assert torch.equal(second.latents, first.latents)  # nothing of one cell's state reaches the next
    assert torch.equal(after.latents, before.latents)
    assert before.skipped is None
    assert hooks(loader, plain) == 0


@pytest.mark.parametrize("changed", [{"placement": "group"}, {"placement": "group", "compile": True}])
@pytest.mark.parametrize("cache", ["first_block:10", "magcache:10", "taylorseer:2"])
def test_caches_of_blocks_act_on_streamed_and_on_compiled_blocks(
    tiny_model: Path, loader: Loader, monkeypatch: pytest.MonkeyPatch, cache: str, changed: dict[str, Any]
) -> None:
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    plain = make_spec(tiny_model, num_inference_steps=5).replace(**changed)

    before, cached, after = (denoised(loader, spec) for spec in (plain, plain.replace(cache=cache), plain))

    assert cached.skipped is not None
    assert cached.skipped.fraction >= 0.2
    assert torch.equal(after.latents, before.latents)


def test_ratios_are_measured_once_for_a_schedule_whatever_the_prompt_and_the_numbers(
    tiny_model: Path, loader: Loader
) -> None:
    spec = make_spec(tiny_model, num_inference_steps=4, cache="magcache:0.1:3:0")
    ratios = denoised_ratios(loader, spec)

    assert len(ratios) == 4
    assert ratios[0] == 1
    assert loader.take_calibration()
    changes: list[dict[str, Any]] = [
        {"cache": "magcache:0.2"},
        {"prompt": "Rain.", "seed": 7},
        {"num_inference_steps": 3},
    ]
    again = Loader()
    assert [denoised_ratios(again, spec.replace(**changed)) == ratios for changed in changes] == [True, True, False]
    again.close()


def test_ratios_that_are_not_kept_whole_are_measured_again(tiny_model: Path, loader: Loader) -> None:
    spec = make_spec(tiny_model, num_inference_steps=3, cache="magcache")
    ratios = denoised_ratios(loader, spec)
    (file,) = (cache_directory() / "calibrations").iterdir()
    file.write_text(file.read_text()[:-9])

    again = Loader()
    assert denoised_ratios(again, spec) == ratios
    assert again.take_calibration()
    again.close()


def test_a_cache_that_finds_no_block_is_an_error(tiny_model: Path, loader: Loader) -> None:
    spec = make_spec(tiny_model, num_inference_steps=2)
    pipe = loader.load(resolve_model(spec.model), spec, SilentProgress())
    pipe.transformer.register_to_config(num_layers=0)
    pipe.transformer.transformer_blocks = torch.nn.ModuleList()

    with pytest.raises(CogxError, match="^cache taylorseer:5: finds nothing to skip in CogVideoXTransformer3DModel; "):
        denoise(pipe, spec.replace(cache="taylorseer"), loader.texts.of(spec))

"""Tiles of the VAE: every size comes back as it was asked for, and sizes that diffusers tiles well keep their bits."""

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLCogVideoX

from cogx_runs import toy
from cogx_runs.errors import CogxError
from cogx_runs.generation.generate import decode, decode_latents
from cogx_runs.generation.tiling import OVERLAP_HEIGHT, OVERLAP_WIDTH, Tiling, exact_tiling, set_tiling
from tests.support.pipelines import make_spec


@pytest.fixture(scope="module")
def tiny_vae(tiny_model: Path) -> AutoencoderKLCogVideoX:
    """A VAE of 8 pixels a latent with tiles of 64 pixels."""
    return AutoencoderKLCogVideoX.from_pretrained(tiny_model / "vae")


@pytest.fixture(scope="module")
def toy_vae() -> AutoencoderKLCogVideoX:
    """A VAE of 4 pixels a latent with tiles of 64 pixels."""
    return AutoencoderKLCogVideoX.from_pretrained(toy.pipeline_dir() / "vae")


def shape(vae: AutoencoderKLCogVideoX, height: int, width: int) -> tuple[int, ...]:
    """Of one decoded latent frame of height x width."""
    latents = torch.zeros(1, 1, vae.config.latent_channels, height, width)
    return decode_latents(vae, latents, "cpu", tiling=True, slicing=True).shape[1:3]


@pytest.mark.parametrize(("height", "width"), [(72, 64), (128, 128), (64, 136), (200, 72), (104, 116)])
def test_a_video_of_the_toys_vae_has_the_size_asked_for(
    toy_vae: AutoencoderKLCogVideoX, height: int, width: int
) -> None:
    assert shape(toy_vae, height // 4, width // 4) == (height, width)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (64, 72), (72, 96), (128, 160), (176, 80)])
def test_a_video_of_another_vae_has_the_size_asked_for(
    tiny_vae: AutoencoderKLCogVideoX, height: int, width: int
) -> None:
    assert shape(tiny_vae, height // 8, width // 8) == (height, width)


@pytest.mark.parametrize("overlap", [OVERLAP_HEIGHT, OVERLAP_WIDTH])
def test_tiles_of_any_vae_give_back_every_side(overlap: float) -> None:
    for scale in (2, 4, 8, 16):
        for sample in (2, 10, 30, 64, 90, 128, 240, 480, 720):
            own = Tiling(sample // 2, int(sample // 2 / scale), overlap)
            for side in range(1, 100):
                tiling = exact_tiling(own, side, scale)
                starts = range(0, side, tiling.stride)
                parts = [min(tiling.kept, min(tiling.latents, side - start) * scale) for start in starts]
                assert sum(parts) == side * scale
                assert [sum(parts[:number]) for number in range(len(parts))] == [start * scale for start in starts]
                assert tiling.latents <= max(own.latents, 1)


def test_the_tiles_of_2b_and_5b_at_their_own_size_are_diffusers_own() -> None:
    vae = AutoencoderKLCogVideoX(
        block_out_channels=(2, 2, 2, 2), layers_per_block=1, norm_num_groups=1, latent_channels=1
    )
    own = {name: value for name, value in vars(vae).items() if name.startswith("tile_")}

    set_tiling(vae, 60, 90)

    assert {name: value for name, value in vars(vae).items() if name.startswith("tile_")} == own
    assert own["tile_overlap_factor_height"] == OVERLAP_HEIGHT
    assert own["tile_sample_min_width"] == 360


def test_what_is_decoded_in_one_piece_is_as_diffusers_decodes_it(toy_vae: AutoencoderKLCogVideoX) -> None:
    latents = torch.randn(1, 3, 16, 16, 16, generator=torch.Generator().manual_seed(0))
    decode_latents(toy_vae, torch.zeros(1, 1, 16, 32, 18), "cpu", tiling=True, slicing=True)
    whole = decode_latents(toy_vae, latents, "cpu", tiling=False, slicing=True)

    tiled = decode_latents(toy_vae, latents, "cpu", tiling=True, slicing=True)

    assert np.array_equal(tiled, whole)


def test_frames_of_another_size_than_asked_for_are_an_error(tiny_model: Path, tiny_vae: AutoencoderKLCogVideoX) -> None:
    spec = make_spec(tiny_model)
    with pytest.raises(CogxError) as size:
        decode(tiny_vae, spec, torch.zeros(1, 3, 4, 4, 5))
    with pytest.raises(CogxError) as length:
        decode(tiny_vae, spec, torch.zeros(1, 1, 4, 4, 4))

    assert str(size.value) == "the VAE decodes to 9 frames of 32x40, not to the 9 of 32x32 asked for"
    assert str(length.value) == "the VAE decodes to 1 frames of 32x32, not to the 9 of 32x32 asked for"

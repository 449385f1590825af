"""Decoders: `exact` is diffusers bit for bit, `fused` is the same function, and neither leaves a trace."""

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial

import pytest
import torch
from diffusers import AutoencoderKLCogVideoX
from diffusers.models.autoencoders.autoencoder_kl_cogvideox import CogVideoXSpatialNorm3D

from benchmarks.random_model import TINY
from cogx_runs.generation.decoders import HEIGHT, WIDTH, blend, decoding_with, modulated
from cogx_runs.generation.tiling import set_tiling
from tests.support.paths import ROOT


@pytest.fixture(scope="module")
def vae() -> AutoencoderKLCogVideoX:
    torch.manual_seed(0)
    blocks = {"down_block_types": ("CogVideoXDownBlock3D",) * 4, "up_block_types": ("CogVideoXUpBlock3D",) * 4}
    return AutoencoderKLCogVideoX(**blocks, **TINY["vae"]).eval()


def decode(vae: AutoencoderKLCogVideoX, latents: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        video: torch.Tensor = vae.decode(latents.to(vae.dtype)).sample
    return video


@pytest.mark.parametrize(("frames", "is_tiled"), [(1, False), (5, False), (3, True)])
def test_the_exact_decoder_is_bitwise_diffusers(vae: AutoencoderKLCogVideoX, frames: int, is_tiled: bool) -> None:
    latents = torch.randn((1, 4, frames, 10 if is_tiled else 3, 9 if is_tiled else 2))
    set_tiling(vae, *latents.shape[-2:]) if is_tiled else vae.disable_tiling()
    plain = decode(vae, latents)

    with decoding_with(vae, "exact"):
        exact = decode(vae, latents)

    assert torch.equal(exact, plain)
    assert plain.std() > 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize(("latent_frames", "frames"), [(1, 1), (2, 2), (2, 8), (3, 9)])
def test_a_modulation_computed_once_for_each_latent_is_bitwise_that_of_each_pixel(
    latent_frames: int, frames: int, dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    norm = CogVideoXSpatialNorm3D(8, 16, groups=2).to(dtype)
    f, latents = torch.randn((1, 8, frames, 24, 32)).to(dtype), torch.randn((1, 16, latent_frames, 12, 16)).to(dtype)

    with torch.no_grad():
        once, plain = modulated(norm, f, latents), norm(f, latents)[0]

    assert torch.equal(once, plain)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("extent", [0, 7, 40])
@pytest.mark.parametrize("dim", [HEIGHT, WIDTH])
def test_tiles_are_blended_bitwise_as_line_by_line(
    vae: AutoencoderKLCogVideoX, dim: int, extent: int, dtype: torch.dtype
) -> None:
    before, after = torch.randn(2, 1, 3, 4, 24, 24).to(dtype)
    line_by_line: Callable[..., torch.Tensor] = vae.blend_v if dim == HEIGHT else vae.blend_h

    at_once = partial(blend, dim)(before, after.clone(), extent)

    assert torch.equal(at_once, line_by_line(before, after.clone(), extent))


def test_a_decoder_leaves_the_vae_as_it_was(vae: AutoencoderKLCogVideoX) -> None:
    modules = [vae, *vae.modules()]
    before = [dict(vars(module)) for module in modules]

    for decoder in ("exact", "fused"):
        with decoding_with(vae, decoder):
            assert [dict(vars(module)) for module in modules] != before

    assert [dict(vars(module)) for module in modules] == before


NORM = """
import torch
from diffusers.models.autoencoders.autoencoder_kl_cogvideox import CogVideoXSpatialNorm3D
from torch.nn.functional import silu
from cogx_runs.generation.fused_kernels import modulated_silu, moments

torch.manual_seed(0)
norm = CogVideoXSpatialNorm3D(12, 4, groups=3).requires_grad_(False)
layer = norm.norm_layer
torch.nn.init.normal_(layer.weight)
torch.nn.init.normal_(layer.bias)
for latent_frames, frames in ((1, 1), (2, 4), (3, 5)):
    x, residual = 50 + torch.randn(2, 2, 12, frames, 4, 6)
    latents, bias = torch.randn(2, 4, latent_frames, 2, 3), torch.randn(12)
    plain = silu(norm(x + bias[:, None, None, None] + residual, latents)[0])
    modulation = torch.cat([norm.conv_y(latents)[0], norm.conv_b(latents)[0]], dim=1)
    x, residual, modulation = (tensor.permute(0, 2, 3, 4, 1).contiguous() for tensor in (x, residual, modulation))
    found = moments(x, 3, layer.eps, bias=bias, residual=residual, store=True)
    fused = modulated_silu(x, found, layer.weight, layer.bias, modulation, 2).permute(0, 4, 1, 2, 3)
    torch.testing.assert_close(fused[:, :, 2:], plain, rtol=1e-3, atol=1e-3)
    assert torch.equal(fused[:, :, :2], fused[:, :, 2:3].expand(-1, -1, 2, -1, -1))
"""

DECODER = """
import torch
from diffusers.models.autoencoders.autoencoder_kl_cogvideox import CogVideoXDecoder3D
from cogx_runs.generation.fused_decoder import FusedDecoder

torch.manual_seed(0)
decoder = CogVideoXDecoder3D(
    in_channels=4, up_block_types=("CogVideoXUpBlock3D",) * 2, block_out_channels=(8, 24), layers_per_block=1,
    norm_num_groups=2,
).eval()
for values in decoder.parameters():
    values.data += 0.1 * torch.randn_like(values)
latents = torch.randn(2, 4, 5, 2, 1)


def decoded(call):
    cache, parts = None, []
    for frames in (slice(0, 3), slice(3, 5)):
        part, cache = call(latents[:, :, frames], conv_cache=cache)
        parts.append(part)
    return torch.cat(parts, dim=2)


with torch.no_grad():
    plain = decoded(decoder)
    fused = decoded(FusedDecoder(decoder))
    one = latents[:, :, :1]
    torch.testing.assert_close(FusedDecoder(decoder)(one)[0], decoder(one)[0], rtol=1e-4, atol=1e-4)
    assert plain.std() > 0.1, plain.std()
    torch.testing.assert_close(fused, plain, rtol=1e-4, atol=1e-4)
    assert torch.equal(decoded(decoder), plain)
"""


def run_in_the_interpreter(script: str) -> None:
    """Runs a script whose kernels Triton interprets on the CPU, which it decides when it is imported."""
    pytest.importorskip("triton")
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_fused_norm_is_diffusers_norm_and_silu() -> None:
    run_in_the_interpreter(NORM)


@pytest.mark.slow
def test_the_fused_decoder_is_diffusers_decoder() -> None:
    run_in_the_interpreter(DECODER)

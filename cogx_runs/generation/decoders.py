"""The ways in which a VAE decodes: as diffusers does, bit for bit and sooner, or with fused kernels."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from diffusers import AutoencoderKLCogVideoX
from diffusers.models.autoencoders.autoencoder_kl_cogvideox import CogVideoXSpatialNorm3D

from cogx_runs.definitions.parameters import Decoder

HEIGHT, WIDTH = 3, 4
"""Dimensions of a batch of videos: batch x channels x frames x height x width."""


@contextmanager
def decoding_with(vae: AutoencoderKLCogVideoX, decoder: Decoder) -> Iterator[None]:
    """Has a VAE decode in the named way for a block, and leaves it as it was."""
    with ExitStack() as stack:
        stack.enter_context(_replaced(vae, "blend_v", partial(blend, HEIGHT)))
        stack.enter_context(_replaced(vae, "blend_h", partial(blend, WIDTH)))
        if decoder == "fused":
            stack.enter_context(_replaced(vae.decoder, "forward", _fused(vae.decoder)))
        else:
            for module in vae.decoder.modules():
                if isinstance(module, CogVideoXSpatialNorm3D):
                    stack.enter_context(_replaced(module, "forward", partial(normalise, module)))
        yield


def blend(dim: int, before: torch.Tensor, after: torch.Tensor, extent: int) -> torch.Tensor:
    """Blends the end of one tile into the beginning of the next, in place, along one dimension.

    All lines at once, and bitwise what `AutoencoderKLCogVideoX.blend_v` and `blend_h` do line by line: PyTorch
    multiplies by a number in float32, and rounds each product and their sum.
    """
    extent = min(before.shape[dim], after.shape[dim], extent)
    if extent > 0:
        shape = [extent if place == dim else 1 for place in range(after.ndim)]
        share = [line / extent for line in range(extent)]
        rest = [1 - line / extent for line in range(extent)]
        old = before.narrow(dim, before.shape[dim] - extent, extent)
        new = after.narrow(dim, 0, extent)
        new.copy_(_weighted(old, rest, shape) + _weighted(new, share, shape))
    return after


def _weighted(lines: torch.Tensor, weights: list[float], shape: list[int]) -> torch.Tensor:
    wide = torch.tensor(weights, dtype=torch.float32, device=lines.device).view(shape)
    return (lines.float() * wide).to(lines.dtype)


def normalise(
    norm: CogVideoXSpatialNorm3D, f: torch.Tensor, zq: torch.Tensor, conv_cache: Any = None
) -> tuple[torch.Tensor, Any]:
    """Does what `CogVideoXSpatialNorm3D.forward` does, bit for bit; on a GPU in half precision as `modulated` does.

    Elsewhere the order in which a convolution sums may depend on its size: on a CPU in float32 it does.
    """
    if f.is_cuda and f.dtype in (torch.float16, torch.bfloat16):
        return modulated(norm, f, zq), {}
    plain: tuple[torch.Tensor, Any] = CogVideoXSpatialNorm3D.forward(norm, f, zq, conv_cache)
    return plain


def modulated(norm: CogVideoXSpatialNorm3D, f: torch.Tensor, zq: torch.Tensor) -> torch.Tensor:
    """Normalises and modulates, with the modulation of each latent computed once.

    The convolutions see one latent at a time, so that they and the enlargement by nearest neighbours can change places;
    then nothing needs to be enlarged: each latent's modulation is that of a block of values. Bitwise what diffusers
    computes where a latent's 16 channels are summed by one instruction, as tensor cores do in half precision.
    """
    y, b = norm.conv_y(zq)[0], norm.conv_b(zq)[0]
    out: torch.Tensor = norm.norm_layer(f)
    first = int(f.shape[2] > 1 and f.shape[2] % 2 == 1)  # then the first frame has the first latent to itself
    for frames, latents in ((slice(first), slice(first)), (slice(first, None), slice(first, None))):
        values, scale, shift = out[:, :, frames], y[:, :, latents], b[:, :, latents]
        if values.shape[2] > 0:
            _blocks(values, scale).mul_(_spread(scale)).add_(_spread(shift))
    return out


def _blocks(values: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
    """Views values as blocks of frames, height and width, one for each latent."""
    sizes = latents.shape[2:]
    blocks = [part for whole, number in zip(values.shape[2:], sizes, strict=True) for part in (number, whole // number)]
    return values.view(*values.shape[:2], *blocks)


def _spread(latents: torch.Tensor) -> torch.Tensor:
    """Views latents so that each acts on its whole block."""
    return latents[:, :, :, None, :, None, :, None]


def _fused(decoder: torch.nn.Module) -> Callable[..., tuple[torch.Tensor, dict[str, torch.Tensor]]]:
    """Makes the fused decoder when it is first called: then the weights are where they are needed."""
    made: list[Any] = []

    def forward(sample: torch.Tensor, temb: None = None, conv_cache: Any = None) -> Any:
        if not made:
            from cogx_runs.generation.fused_decoder import FusedDecoder  # imports Triton, which not every machine has

            made.append(FusedDecoder(decoder))
        return made[0](sample, temb, conv_cache)

    return forward


@contextmanager
def _replaced(owner: object, name: str, method: Callable[..., Any]) -> Iterator[None]:
    """Puts a method into an object for a block, in the place of its class's or of a hook's."""
    had = vars(owner).get(name)
    setattr(owner, name, method)
    try:
        yield
    finally:
        if had is None:
            delattr(owner, name)
        else:
            setattr(owner, name, had)

"""The VAE's decoder in channels-last layout, its norms fused with their modulation, activation and padding.

What differs from `CogVideoXDecoder3D`, on a GPU in half precision: group norm no longer runs on one multiprocessor a
group (`fused_kernels.py`); activations stay in the layout in which cuDNN convolves; the biases of convolutions, which
PyTorch adds in a pass of their own, and residuals are added by the pass that reads them next; norms write into the
padded buffer that the causal convolution reads.
"""

from dataclasses import dataclass
from typing import Any

import torch
from accelerate.utils import align_module_device
from diffusers.models.autoencoders.autoencoder_kl_cogvideox import (
    CogVideoXCausalConv3d,
    CogVideoXDecoder3D,
    CogVideoXResnetBlock3D,
    CogVideoXSpatialNorm3D,
)
from diffusers.models.upsampling import CogVideoXUpsample3D
from torch.nn import functional

from cogx_runs.generation.fused_kernels import Moments, enlarged, modulated_silu, moments
from cogx_runs.system.hardware import GIB

MOST_CONVOLVED_BYTES = 2 * GIB
"""Input of one convolution at most, as in `CogVideoXSafeConv3d`; what is larger is convolved a few frames at a time."""
OUT_CHANNELS = 8
"""The last convolution's three channels are padded to as many: tensor cores take multiples of 8."""
Caches = dict[str, torch.Tensor]
"""The last frames that each causal convolution has read, for the frames that follow; channels last."""


class FusedDecoder:
    """Does what a VAE's decoder does, with weights copied once and laid out for it; leaves the decoder as it is."""

    def __init__(self, decoder: CogVideoXDecoder3D) -> None:
        """Copies the weights of `decoder`, wherever they live, to where it works."""
        self._conv_in = _Convolution.causal("conv_in", decoder.conv_in)
        self._middle = [_Resnet.of(f"mid.{i}", resnet) for i, resnet in enumerate(decoder.mid_block.resnets)]
        self._up = [
            (
                [_Resnet.of(f"up.{i}.{j}", resnet) for j, resnet in enumerate(block.resnets)],
                None if block.upsamplers is None else _Upsampler.of(block.upsamplers[0]),
            )
            for i, block in enumerate(decoder.up_blocks)
        ]
        self._norm_out = _Norm.of(decoder.norm_out)
        self._conv_out = _Convolution.causal("conv_out", decoder.conv_out)
        self._out_channels = decoder.conv_out.conv.out_channels
        self._conv_out = self._conv_out.padded(OUT_CHANNELS)

    def __call__(
        self, sample: torch.Tensor, _temb: None = None, conv_cache: Caches | None = None
    ) -> tuple[torch.Tensor, Caches]:
        """Decodes latents, batch x channels x frames x height x width, as `CogVideoXDecoder3D.forward` does."""
        latents = sample.permute(0, 2, 3, 4, 1).contiguous()
        caches = _CausalFrames(conv_cache or {})
        x = self._conv_in(caches.before(self._conv_in.name, latents, self._conv_in.padding))
        stream = _Sum(x, self._conv_in.bias)
        for resnet in self._middle:
            stream = resnet(stream, latents, caches)
        for resnets, upsampler in self._up:
            for resnet in resnets:
                stream = resnet(stream, latents, caches)
            if upsampler is not None:
                stream = upsampler(stream)
        found = stream.settled(self._norm_out)
        x = self._norm_out(stream.x, found, latents, self._conv_out.padding)
        x = self._conv_out(caches.among(self._conv_out.name, x, self._conv_out.padding))
        assert self._conv_out.bias is not None
        video = (x + self._conv_out.bias)[..., : self._out_channels]
        return video.permute(0, 4, 1, 2, 3).contiguous(), caches.new


@dataclass
class _Sum:
    """What stands between two blocks: a tensor, and what is still to be added to it."""

    x: torch.Tensor
    bias: torch.Tensor | None = None
    residual: torch.Tensor | None = None
    residual_bias: torch.Tensor | None = None

    @property
    def added(self) -> dict[str, torch.Tensor | None]:
        """What is still to be added, as the kernels take it."""
        return {"bias": self.bias, "residual": self.residual, "residual_bias": self.residual_bias}

    def settled(self, norm: "_Norm") -> Moments:
        """Adds it up in place, and computes the moments for the norm that reads it next."""
        found = norm.moments(self.x, **self.added, store=True)
        self.bias = self.residual = self.residual_bias = None
        return found


class _CausalFrames:
    """Puts the frames before others, and keeps the last ones."""

    def __init__(self, old: Caches) -> None:
        self._old = old
        self.new: Caches = {}

    def before(self, name: str, x: torch.Tensor, padding: int) -> torch.Tensor:
        """Returns `x` with `padding` frames before its own."""
        return self.among(name, torch.cat([x[:, :1]] * padding + [x], dim=1), padding)

    def among(self, name: str, x: torch.Tensor, padding: int) -> torch.Tensor:
        """Fills the first `padding` frames of `x`, which repeat its first one, with those read last, if any were."""
        if name in self._old:
            x[:, :padding] = self._old[name]
        self.new[name] = x[:, x.shape[1] - padding :].clone()
        return x


@dataclass(frozen=True)
class _Convolution:
    """A convolution over frames, height and width, without its bias."""

    name: str
    weight: torch.Tensor
    """Channels last."""
    bias: torch.Tensor | None

    @classmethod
    def causal(cls, name: str, module: CogVideoXCausalConv3d) -> "_Convolution":
        """Copies the weights of a causal convolution."""
        weight, bias = _weights(module.conv)
        return cls(name, weight.contiguous(memory_format=torch.channels_last_3d), bias)

    @property
    def padding(self) -> int:
        """Frames that it needs before the first one."""
        return self.weight.shape[2] - 1

    def padded(self, multiple: int) -> "_Convolution":
        """Returns it with further output channels, all zero."""
        more = -self.weight.shape[0] % multiple
        weight = functional.pad(self.weight, (0, 0) * 4 + (0, more))
        assert self.bias is not None
        bias = functional.pad(self.bias, (0, more))
        return _Convolution(self.name, weight.contiguous(memory_format=torch.channels_last_3d), bias)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Convolves padded frames."""
        frames = x.shape[1] - self.padding
        parts = -(-x.numel() * x.element_size() // MOST_CONVOLVED_BYTES)
        if parts <= 1:
            return self._convolved(x)
        size = -(-frames // parts)
        pieces = [
            self._convolved(x[:, start : min(start + size, frames) + self.padding]) for start in range(0, frames, size)
        ]
        return torch.cat(pieces, dim=1)

    def _convolved(self, x: torch.Tensor) -> torch.Tensor:
        at_sides = (0, self.weight.shape[3] // 2, self.weight.shape[4] // 2)
        out = functional.conv3d(x.permute(0, 4, 1, 2, 3), self.weight, padding=at_sides)
        return out.permute(0, 2, 3, 4, 1).contiguous()


@dataclass(frozen=True)
class _Norm:
    """A spatially conditioned norm, and SiLU after it."""

    groups: int
    eps: float
    weight: torch.Tensor
    bias: torch.Tensor
    modulation: torch.Tensor
    """Weights of y and b, 2 channels x latent channels."""
    modulation_bias: torch.Tensor

    @classmethod
    def of(cls, module: CogVideoXSpatialNorm3D) -> "_Norm":
        """Copies the weights of a norm."""
        weight, bias = _weights(module.norm_layer)
        y, y_bias = _weights(module.conv_y.conv)
        b, b_bias = _weights(module.conv_b.conv)
        assert bias is not None
        assert y_bias is not None
        assert b_bias is not None
        modulation = torch.cat([y, b]).flatten(1)
        layer = module.norm_layer
        return cls(layer.num_groups, layer.eps, weight, bias, modulation, torch.cat([y_bias, b_bias]))

    def moments(self, x: torch.Tensor, **added: Any) -> Moments:
        """Computes the moments of its groups."""
        return moments(x, self.groups, self.eps, **added)

    def __call__(
        self, x: torch.Tensor, found: Moments, latents: torch.Tensor, padding: int, bias: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Normalises, modulates and applies SiLU."""
        modulation = functional.linear(latents, self.modulation, self.modulation_bias)
        return modulated_silu(x, found, self.weight, self.bias, modulation, padding, bias=bias)


@dataclass(frozen=True)
class _Resnet:
    norm1: _Norm
    conv1: _Convolution
    norm2: _Norm
    conv2: _Convolution
    shortcut: tuple[torch.Tensor, torch.Tensor | None] | None
    """Weights of a linear map, where the channels change."""

    @classmethod
    def of(cls, name: str, module: CogVideoXResnetBlock3D) -> "_Resnet":
        """Copies the weights of a block."""
        shortcut = None
        if module.in_channels != module.out_channels:
            weight, bias = _weights(module.conv_shortcut)
            shortcut = weight.flatten(1), bias
        return cls(
            _Norm.of(module.norm1),
            _Convolution.causal(f"{name}.1", module.conv1),
            _Norm.of(module.norm2),
            _Convolution.causal(f"{name}.2", module.conv2),
            shortcut,
        )

    def __call__(self, stream: _Sum, latents: torch.Tensor, caches: _CausalFrames) -> _Sum:
        found = stream.settled(self.norm1)
        residual, residual_bias = stream.x, None
        x = self.norm1(residual, found, latents, self.conv1.padding)
        if self.shortcut is not None:
            weight, residual_bias = self.shortcut
            stream.x = residual = functional.linear(residual, weight)  # the stream's own is freed
        x = self.conv1(caches.among(self.conv1.name, x, self.conv1.padding))
        found = self.norm2.moments(x, bias=self.conv1.bias)
        x = self.norm2(x, found, latents, self.conv2.padding, self.conv1.bias)
        x = self.conv2(caches.among(self.conv2.name, x, self.conv2.padding))
        return _Sum(x, self.conv2.bias, residual, residual_bias)


@dataclass(frozen=True)
class _Upsampler:
    weight: torch.Tensor
    bias: torch.Tensor | None
    in_time: bool

    @classmethod
    def of(cls, module: CogVideoXUpsample3D) -> "_Upsampler":
        """Copies the weights of an upsampler."""
        weight, bias = _weights(module.conv)
        return cls(weight.contiguous(memory_format=torch.channels_last), bias, module.compress_time)

    def __call__(self, stream: _Sum) -> _Sum:
        x = enlarged(stream.x, **stream.added, in_time=self.in_time)
        batch, frames = x.shape[:2]
        x = functional.conv2d(x.flatten(0, 1).permute(0, 3, 1, 2), self.weight, padding=1)
        return _Sum(x.permute(0, 2, 3, 1).contiguous().view(batch, frames, *x.shape[2:], x.shape[1]), self.bias)


def _weights(module: Any) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Reads weight and bias, also those that a hook brings to the device for each call."""
    with align_module_device(module):
        return module.weight.detach(), None if module.bias is None else module.bias.detach()

"""Triton kernels of the VAE's decoder: spatially conditioned group norm, its modulation and SiLU in two passes.

The norm is that of `CogVideoXSpatialNorm3D` (https://arxiv.org/abs/2209.09002, section 3.3):
`silu(group_norm(f) * y(z) + b(z))`, where y and b are linear in the latents z, which are enlarged to f by nearest
neighbours. diffusers enlarges z and computes y and b at every pixel; here they are computed for each latent and looked
up. Values are rounded where PyTorch's separate kernels round them, so that only the order of sums differs.

All tensors are channels last: batch x frames x height x width x channels, contiguous.
"""

from dataclasses import dataclass

import torch
import triton
import triton.language as tl

BLOCK_VALUES = 8192
"""Values that a program holds at once."""
MOST_PARTS = 512
"""Partial sums of one video's norm at most; about four programs for each multiprocessor of a large GPU."""


@dataclass(frozen=True)
class Moments:
    """Means and reciprocal standard deviations of the groups of a norm; each batch x groups, float32."""

    mean: torch.Tensor
    rstd: torch.Tensor


def moments(
    x: torch.Tensor,
    groups: int,
    eps: float,
    *,
    bias: torch.Tensor | None = None,
    residual: torch.Tensor | None = None,
    residual_bias: torch.Tensor | None = None,
    store: bool = False,
) -> Moments:
    """Computes the moments of `x`, plus a bias for each channel, plus a residual of the same shape with a bias of its
    own; with `store` writes that sum into `x`."""
    batch, channels = x.shape[0], x.shape[-1]
    rows = x[0].numel() // channels
    block_c = triton.next_power_of_2(channels)
    block_rows = max(BLOCK_VALUES // block_c, 1)
    parts = min(MOST_PARTS, triton.cdiv(rows, block_rows))
    partial = torch.empty((2, batch, parts, channels), dtype=torch.float32, device=x.device)
    _partial_moments[(parts, batch)](
        x,
        x if bias is None else bias,
        x if residual is None else residual,
        x if residual_bias is None else residual_bias,
        partial,
        rows,
        channels,
        parts,
        partial.stride(0),
        HAS_BIAS=bias is not None,
        HAS_RESIDUAL=residual is not None,
        HAS_RESIDUAL_BIAS=residual_bias is not None,
        STORE=store,
        BLOCK_ROWS=block_rows,
        BLOCK_C=block_c,
        num_warps=8,
    )
    found = torch.empty((2, batch, groups), dtype=torch.float32, device=x.device)
    _combined_moments[(groups, batch)](
        partial,
        found,
        rows,
        channels,
        parts,
        partial.stride(0),
        groups,
        eps,
        BLOCK_ROWS=block_rows,
        BLOCK_PARTS=MOST_PARTS,
        BLOCK_C=triton.next_power_of_2(channels // groups),
        num_warps=4,
    )
    return Moments(found[0], found[1])


def modulated_silu(
    x: torch.Tensor,
    found: Moments,
    weight: torch.Tensor,
    norm_bias: torch.Tensor,
    modulation: torch.Tensor,
    padding: int,
    *,
    bias: torch.Tensor | None = None,
) -> torch.Tensor:
    """Normalises `x`, plus a bias for each channel, modulates it, and applies SiLU.

    `modulation` is y and b of each latent: batch x latent frames x latent height x latent width x 2 channels. The
    result has `padding` more frames at its beginning, which repeat the first one, as a causal convolution takes them.
    """
    batch, frames, height, width, channels = x.shape
    latent_frames, latent_height, latent_width = modulation.shape[1:4]
    is_split = frames > 1 and frames % 2 == 1
    block_c = triton.next_power_of_2(channels)
    block_w = max(min(BLOCK_VALUES // block_c, triton.next_power_of_2(width)), 1)
    out = torch.empty((batch, frames + padding, height, width, channels), dtype=x.dtype, device=x.device)
    _modulated_silu[(triton.cdiv(width, block_w) * frames * height, batch)](
        x,
        x if bias is None else bias,
        found.mean,
        found.rstd,
        weight,
        norm_bias,
        modulation,
        out,
        frames,
        height,
        width,
        channels,
        found.mean.shape[1],
        latent_frames,
        latent_height,
        latent_width,
        # With an odd number of frames the first one has the first latent to itself.
        (frames - 1) // (latent_frames - 1) if is_split else frames // latent_frames,
        HAS_BIAS=bias is not None,
        IS_SPLIT=is_split,
        ENLARGED=height // latent_height,
        PADDING=padding,
        BLOCK_W=block_w,
        BLOCK_C=block_c,
        num_warps=8,
    )
    return out


def enlarged(
    x: torch.Tensor,
    *,
    bias: torch.Tensor | None = None,
    residual: torch.Tensor | None = None,
    residual_bias: torch.Tensor | None = None,
    in_time: bool,
) -> torch.Tensor:
    """Adds to `x` what `moments` adds, and enlarges the sum by nearest neighbours: height and width twice, frames too
    with `in_time`, of an odd number all but the first."""
    batch, frames, height, width, channels = x.shape
    is_split = in_time and frames > 1 and frames % 2 == 1
    doubled = in_time and frames > 1
    out_frames = 2 * frames - is_split if doubled else frames
    block_c = triton.next_power_of_2(channels)
    block_w = max(min(BLOCK_VALUES // block_c, triton.next_power_of_2(2 * width)), 1)
    out = torch.empty((batch, out_frames, 2 * height, 2 * width, channels), dtype=x.dtype, device=x.device)
    _enlarged[(triton.cdiv(2 * width, block_w) * out_frames * 2 * height, batch)](
        x,
        x if bias is None else bias,
        x if residual is None else residual,
        x if residual_bias is None else residual_bias,
        out,
        frames,
        height,
        width,
        channels,
        out_frames,
        HAS_BIAS=bias is not None,
        HAS_RESIDUAL=residual is not None,
        HAS_RESIDUAL_BIAS=residual_bias is not None,
        DOUBLED=doubled,
        IS_SPLIT=is_split,
        BLOCK_W=block_w,
        BLOCK_C=block_c,
        num_warps=8,
    )
    return out


@triton.jit
def _rounded(value, like):
    """Rounds as storing into `like` and loading again would."""
    return value.to(like.dtype.element_ty).to(tl.float32)


@triton.jit
def _loaded(x, at, bias, c, inside, in_c, HAS_BIAS: tl.constexpr):
    """Values plus the bias of their channel."""
    value = tl.load(x + at, mask=inside, other=0.0).to(tl.float32)
    if HAS_BIAS:
        value = _rounded(value + tl.load(bias + c, mask=in_c, other=0.0).to(tl.float32)[None, :], x)
    return value


@triton.jit(do_not_specialize=["rows", "parts", "plane"])
def _partial_moments(
    x, bias, residual, residual_bias, partial, rows, channels, parts, plane,
    HAS_BIAS: tl.constexpr, HAS_RESIDUAL: tl.constexpr, HAS_RESIDUAL_BIAS: tl.constexpr, STORE: tl.constexpr,
    BLOCK_ROWS: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """Means and sums of squared deviations of each channel, over every `parts`-th block of rows.

    Deviations are summed from the program's first row, so that nothing cancels where the mean is large.
    """
    part, video = tl.program_id(0), tl.program_id(1).to(tl.int64)
    c = tl.arange(0, BLOCK_C)
    in_c = c < channels
    first = (video * rows + part * BLOCK_ROWS) * channels + c
    pivot = tl.load(x + first, mask=in_c, other=0.0).to(tl.float32)
    if HAS_RESIDUAL:
        pivot += tl.load(residual + first, mask=in_c, other=0.0).to(tl.float32)
    if STORE:
        tl.debug_barrier()  # the first row is read by all before it is written
    deviation = tl.zeros((BLOCK_ROWS, BLOCK_C), dtype=tl.float32)
    squared = tl.zeros((BLOCK_ROWS, BLOCK_C), dtype=tl.float32)
    for start in range(part * BLOCK_ROWS, rows, parts * BLOCK_ROWS):
        row = start + tl.arange(0, BLOCK_ROWS)
        inside = (row < rows)[:, None] & in_c[None, :]
        at = (video * rows + row.to(tl.int64))[:, None] * channels + c[None, :]
        value = _loaded(x, at, bias, c, inside, in_c, HAS_BIAS)
        if HAS_RESIDUAL:
            value = _rounded(value + _loaded(residual, at, residual_bias, c, inside, in_c, HAS_RESIDUAL_BIAS), x)
        if STORE:
            tl.store(x + at, value.to(x.dtype.element_ty), mask=inside)
        away = tl.where(inside, value - pivot[None, :], 0.0)
        deviation += away
        squared += away * away
    count = _rows_of(part, rows, parts, BLOCK_ROWS).to(tl.float32)
    mean = tl.sum(deviation, axis=0) / count
    m2 = tl.sum(squared, axis=0) - mean * mean * count
    to = (video * parts + part) * channels + c
    tl.store(partial + to, pivot + mean, mask=in_c)
    tl.store(partial + plane + to, m2, mask=in_c)


@triton.jit
def _rows_of(part, rows, parts, BLOCK_ROWS: tl.constexpr):
    """Rows that a part has summed: whole blocks, and what is left of the last one."""
    blocks = (rows + BLOCK_ROWS - 1) // BLOCK_ROWS
    own = (blocks - part + parts - 1) // parts
    cut = tl.where((blocks - 1) % parts == part, blocks * BLOCK_ROWS - rows, 0)
    return own * BLOCK_ROWS - cut


@triton.jit(do_not_specialize=["rows", "parts", "plane"])
def _combined_moments(
    partial, found, rows, channels, parts, plane, groups, eps,
    BLOCK_ROWS: tl.constexpr, BLOCK_PARTS: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """Joins the parts of a group's channels (Chan, Golub, LeVeque 1979)."""
    group, video = tl.program_id(0), tl.program_id(1)
    in_group = channels // groups
    part, c = tl.arange(0, BLOCK_PARTS), tl.arange(0, BLOCK_C)
    inside = (part < parts)[:, None] & (c < in_group)[None, :]
    at = (video * parts + part)[:, None] * channels + group * in_group + c[None, :]
    mean = tl.load(partial + at, mask=inside, other=0.0)
    m2 = tl.load(partial + plane + at, mask=inside, other=0.0)
    weight = tl.where(inside, _rows_of(part, rows, parts, BLOCK_ROWS).to(tl.float32)[:, None], 0.0)
    total = rows.to(tl.float32) * in_group
    joint = tl.sum(tl.sum(mean * weight, axis=1), axis=0) / total
    away = tl.where(inside, mean - joint, 0.0)
    variance = tl.sum(tl.sum(m2 + weight * away * away, axis=1), axis=0) / total
    to = video * groups + group
    tl.store(found + to, joint)
    tl.store(found + tl.num_programs(1) * groups + to, 1.0 / tl.sqrt(variance + eps))


@triton.jit(do_not_specialize=["frames", "height", "width", "latent_frames", "latent_height", "latent_width", "held"])
def _modulated_silu(
    x, bias, mean, rstd, weight, norm_bias, modulation, out,
    frames, height, width, channels, groups, latent_frames, latent_height, latent_width, held,
    HAS_BIAS: tl.constexpr, IS_SPLIT: tl.constexpr, ENLARGED: tl.constexpr, PADDING: tl.constexpr,
    BLOCK_W: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """A piece of a line of one frame: normalised, modulated, SiLU."""
    video, pieces = tl.program_id(1), tl.cdiv(width, BLOCK_W)
    line, piece = tl.program_id(0) // pieces, tl.program_id(0) % pieces
    t, h = line // height, line % height
    w, c = piece * BLOCK_W + tl.arange(0, BLOCK_W), tl.arange(0, BLOCK_C)
    in_c = c < channels
    inside = (w < width)[:, None] & in_c[None, :]
    group = video * groups + c // (channels // groups)
    scale = tl.load(rstd + group, mask=in_c, other=0.0) * tl.load(weight + c, mask=in_c, other=0.0).to(tl.float32)
    shift = tl.load(norm_bias + c, mask=in_c, other=0.0).to(tl.float32)
    shift -= tl.load(mean + group, mask=in_c, other=0.0) * scale
    frame = video.to(tl.int64) * frames + t
    at = (frame * height + h) * width * channels + w[:, None] * channels + c[None, :]
    value = _loaded(x, at, bias, c, inside, in_c, HAS_BIAS)
    latent_t = t // held
    if IS_SPLIT:
        latent_t = tl.where(t == 0, 0, 1 + (t - 1) // held)
    latent = ((video * latent_frames + latent_t) * latent_height + h // ENLARGED) * latent_width + w // ENLARGED
    place = latent[:, None] * (2 * channels) + c[None, :]
    y = tl.load(modulation + place, mask=inside, other=0.0).to(tl.float32)
    b = tl.load(modulation + place + channels, mask=inside, other=0.0).to(tl.float32)
    value = _rounded(value * scale[None, :] + shift[None, :], x)
    value = _rounded(_rounded(value * y, x) + b, x)
    value = (value / (1.0 + tl.exp(-value))).to(out.dtype.element_ty)
    plane = height.to(tl.int64) * width * channels
    to = (video.to(tl.int64) * (frames + PADDING) + t + PADDING) * plane
    within = (h * width + w)[:, None] * channels + c[None, :]
    tl.store(out + to + within, value, mask=inside)
    if t == 0:
        for before in tl.static_range(PADDING):
            tl.store(out + to - (before + 1) * plane + within, value, mask=inside)


@triton.jit(do_not_specialize=["frames", "height", "width", "out_frames"])
def _enlarged(
    x, bias, residual, residual_bias, out, frames, height, width, channels, out_frames,
    HAS_BIAS: tl.constexpr, HAS_RESIDUAL: tl.constexpr, HAS_RESIDUAL_BIAS: tl.constexpr,
    DOUBLED: tl.constexpr, IS_SPLIT: tl.constexpr, BLOCK_W: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """A piece of a line of one enlarged frame."""
    video, pieces = tl.program_id(1).to(tl.int64), tl.cdiv(2 * width, BLOCK_W)
    line, piece = tl.program_id(0) // pieces, tl.program_id(0) % pieces
    t, h = line // (2 * height), line % (2 * height)
    w, c = piece * BLOCK_W + tl.arange(0, BLOCK_W), tl.arange(0, BLOCK_C)
    in_c = c < channels
    inside = (w < 2 * width)[:, None] & in_c[None, :]
    from_t = t
    if DOUBLED:
        from_t = t // 2
        if IS_SPLIT:
            from_t = tl.where(t == 0, 0, 1 + (t - 1) // 2)
    at = ((video * frames + from_t) * height + h // 2) * width * channels + (w // 2)[:, None] * channels + c[None, :]
    value = _loaded(x, at, bias, c, inside, in_c, HAS_BIAS)
    if HAS_RESIDUAL:
        value += _loaded(residual, at, residual_bias, c, inside, in_c, HAS_RESIDUAL_BIAS)
    to = ((video * out_frames + t) * (2 * height) + h) * (2 * width) * channels
    tl.store(out + to + w[:, None] * channels + c[None, :], value.to(out.dtype.element_ty), mask=inside)

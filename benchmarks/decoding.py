"""Time, memory and exactness of decoding, by diffusers alone and by each decoder.

    python -m benchmarks.decoding --size 2b --profile
    python -m benchmarks.decoding --vae cogx_runs/toy/weights/cogvideox/vae --latents LATENTS --dtype float16

Prints a row for each of `diffusers` (the VAE as it is), `exact` and `fused`, in tiles and in one piece: seconds of the
best of several decodes, peak memory, and how far the 8-bit values are from those of diffusers. The last convolution of
random weights is scaled so that the pixels spread as those of a video do. `--profile` adds the kernels that
take most of the time.
"""

import argparse
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext

import torch
from diffusers import AutoencoderKLCogVideoX
from safetensors.torch import load_file
from torch.autograd.profiler_util import DeviceType  # type: ignore[attr-defined]
from torch.profiler import ProfilerActivity, profile

from benchmarks import random_model
from benchmarks.random_model import SIZES
from cogx_runs.generation.decoders import decoding_with
from cogx_runs.generation.tiling import set_tiling

WAYS = ("diffusers", "exact", "fused")
GIB = 2**30
DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}
SPREAD = 0.5
"""Standard deviation of the decoded values, which lie between -1 and 1."""


def random_vae(size: str, dtype: torch.dtype, device: torch.device) -> AutoencoderKLCogVideoX:
    """Makes a VAE of a model's size."""
    torch.manual_seed(0)
    with device:
        vae = AutoencoderKLCogVideoX(
            down_block_types=("CogVideoXDownBlock3D",) * 4, up_block_types=("CogVideoXUpBlock3D",) * 4,
            **SIZES[size]["vae"],
        )  # fmt: skip
    return vae.to(dtype).eval()


def as_decoded(way: str, vae: AutoencoderKLCogVideoX) -> AbstractContextManager[None]:
    return nullcontext() if way == "diffusers" else decoding_with(vae, "fused" if way == "fused" else "exact")


def decoded(vae: AutoencoderKLCogVideoX, latents: torch.Tensor, way: str) -> torch.Tensor:
    """Decodes to values between -1 and 1."""
    with torch.no_grad(), as_decoded(way, vae):
        video: torch.Tensor = vae.decode(latents).sample
    return video


def pixels(video: torch.Tensor) -> torch.Tensor:
    """Rounds to 8-bit values."""
    return ((video * 0.5 + 0.5).clamp(0, 1).float() * 255).round().int()


def measured(vae: AutoencoderKLCogVideoX, latents: torch.Tensor, way: str, repeats: int) -> tuple[float, float, float]:
    """Returns seconds of the first decode and of the best after it, and peak GiB without what was held before."""
    seconds, peak = [], 0.0
    for _ in range(1 + repeats):
        if latents.is_cuda:
            torch.cuda.synchronize()
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        start = time.perf_counter()
        video = decoded(vae, latents, way)
        if latents.is_cuda:
            torch.cuda.synchronize()
            peak = torch.cuda.max_memory_allocated() / GIB
        seconds.append(time.perf_counter() - start)
        del video
    return seconds[0], min(seconds[1:]), peak


def rows(vae: AutoencoderKLCogVideoX, latents: torch.Tensor, ways: list[str], repeats: int) -> Iterator[str]:
    for tiled in (True, False):
        if tiled:
            set_tiling(vae, *latents.shape[-2:])
        else:
            vae.disable_tiling()
        reference = decoded(vae, latents, "diffusers")
        for way in ways:
            first, best, peak = measured(vae, latents, way, repeats)
            video = decoded(vae, latents, way)
            away = (pixels(video) - pixels(reference)).abs()
            same = (away == 0).float().mean().item()
            bits = "yes" if torch.equal(video, reference) else "no"
            yield (
                f"| {way} | {'tiled' if tiled else 'untiled'} | {first:.2f} | {best:.3f} | {peak:.2f} | "
                f"{away.max().item()} | {100 * same:.2f} | {bits} |"
            )
        again = decoded(vae, latents, "diffusers")
        yield f"<!-- diffusers again, bitwise equal: {torch.equal(again, reference)} -->"


def kernels(vae: AutoencoderKLCogVideoX, latents: torch.Tensor, way: str, most: int) -> str:
    """Lists the kernels of one decode by the time that they take."""
    with profile(activities=[ProfilerActivity.CUDA, ProfilerActivity.CPU]) as found:
        decoded(vae, latents, way)
        torch.cuda.synchronize()
    times: dict[str, tuple[float, int]] = {}
    for event in found.events():
        if event.device_type == DeviceType.CUDA:
            taken, number = times.get(event.name, (0.0, 0))
            times[event.name] = taken + event.self_device_time_total, number + 1
    total = sum(taken for taken, _ in times.values())
    lines = [f"{way}: {total / 1e6:.3f} s in kernels"]
    for name, (taken, number) in sorted(times.items(), key=lambda item: -item[1][0])[:most]:
        lines.append(f"{taken / 1e3:9.1f} ms {number:6d} {100 * taken / total:5.1f}%  {name[:130]}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=sorted(SIZES), default="2b")
    parser.add_argument("--vae", help="folder of a trained VAE, in the place of random weights")
    parser.add_argument("--latents", help="safetensors file with latents as runs keep them, for the trained VAE")
    parser.add_argument("--dtype", choices=sorted(DTYPES), help="that of the size without it")
    parser.add_argument("--frames", type=int, default=49)
    parser.add_argument("--height", type=int, default=480)
    parser.add_argument("--width", type=int, default=720)
    parser.add_argument("--ways", nargs="+", default=list(WAYS))
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--profile", nargs="*", help="ways to profile, in tiles; all without a name")
    arguments = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    own = random_model.DTYPES.get(arguments.size, torch.float32)
    dtype = DTYPES[arguments.dtype] if arguments.dtype else own
    if arguments.vae:
        vae = AutoencoderKLCogVideoX.from_pretrained(arguments.vae, dtype=dtype).to(device)
        kept = load_file(arguments.latents)["latents"].permute(0, 2, 1, 3, 4) / vae.config.scaling_factor
        latents = kept.to(device, dtype)
    else:
        vae = random_vae(arguments.size, dtype, device)
        shape = (
            1,
            vae.config.latent_channels,
            (arguments.frames - 1) // 4 + 1,
            arguments.height // 8,
            arguments.width // 8,
        )
        latents = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(device, dtype)
        set_tiling(vae, *shape[-2:])
        with torch.no_grad():
            factor = SPREAD / vae.decode(latents).sample.float().std()
            vae.decoder.conv_out.conv.weight *= factor
        print(f"the last convolution times {factor.item():.1f}")
    print(f"{arguments.vae or arguments.size}, {dtype}, latents {list(latents.shape)}, torch {torch.__version__}")
    print("| decoder | tiles | first s | s | peak GiB | largest difference | same values, % | bitwise equal |")
    print("|---|---|---|---|---|---|---|---|")
    for row in rows(vae, latents, arguments.ways, arguments.repeats):
        print(row, flush=True)
    set_tiling(vae, *latents.shape[-2:])
    for way in [] if arguments.profile is None else arguments.profile or arguments.ways:
        print("\n" + kernels(vae, latents, way, most=22), flush=True)


if __name__ == "__main__":
    main()

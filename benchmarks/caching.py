"""Time, memory and exactness of denoising with each cache, by placement, with and without compiled blocks.

    python -m benchmarks.caching --size 2b --placements resident group --compile

Random weights of a model's size and random texts: what a cache skips with them says nothing of trained weights, so that
only `pab`, `fastercache` and `taylorseer`, which skip by the schedule alone, are timed as they would be; `first_block`
and `magcache` are given thresholds beyond which they skip all that they may. Each row has seconds of denoising, peak
memory, the share that was skipped, and whether the plain cell after it has the bits of the one before.
"""

import argparse
from collections.abc import Iterator, Sequence

import torch
from diffusers import AutoencoderKLCogVideoX, CogVideoXDDIMScheduler, CogVideoXPipeline, CogVideoXTransformer3DModel

from benchmarks.random_model import SIZES
from cogx_runs.definitions.caches import NO_CACHE
from cogx_runs.definitions.parameters import Placement
from cogx_runs.definitions.spec import RunSpec
from cogx_runs.generation.calibration import calibrating_cell
from cogx_runs.generation.generate import Denoised, calibrate, denoise, warm_up_denoising
from cogx_runs.generation.measure import free_memory
from cogx_runs.generation.pipeline import DTYPES
from cogx_runs.generation.placement import compile_blocks, place
from cogx_runs.generation.text import Embeddings

CACHES = ("first_block:10", "pab", "fastercache", "magcache:10", "taylorseer:3")
PLACEMENTS: Sequence[Placement] = ("resident", "group", "model", "sequential")


def pipeline(size: str, spec: RunSpec) -> CogVideoXPipeline:
    """Makes a pipeline of a model's size, placed as the cell asks for; its VAE is a small one."""
    torch.manual_seed(0)
    config = SIZES[size]
    blocks = {"down_block_types": ("CogVideoXDownBlock3D",) * 4, "up_block_types": ("CogVideoXUpBlock3D",) * 4}
    with torch.device(spec.device):
        transformer = CogVideoXTransformer3DModel(**config["transformer"]).to(DTYPES[spec.dtype]).eval()
    vae = AutoencoderKLCogVideoX(**{**SIZES["tiny"]["vae"], **blocks}).to(DTYPES[spec.dtype])
    scheduler = CogVideoXDDIMScheduler(snr_shift_scale=config["snr_shift_scale"], timestep_spacing="trailing")
    pipe = CogVideoXPipeline(None, None, vae, transformer.cpu(), scheduler)
    pipe.set_progress_bar_config(disable=True)
    if spec.compile:
        compile_blocks(pipe)
    place(pipe, spec.placement, spec.device, by_block=spec.compile)
    return pipe


def cell(size: str, steps: int, frames: int, placement: Placement, *, is_compiled: bool) -> RunSpec:
    """Makes the plain cell."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    height, width = (480, 720) if size != "tiny" else (32, 32)
    dtype = {"2b": "float16", "5b": "bfloat16", "tiny": "float32"}[size]
    return RunSpec.model_validate(
        {
            "sweep": "caching", "prompt_name": "none", "prompt": "", "model": size, "model_source": size,
            "model_revision": "random", "max_sequence_length": 226, "device": device, "dtype": dtype,
            "num_inference_steps": steps, "num_frames": frames, "fps": 8, "height": height, "width": width,
            "scheduler": "ddim", "placement": placement, "compile": is_compiled, "clip_model": "none",
        }
    )  # fmt: skip


def rows(size: str, spec: RunSpec, caches: Sequence[str]) -> Iterator[str]:
    """Yields a row for the plain cell and one for each cache."""
    pipe = pipeline(size, spec)
    width = pipe.transformer.config.text_embed_dim
    texts = torch.randn(2, 1, 226, width, generator=torch.Generator().manual_seed(0)).to(DTYPES[spec.dtype])
    embeddings = Embeddings(texts[0], texts[1])

    def run(other: RunSpec) -> Denoised:
        calibrating = calibrating_cell(other)
        ratios = None if calibrating is None else calibrate(pipe, calibrating, embeddings)
        return denoise(pipe, other, embeddings, ratios=ratios)

    warm_up_denoising(pipe, spec)
    plain = min((run(spec) for _ in range(2)), key=lambda one: one.denoise_s)
    for cache in (NO_CACHE, *caches):
        found = run(spec.replace(cache=cache))
        again = torch.equal(run(spec).latents, plain.latents)
        skipped = 0.0 if found.skipped is None else found.skipped.fraction
        yield (
            f"| {cache} | {spec.placement} | {'yes' if spec.compile else 'no'} | {found.denoise_s:.2f} | "
            f"{plain.denoise_s / found.denoise_s:.2f} | {found.peak.vram_gib or 0:.2f} | {100 * skipped:.0f} | "
            f"{'yes' if again else 'NO'} |"
        )
    pipe.remove_all_hooks()
    free_memory()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=sorted(SIZES), default="2b")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--frames", type=int, default=49)
    parser.add_argument("--placements", nargs="+", choices=PLACEMENTS, default=["resident"])
    parser.add_argument("--caches", nargs="+", default=list(CACHES))
    parser.add_argument("--compile", action="store_true", help="also with compiled blocks, where a cache acts on them")
    arguments = parser.parse_args()
    print(f"{arguments.size}, {arguments.steps} steps, {arguments.frames} frames, torch {torch.__version__}")
    print("| cache | placement | compiled | s | times as fast | peak GiB | skipped, % | plain again bitwise |")
    print("|---|---|---|---|---|---|---|---|")
    for placement in arguments.placements:
        for is_compiled in (False, True)[: 1 + arguments.compile]:
            if is_compiled and placement in {"model", "sequential"}:
                continue
            spec = cell(arguments.size, arguments.steps, arguments.frames, placement, is_compiled=is_compiled)
            named = [spec.replace(cache=cache).step_cache for cache in arguments.caches]
            caches = [str(cache) for cache in named if cache is not None and (cache.of_blocks or not is_compiled)]
            for row in rows(arguments.size, spec, caches):
                print(row, flush=True)


if __name__ == "__main__":
    main()

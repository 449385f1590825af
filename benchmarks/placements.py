"""Time, memory and exactness of each placement of the weights, on one model folder.

    python benchmarks/placements.py FOLDER --steps 5

Prints a row a placement and whether its latents and frames are bitwise those of the first.
"""

import argparse
import hashlib
import time
from pathlib import Path

import torch

from cogx_runs.generation.generate import Generation, generate
from cogx_runs.generation.loader import Loader
from cogx_runs.hardware import choose_device, device_name
from cogx_runs.plan import RunSpec, resolve_cells
from cogx_runs.prompts import PromptLibrary
from cogx_runs.sweep import load_sweeps


def digests(generation: Generation) -> tuple[str, str]:
    """SHA-256 of the latents and of the frames."""
    latents = generation.latents.contiguous().view(torch.uint8).numpy().tobytes()
    return hashlib.sha256(latents).hexdigest()[:12], hashlib.sha256(generation.frames.tobytes()).hexdigest()[:12]


def measure(spec: RunSpec, cards: dict) -> Generation:
    """Load the model with the cell's placement, warm up, generate, and free all of it."""
    start = time.perf_counter()
    loader = Loader(lambda _: None)
    pipe = loader.warm_pipeline(cards[spec.model_key], spec)
    print(f"# {spec.placement}: loaded and warm after {time.perf_counter() - start:.1f} s", flush=True)
    generation = generate(pipe, spec)
    loader.free()
    return generation


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--frames", type=int, default=49)
    parser.add_argument("--prompts", type=Path)
    arguments = parser.parse_args()
    device = choose_device()
    placements = ["resident", "group", "model", "sequential", "auto"] if device == "cuda" else ["resident", "group"]
    overrides = {"model": arguments.model, "num_inference_steps": arguments.steps, "num_frames": arguments.frames}
    sweep = load_sweeps(["frames"], overrides)[0].model_copy(update={"axes": {}})
    rows = []
    for placement in placements:
        base = sweep.base.model_copy(update={"placement": placement})
        specs, cards = resolve_cells(
            [sweep.model_copy(update={"base": base})], PromptLibrary.find(arguments.prompts), device, {}
        )
        rows.append((placement, specs[0].placement, measure(specs[0], cards)))
    print(f"\n{device_name(device)}, {arguments.steps} steps, {arguments.frames} frames, {specs[0].dtype}\n")
    print(
        "| placement | s a step | text s | decode s | peak VRAM GiB | reserved GiB | peak RAM GiB | latents | frames |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for asked, used, made in rows:
        name = asked if asked == used else f"{asked} ({used})"
        latents, frames = digests(made)
        peak = ["-" if value is None else f"{value:.2f}" for value in (made.peak_vram_gib, made.peak_vram_reserved_gib)]
        print(
            f"| {name} | {made.step_s:.3f} | {made.encode_text_s:.2f} | {made.decode_s:.2f} | {peak[0]} | {peak[1]} | "
            f"{made.peak_ram_gib:.1f} | {latents} | {frames} |"
        )
    print(f"\nbitwise_equal: {str(len({digests(made) for _, _, made in rows}) == 1).lower()}")


if __name__ == "__main__":
    main()

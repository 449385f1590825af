"""Time, memory and exactness of each placement of the weights, on one model folder, also with other kernels.

    python benchmarks/placements.py FOLDER --steps 5
    python benchmarks/placements.py FOLDER --steps 5 --placements resident resident+compile resident+compile+fa4+fused
    python benchmarks/placements.py FOLDER --steps 5 --placements resident resident+int8 group+int8 resident+fp8_storage

Prints a row a placement (`group+compile` is one with compiled blocks, `+fa4` and `+sage` one with that attention,
`+fused` one with that decoder, `+int8`, `+fp8` and `+fp8_storage` one with that quantisation, `auto@6` what auto takes
within 6 GiB), the PSNR of its frames to those of the first row, and whether the latents and frames of those with
nothing added are bitwise the same. Each encodes its texts anew.
"""

import argparse
import hashlib
import math
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import cast, get_args

import numpy as np
import torch

from cogx_runs.definitions.parameters import Attention, Placement, Quantization
from cogx_runs.definitions.prompts import PromptLibrary
from cogx_runs.definitions.spec import RunSpec
from cogx_runs.definitions.sweep import load_sweeps
from cogx_runs.generation.generate import Decoded, Denoised, decode, denoise
from cogx_runs.generation.loader import Loader
from cogx_runs.generation.measure import Peak
from cogx_runs.generation.placement import cap_memory
from cogx_runs.models.cards import ModelCard
from cogx_runs.models.memory import Budget, choose_placement
from cogx_runs.planning.cells import resolve_cells
from cogx_runs.progress import SilentProgress
from cogx_runs.system.hardware import choose_device, device_name
from cogx_runs.video import Frames

PLACEMENTS = {
    "cuda": ["resident", "group", "model", "sequential", "resident+compile", "group+compile"],
    "cpu": ["resident", "group", "resident+compile"],
}


@dataclass(frozen=True)
class Row:
    """What one placement took."""

    placement: str
    start_s: float
    """Encoding texts, loading and warming up, compilation included."""
    text: Peak | None
    denoised: Denoised
    decoded: Decoded

    @property
    def digests(self) -> tuple[str, str]:
        """SHA-256 of the latents and of the frames."""
        latents = self.denoised.latents.contiguous().view(torch.uint8).numpy().tobytes()
        return hashlib.sha256(latents).hexdigest()[:12], hashlib.sha256(self.decoded.frames.tobytes()).hexdigest()[:12]


def measure(placement: str, spec: RunSpec, card: ModelCard, max_vram_gib: float | None) -> Row:
    """Encode the texts, load the model with the cell's placement, warm up, denoise, decode, and free all of it."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="cogx-placements-") as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        loader = Loader(max_vram_gib)
        loader.expect([spec])
        pipe = loader.warm_pipeline(card, spec, SilentProgress())
        _, text = loader.texts.take_cost(spec)
        start_s = time.perf_counter() - start
        print(f"# {placement}: loaded and warm after {start_s:.1f} s", flush=True)
        denoised = denoise(pipe, spec, loader.texts.of(spec))
    row = Row(placement, start_s, text, denoised, decode(pipe.vae, spec, denoised.latents))
    del pipe
    loader.free()
    print(format_row(row), flush=True)
    return row


def format_row(row: Row) -> str:
    text = None if row.text is None else row.text.vram_gib
    peaks = [text, row.denoised.peak.vram_gib, row.decoded.peak.vram_gib, row.denoised.peak.vram_reserved_gib]
    numbers = ["-" if peak is None else f"{peak:.2f}" for peak in peaks]
    return (
        f"| {row.placement} | {row.start_s:.1f} | {row.denoised.step_s:.3f} | {row.decoded.decode_s:.2f} | "
        f"{' | '.join(numbers)} | {row.denoised.peak.ram_gib:.1f} | {' | '.join(row.digests)} |"
    )


def psnr(frames: Frames, reference: Frames) -> float:
    """Computes the PSNR over all values, in dB; infinite where they are the same."""
    error = float(((frames.astype(np.float32) - reference.astype(np.float32)) ** 2).mean())
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--frames", type=int, help="the model's own number without it")
    parser.add_argument("--guidance", type=float, default=6)
    parser.add_argument("--prompts", type=Path)
    parser.add_argument("--placements", nargs="+", help="also auto, and with a cap in GiB: auto@6")
    arguments = parser.parse_args()
    device = choose_device()
    overrides = {
        "model": arguments.model,
        "num_inference_steps": arguments.steps,
        "num_frames": arguments.frames,
        "guidance_scale": arguments.guidance,
    }
    sweep = load_sweeps(["frames"], overrides)[0].model_copy(update={"axes": {}})
    cells = resolve_cells([sweep], PromptLibrary.find(arguments.prompts), device, {})
    spec = cells.specs[0]
    card = cells.cards[spec.model_key]
    rows = []
    for name in arguments.placements or PLACEMENTS[device]:
        placement, *added = name.split("+")
        placement, _, cap = placement.partition("@")
        max_vram_gib = float(cap) if cap else None
        if device == "cuda":
            cap_memory(max_vram_gib)
        if placement == "auto":
            budget = Budget.here(device, max_vram_gib)
            placement = "resident" if budget is None else choose_placement(card, [spec.workload], budget).placement
        placed = spec.replace(
            placement=cast(Placement, placement),
            compile="compile" in added,
            attention=next((kernel for kernel in added if kernel in get_args(Attention)), "sdpa"),
            quantization=next((kind for kind in added if kind in get_args(Quantization)), "none"),
            decoder="fused" if "fused" in added else "exact",
        )
        shown = f"{name} ({placement})" if name.startswith("auto") else name
        rows.append(measure(shown, placed, card, max_vram_gib))
    print(f"\n{device_name(device)}, {arguments.steps} steps, {spec.num_frames} frames, {spec.dtype}\n")
    print(
        "| placement | start s | s a step | decode s | peak VRAM text GiB | denoising GiB | decoding GiB | "
        "reserved GiB | peak RAM GiB | latents | frames |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    print("\n".join(format_row(row) for row in rows))
    for row in rows[1:]:
        print(f"PSNR of {row.placement} to {rows[0].placement}: {psnr(row.decoded.frames, rows[0].decoded.frames):.1f}")
    exact = {row.digests for row in rows if "+" not in row.placement}
    print(f"\nbitwise_equal: {str(len(exact) <= 1).lower()}")


if __name__ == "__main__":
    main()

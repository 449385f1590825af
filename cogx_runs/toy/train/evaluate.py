"""The measured figures of the trained weights, and the contact sheets that show them."""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from diffusers import CogVideoXPipeline

from cogx_runs.analysis.intervals import Sample
from cogx_runs.toy.train.cases import Case, held_out_cases, shipped_cases, things_cases
from cogx_runs.toy.train.data import draw_set
from cogx_runs.toy.train.moving import draw_clip
from cogx_runs.toy.train.raster import rasterise
from cogx_runs.toy.train.reading import Reader
from cogx_runs.toy.train.sheets import evenly, sheet
from cogx_runs.toy.train.tokenizer import TEXT_TOKENS
from cogx_runs.toy.train.vae import reconstruct, reconstruction_psnr
from cogx_runs.toy.train.world import SCENES_OF_PROMPTS, scene_of_prompt, scene_rng

STEPS, GUIDANCE, FRAMES = 50, 6.0, 49
"""The study's defaults."""
MARGIN = 1.0
"""Loss of CLIP score that matters, as in the shipped sweeps."""
SHOWN = ("panda_guitar", "samurai_pioggia", "oceano_balena")
"""Prompts of the contact sheets."""
DRAWINGS_SEED = 900
"""Seeds of unseen drawings start here; training uses lower ones."""


@dataclass(frozen=True)
class Effort:
    """How much is measured."""

    seeds: tuple[int, ...] = (42, 123, 999, 7, 2024)
    guidances: tuple[float, ...] = (1.0, 3.0, 6.0, 12.0)
    steps: tuple[int, ...] = (2, 5, 10, 25, 50)
    frames: int = FRAMES
    drawings: int = 512


def generate(
    pipe: CogVideoXPipeline,
    cases: list[Case],
    seeds: tuple[int, ...],
    steps: int,
    guidance: float,
    frames: int,
) -> torch.Tensor:
    """Generates uint8 videos (cases x seeds, T, 3, 64, 64), seeds varying fastest; noise made on the CPU."""
    generators = [torch.Generator("cpu").manual_seed(seed) for _ in cases for seed in seeds]
    output = pipe(
        prompt=[case.text for case in cases for _ in seeds],
        num_inference_steps=steps,
        guidance_scale=guidance,
        num_frames=frames,
        generator=generators,
        max_sequence_length=TEXT_TOKENS,
        output_type="pt",
    ).frames
    videos: torch.Tensor = (output.float().clamp(0, 1) * 255).round().to(torch.uint8)
    return videos


def over_prompts(values: npt.ArrayLike) -> dict[str, float]:
    """Computes the mean over prompts, one value each, with its 95% t interval."""
    sample = Sample.of(values)
    low, high = sample.interval(0.95)
    return {"mean": round(sample.mean, 3), "low": round(low, 3), "high": round(high, 3)}


def p_by_signs(differences: npt.ArrayLike) -> float:
    """Computes the exact two-sided p of no effect: the share of all sign flips whose sum is as far from 0."""
    values = np.asarray(differences, dtype=float)
    sums = np.array(list(product((1.0, -1.0), repeat=len(values)))) @ values
    return float((np.abs(sums) >= abs(values.sum()) - 1e-9).mean())


def differences(scores: list[float], default: list[float], seeds: int) -> dict[str, Any]:
    """Compares a setting's scores with the default's, seeds varying fastest: the mean over seeds first, then prompts.

    Videos of one prompt are not independent; the prompts are what was sampled.
    """
    change = (np.array(scores) - np.array(default)).reshape(-1, seeds).mean(1)
    return {
        **over_prompts(change),
        "p_by_signs": round(p_by_signs(change), 4),
        "prompts_worse_by_margin": int((change < -MARGIN).sum()),
        "prompts": [round(c, 2) for c in change.tolist()],
    }


def seed_difference(videos: torch.Tensor, seeds: int) -> float:
    """Computes the mean absolute difference (of 255) between the videos of one case under two seeds."""
    groups = videos.view(-1, seeds, *videos.shape[1:]).float()
    pairs = list(combinations(range(seeds), 2))
    if not pairs:
        return math.nan
    return float(np.mean([(groups[:, a] - groups[:, b]).abs().mean().item() for a, b in pairs]))


def motion(videos: torch.Tensor) -> float:
    """Computes the mean absolute change (of 255) from frame to frame of uint8 videos (N, T, 3, H, W)."""
    return videos.float().diff(dim=1).abs().mean().item()


def measure_drawings(pipe: CogVideoXPipeline, reader: Reader, device: torch.device, count: int) -> dict[str, Any]:
    """Measures how CLIP reads unseen drawings, and how the autoencoder keeps them."""
    known = draw_set(count, 17, DRAWINGS_SEED, device)
    unknown = draw_set(count // 2, 9, DRAWINGS_SEED + 1, device, held_out=True)
    middle = slice(4, 5)
    long = draw_set(max(count // 16, 2), 49, DRAWINGS_SEED + 2, device)
    return {
        "clip_reads_drawings": reader.accuracy(known.frames[:, middle], known.attributes),
        "clip_reads_held_out_drawings": reader.accuracy(unknown.frames[:, middle], unknown.attributes),
        "vae_psnr_17_frames_db": round(reconstruction_psnr(pipe.vae, known.frames[: count // 4]), 2),
        "vae_psnr_49_frames_db": round(reconstruction_psnr(pipe.vae, long.frames), 2),
        "vae_psnr_held_out_db": round(reconstruction_psnr(pipe.vae, unknown.frames[: count // 4]), 2),
    }


def measure_ceilings(
    pipe: CogVideoXPipeline, reader: Reader, device: torch.device, frames: int, count: int
) -> dict[str, dict[str, float]]:
    """Measures, of unseen drawings of each shipped prompt's scene, the CLIP score with the prompt, as drawn and as the
    autoencoder decodes them, and the motion."""
    ceilings = {}
    for n, case in enumerate(shipped_cases()):
        clips = []
        for i in range(count):
            rng = scene_rng(DRAWINGS_SEED + 3 + n, i)
            clips.append(rasterise(draw_clip(scene_of_prompt(case.name, rng), frames, rng), device))
        videos = torch.stack(clips)
        seen = reconstruct(pipe.vae, videos)
        ceilings[case.name] = {
            "clip_score": round(float(np.mean(reader.scores(videos, [case.text] * count))), 2),
            "clip_score_decoded": round(float(np.mean(reader.scores(seen, [case.text] * count))), 2),
            "motion": round(motion(videos), 2),
        }
    return ceilings


def evaluate(weights: Path, out: Path, device: torch.device, effort: Effort | None = None) -> dict[str, Any]:
    """Measures `weights`, writes `out/evaluation.json` and sheets, and returns the figures."""
    effort = effort or Effort()
    out.mkdir(parents=True, exist_ok=True)
    pipe = CogVideoXPipeline.from_pretrained(weights / "cogvideox", dtype=torch.float32).to(device)
    pipe.set_progress_bar_config(disable=True)
    reader = Reader(weights / "clip", device)
    cases, seeds = shipped_cases(), effort.seeds
    truth = torch.tensor([c.truth for c in cases for _ in seeds])
    texts = [c.text for c in cases for _ in seeds]

    results: dict[str, Any] = measure_drawings(pipe, reader, device, effort.drawings)
    results["ceilings"] = measure_ceilings(pipe, reader, device, effort.frames, max(effort.drawings // 32, 2))
    results["prompts"], results["seeds"] = [c.name for c in cases], list(seeds)
    settings = [(STEPS, g) for g in effort.guidances] + [(s, GUIDANCE) for s in effort.steps]
    default = (STEPS, GUIDANCE)
    videos: dict[tuple[int, float], torch.Tensor] = {}
    scores: dict[tuple[int, float], list[float]] = {}
    table = []
    for steps, guidance in sorted(set(settings), key=lambda setting: setting != default):
        start = time.perf_counter()
        made = generate(pipe, cases, seeds, steps, guidance, effort.frames)
        seconds = time.perf_counter() - start
        key = (steps, guidance)
        videos[key], scores[key] = made.cpu(), reader.scores(made, texts)
        row: dict[str, Any] = {
            "num_inference_steps": steps,
            "guidance_scale": guidance,
            "clip_score": round(float(np.mean(scores[key])), 3),
            **reader.accuracy(made, truth),
            "motion": round(motion(made), 2),
            "seed_difference": round(seed_difference(made, len(seeds)), 2),
            "seconds_for_all": round(seconds, 2),
        }
        if key != default:
            row["difference"] = differences(scores[key], scores[default], len(seeds))
        table.append(row)
        print(json.dumps(row), flush=True)
    results["settings"] = sorted(table, key=lambda row: (-row["num_inference_steps"], row["guidance_scale"]))
    right = reader.read(videos[default]) == truth
    results["read_by_prompt"] = {
        name: [round(share, 3) for share in right[:, column].view(-1, len(seeds)).double().mean(1).tolist()]
        for column, name in enumerate(("subject", "place", "colour"))
    }
    by_prompt = videos[default].view(len(cases), len(seeds), *videos[default].shape[1:])
    results["motion_by_prompt"] = [round(motion(some), 2) for some in by_prompt]
    results["clip_scores"] = {f"{k[0]}/{k[1]:g}": [round(v, 2) for v in s] for k, s in scores.items()}

    others = {"held_out": held_out_cases(), "things": things_cases()}
    shown = {}
    for name, group in others.items():
        wanted = torch.tensor([c.truth for c in group for _ in seeds])
        made = generate(pipe, group, seeds, STEPS, GUIDANCE, effort.frames)
        results[name] = reader.accuracy(made, wanted)
        results[f"{name}_cases"] = [c.name for c in group]
        shown[name] = made.cpu()
    (out / "evaluation.json").write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    draw_sheets(videos, effort, out)
    for name, group in others.items():
        draw_by_seed([c.name for c in group], shown[name], len(seeds), out / f"{name}.png")
    return results


def draw_sheets(videos: dict[tuple[int, float], torch.Tensor], effort: Effort, out: Path) -> None:
    """Writes the contact sheets of the shipped prompts into `out`."""
    names, seeds = list(SCENES_OF_PROMPTS), len(effort.seeds)
    for name in SHOWN:
        row = names.index(name) * seeds
        half = effort.frames // 2
        by_guidance = [
            (f"{name}, guidance {g:g}, {STEPS} steps, {seeds} seeds", videos[STEPS, g][row : row + seeds, half])
            for g in effort.guidances
        ]
        sheet(by_guidance, out / f"guidance_{name}.png")
        by_steps = [
            (f"{name}, {s} steps, guidance {GUIDANCE:g}", evenly(videos[s, GUIDANCE][row], 7)) for s in effort.steps
        ]
        sheet(by_steps, out / f"steps_{name}.png")
    rows = []
    for i, name in enumerate(names):
        moments = [evenly(videos[STEPS, GUIDANCE][i * seeds + n], 5)[1:4] for n in range(min(seeds, 3))]
        used = ", ".join(str(seed) for seed in effort.seeds[:3])
        rows.append((f"{name}, three moments each of seeds {used}", torch.cat(moments)))
    sheet(rows, out / "prompts.png")


def draw_by_seed(names: list[str], videos: torch.Tensor, seeds: int, path: Path) -> None:
    """Writes a contact sheet of the middle frames: a row a name, a column a seed."""
    half = videos.shape[1] // 2
    sheet([(name, videos[i * seeds : (i + 1) * seeds, half]) for i, name in enumerate(names)], path)

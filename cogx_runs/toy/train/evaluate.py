"""The measured figures of the trained weights, and the contact sheets that show them."""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import CogVideoXPipeline

from cogx_runs.toy.train.captions import plain_prompt, shipped_prompts
from cogx_runs.toy.train.data import draw_set
from cogx_runs.toy.train.job import UNSAID, attributes_of
from cogx_runs.toy.train.reading import Reader
from cogx_runs.toy.train.sheets import evenly, sheet
from cogx_runs.toy.train.tokenizer import TEXT_TOKENS
from cogx_runs.toy.train.vae import reconstruction_psnr
from cogx_runs.toy.train.world import COLOURS, HELD_OUT, SCENES_OF_PROMPTS, Scene

STEPS, GUIDANCE, FRAMES = 50, 6.0, 49
"""The study's defaults."""
SHOWN = ("panda_guitar", "samurai_pioggia", "oceano_balena")
"""Prompts of the contact sheets."""
DRAWINGS_SEED = 900
"""Seeds of unseen drawings start here; training uses lower ones."""


@dataclass(frozen=True)
class Effort:
    """How much is measured."""

    seeds: tuple[int, ...] = (42, 123, 999, 7)
    guidances: tuple[float, ...] = (1.0, 6.0, 12.0)
    steps: tuple[int, ...] = (2, 5, 10, 25, 50)
    frames: int = FRAMES
    drawings: int = 512


@dataclass(frozen=True)
class Case:
    """A text to generate from and what should be read back."""

    name: str
    text: str
    truth: tuple[int, int, int]


def shipped_cases() -> list[Case]:
    """Lists the nine shipped prompts."""
    cases = []
    for name, text in shipped_prompts().items():
        subject, place, colour, motion = SCENES_OF_PROMPTS[name]
        truth = attributes_of(Scene(subject, place, colour or "red", motion))
        cases.append(Case(name, text, truth if colour else (*truth[:2], UNSAID)))
    return cases


def held_out_cases() -> list[Case]:
    """Lists the held-out pairs, colours in turn."""
    cases = []
    for i, (subject, place) in enumerate(sorted(HELD_OUT)):
        scene = Scene(subject, place, list(COLOURS)[i % len(COLOURS)], "acts")
        cases.append(Case(f"{subject}_{place}", plain_prompt(scene), attributes_of(scene)))
    return cases


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


def paired(after: list[float], before: list[float]) -> dict[str, float]:
    """Computes the mean difference of pairs with its 95% bootstrap interval."""
    gain = np.array(after) - np.array(before)
    rng = np.random.default_rng(0)
    means = gain[rng.integers(0, len(gain), (10_000, len(gain)))].mean(1)
    low, high = np.percentile(means, [2.5, 97.5])
    return {"mean": round(gain.mean(), 3), "low": round(low, 3), "high": round(high, 3)}


def seed_difference(videos: torch.Tensor, seeds: int) -> float:
    """Computes the mean absolute difference (of 255) between the videos of one case under two seeds."""
    groups = videos.view(-1, seeds, *videos.shape[1:]).float()
    pairs = list(combinations(range(seeds), 2))
    if not pairs:
        return math.nan
    return float(np.mean([(groups[:, a] - groups[:, b]).abs().mean().item() for a, b in pairs]))


def measure_drawings(pipe: CogVideoXPipeline, reader: Reader, device: torch.device, count: int) -> dict[str, Any]:
    """Measures how CLIP reads unseen drawings, and how the autoencoder keeps them."""
    known = draw_set(count, 17, DRAWINGS_SEED, device)
    unknown = draw_set(count // 2, 9, DRAWINGS_SEED + 1, device, held_out=True)
    middle = slice(4, 5)
    long = draw_set(max(count // 16, 2), 49, DRAWINGS_SEED + 2, device)
    return {
        "clip_reads_drawings": reader.accuracy(known.frames[:, middle], known.attributes).rounded(),
        "clip_reads_held_out_drawings": reader.accuracy(unknown.frames[:, middle], unknown.attributes).rounded(),
        "vae_psnr_17_frames_db": round(reconstruction_psnr(pipe.vae, known.frames[: count // 4]), 2),
        "vae_psnr_49_frames_db": round(reconstruction_psnr(pipe.vae, long.frames), 2),
        "vae_psnr_held_out_db": round(reconstruction_psnr(pipe.vae, unknown.frames[: count // 4]), 2),
    }


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
    results["prompts"], results["seeds"] = [c.name for c in cases], list(seeds)
    settings = [(STEPS, g) for g in effort.guidances] + [(s, GUIDANCE) for s in effort.steps]
    videos: dict[tuple[int, float], torch.Tensor] = {}
    scores: dict[tuple[int, float], list[float]] = {}
    table = []
    for steps, guidance in dict.fromkeys(settings):
        start = time.perf_counter()
        made = generate(pipe, cases, seeds, steps, guidance, effort.frames)
        seconds = time.perf_counter() - start
        key = (steps, guidance)
        videos[key], scores[key] = made.cpu(), reader.scores(made, texts)
        table.append(
            {
                "num_inference_steps": steps,
                "guidance_scale": guidance,
                "clip_score": round(float(np.mean(scores[key])), 3),
                **reader.accuracy(made, truth).rounded(),
                "seed_difference": round(seed_difference(made, len(seeds)), 2),
                "seconds_for_all": round(seconds, 2),
            }
        )
        print(json.dumps(table[-1]), flush=True)
    results["settings"] = table
    default = (STEPS, GUIDANCE)
    results["clip_score_gain"] = {
        f"steps {key[0]} guidance {key[1]:g} over the default": paired(scores[key], scores[default])
        for key in scores
        if key != default
    }
    if (STEPS, 1.0) in scores:
        gain = paired(scores[default], scores[STEPS, 1.0])
        results["guidance_6_over_1"] = gain
    results["clip_scores"] = {f"{k[0]}/{k[1]:g}": [round(v, 2) for v in s] for k, s in scores.items()}

    unknown = held_out_cases()
    unknown_truth = torch.tensor([c.truth for c in unknown for _ in seeds])
    made = generate(pipe, unknown, seeds, STEPS, GUIDANCE, effort.frames)
    results["held_out"] = reader.accuracy(made, unknown_truth).rounded()
    results["held_out_pairs"] = [c.name for c in unknown]
    (out / "evaluation.json").write_text(json.dumps(results, indent=2) + "\n", "utf-8")
    draw_sheets(videos, made, unknown, effort, out)
    return results


def draw_sheets(
    videos: dict[tuple[int, float], torch.Tensor],
    held_out: torch.Tensor,
    unknown: list[Case],
    effort: Effort,
    out: Path,
) -> None:
    """Writes the contact sheets of `docs/toy.md` into `out`."""
    names, seeds = list(SCENES_OF_PROMPTS), len(effort.seeds)
    for name in SHOWN:
        row = names.index(name) * seeds
        by_guidance = [
            (f"{name}, guidance {g:g}, {STEPS} steps", evenly(videos[STEPS, g][row], 7))
            for g in effort.guidances
            if g in (1, 6, 12)
        ]
        sheet(by_guidance, out / f"guidance_{name}.png")
        by_steps = [
            (f"{name}, {s} steps, guidance {GUIDANCE:g}", evenly(videos[s, GUIDANCE][row], 7))
            for s in effort.steps
            if s in (5, 10, 25, 50)
        ]
        sheet(by_steps, out / f"steps_{name}.png")
    default = videos[STEPS, GUIDANCE]
    half = default.shape[1] // 2

    def by_seed(all_videos: torch.Tensor, row: int) -> torch.Tensor:
        return all_videos[row * seeds : (row + 1) * seeds, half]

    sheet([(n, by_seed(default, i)) for i, n in enumerate(names)], out / "prompts.png")
    held = [(c.name, by_seed(held_out, i)) for i, c in enumerate(unknown)]
    sheet(held, out / "held_out.png")

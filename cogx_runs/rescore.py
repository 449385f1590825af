"""Score finished runs again, from the latents they kept."""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
from safetensors.torch import load_file

from cogx_runs.generation.generate import decode_latents
from cogx_runs.generation.pipeline import load_vae
from cogx_runs.hardware import choose_device
from cogx_runs.metrics import METRIC_VERSIONS
from cogx_runs.metrics.clip import ClipScore, ClipScorer
from cogx_runs.models import resolve_model
from cogx_runs.plan import output_hash
from cogx_runs.runner import clip_tags
from cogx_runs.study import experiments_of
from cogx_runs.sweep import Dtype
from cogx_runs.tracking.store import RunStore
from cogx_runs.video import Frames

if TYPE_CHECKING:
    from diffusers import AutoencoderKLCogVideoX


@dataclass(frozen=True)
class Rescored:
    """One run's score before and after."""

    run_id: str
    run_name: str
    before: float | None
    after: float


def rescore(
    sweep: str,
    *,
    clip_model: str | None = None,
    device: str = "auto",
    tracking_uri: str | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> list[Rescored]:
    """Give a CLIP score to the finished runs of a sweep that lack one of this CLIP; nothing is denoised.

    `clip_model` is as in a sweep file, None for the one that each run names. The frames come from the kept latents,
    decoded on `device` as the run decoded them; what a GPU decoded in half precision is decoded in float32 on a CPU,
    and the tag `cogx.clip.decoded_as` says so. Raises CogxError where the CLIP or the VAE cannot be had.
    """
    store = RunStore(tracking_uri)
    decoder = _Decoder(device)
    scores: dict[tuple[str, str], ClipScore] = {}
    rescored = []
    for run in [run for name in experiments_of(sweep, store) for run in store.runs([name], finished_only=True)]:
        params, tags = run.data.params, run.data.tags
        wanted = clip_model or params["clip_model"]
        if "clip_score" in run.data.metrics and tags.get("cogx.clip.model") == wanted:
            continue
        scorer = ClipScorer(wanted)
        pixels = (tags["cogx.signature"], wanted)
        if pixels not in scores:
            report(f"{run.info.run_name}: decoding and scoring")
            with tempfile.TemporaryDirectory(prefix="cogx-runs-") as folder:
                prompt = store.download(run.info.run_id, "prompt.txt", Path(folder)).read_text(encoding="utf-8").strip()
                latents = load_file(store.download(run.info.run_id, "latents.safetensors", Path(folder)))["latents"]
            scores[pixels] = scorer.score(decoder.decode(latents, params), prompt)
        score = scores[pixels]
        identity = output_hash(
            tags["cogx.signature"],
            fps=int(params["fps"]),
            video_quality=float(params["video_quality"]),
            clip_model=wanted,
            metric_versions=METRIC_VERSIONS,
        )
        written = clip_tags(score) | {
            "cogx.clip.decoded_as": f"{decoder.dtype(params)} on {decoder.device}",
            "cogx.output_hash": identity,
        }
        store.amend(run.info.run_id, {"clip_score": score.value}, written, remove=["cogx.clip.missing"])
        before = run.data.metrics.get("clip_score")
        rescored.append(Rescored(run.info.run_id, run.info.run_name, before, score.value))
    return rescored


class _Decoder:
    """Decodes the latents of runs, each with its own model's VAE, loaded once."""

    def __init__(self, device: str) -> None:
        self.device = choose_device(device)
        self._vaes: dict[tuple[str, str], AutoencoderKLCogVideoX] = {}

    def dtype(self, params: Mapping[str, str]) -> Dtype:
        """The precision in which a run's latents are decoded here."""
        return cast(Dtype, params["dtype"]) if self.device == "cuda" else "float32"

    def decode(self, latents: torch.Tensor, params: Mapping[str, str]) -> Frames:
        key = (params["model_source"], self.dtype(params))
        if key not in self._vaes:
            revision = None if Path(params["model_source"]).is_absolute() else params["model_revision"]
            self._vaes[key] = load_vae(resolve_model(params["model"], revision), self.dtype(params), self.device)
        tiling, slicing = (params[name] == "True" for name in ("vae_tiling", "vae_slicing"))
        return decode_latents(self._vaes[key], latents, self.device, tiling=tiling, slicing=slicing)

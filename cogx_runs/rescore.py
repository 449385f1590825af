"""Score finished runs again, from the latents they kept."""

import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
from safetensors.torch import load_file

from cogx_runs.errors import CogxError
from cogx_runs.generation.generate import decode_latents
from cogx_runs.generation.pipeline import load_vae
from cogx_runs.hardware import choose_device
from cogx_runs.metrics.clip import ClipScore, ClipScorer
from cogx_runs.models import HUB_MODELS, NAMES, ModelCard, resolve_model
from cogx_runs.plan import resolve_clip
from cogx_runs.record import score_tags
from cogx_runs.study import experiments_of
from cogx_runs.sweep import Dtype
from cogx_runs.tracking.board import show
from cogx_runs.tracking.store import LATENTS, RunStore
from cogx_runs.tracking.view import Only
from cogx_runs.video import Frames

if TYPE_CHECKING:
    from diffusers import AutoencoderKLCogVideoX


@dataclass(frozen=True)
class Rescored:
    """One run's new score."""

    run_id: str
    run_name: str
    metric: str
    value: float


def rescore_runs(
    sweep: str,
    *,
    clip_model: str | None = None,
    device: str = "auto",
    tracking_uri: str | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> list[Rescored]:
    """Give a CLIP score to the finished runs of a sweep that lack it; nothing is denoised.

    Without `clip_model` each run gets the `clip_score` of the CLIP that it names. Another CLIP's score is a metric of
    its own, such as `clip_score.ViT-L-14:openai`. The frames come from the kept latents, decoded on `device` as the
    run decoded them; what a GPU decoded in half precision is decoded in float32 on a CPU, and the tag
    `cogx.<metric>.decoded_as` says so. Raises CogxError where the CLIP or the VAE cannot be had, or where the model
    folder has changed since.
    """
    store = RunStore(tracking_uri)
    decoder = _Decoder(device)
    named = None if clip_model is None else resolve_clip(clip_model)
    scores: dict[tuple[str, str], ClipScore] = {}
    rescored = []
    for run in [run for name in experiments_of(sweep, store) for run in store.runs([name], finished_only=True)]:
        params, tags = run.data.params, run.data.tags
        wanted = named or params["clip_model"]
        metric = "clip_score" if wanted == params["clip_model"] else other_score(wanted)
        if metric in run.data.metrics:
            continue
        scorer = ClipScorer(wanted)
        pixels = (tags["cogx.signature"], wanted)
        if pixels not in scores:
            report(f"{run.info.run_name}: decoding and scoring")
            with tempfile.TemporaryDirectory(prefix="cogx-runs-") as folder:
                prompt = store.download(run.info.run_id, "prompt.txt", Path(folder)).read_text(encoding="utf-8").strip()
                latents = load_file(store.download(run.info.run_id, LATENTS, Path(folder)))["latents"]
            scores[pixels] = scorer.score(decoder.decode(latents, params), prompt)
        decoded_as = {f"cogx.{metric}.decoded_as": f"{decoder.dtype(params)} on {decoder.device}"}
        store.amend(
            run.info.run_id,
            {metric: scores[pixels].value},
            score_tags(metric, scores[pixels]) | decoded_as,
            remove=[f"cogx.{metric}.missing"],
            series={f"by_frame.{metric}": scores[pixels].by_frame},
        )
        rescored.append(Rescored(run.info.run_id, run.info.run_name, metric, scores[pixels].value))
    if rescored:
        for name in experiments_of(sweep, store):
            show(store, name, Only())
    return rescored


def other_score(clip_model: str) -> str:
    """The metric of a CLIP that is not the run's own; a folder goes by its name."""
    name = Path(clip_model).name if Path(clip_model).is_absolute() else clip_model
    return f"clip_score.{re.sub(r'[^A-Za-z0-9_.: -]', '_', name)}"


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
            self._vaes[key] = load_vae(_card(params), self.dtype(params), self.device)
        tiling, slicing = (params[name] == "True" for name in ("vae_tiling", "vae_slicing"))
        return decode_latents(self._vaes[key], latents, self.device, tiling=tiling, slicing=slicing)


def _card(params: Mapping[str, str]) -> ModelCard:
    """The card of a run's model as it was. Raises CogxError where the folder is gone or has changed."""
    name = params["model"] if params["model"] in NAMES else params["model_source"]
    card = resolve_model(name, params["model_revision"] if name in HUB_MODELS else None)
    if card.revision != params["model_revision"]:
        raise CogxError(
            f"{card.source}: has changed since the run was made ({params['model_revision']}, now {card.revision}); "
            "its latents would decode to other frames"
        )
    return card

"""CLIP score: how well the frames fit the prompt."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import open_clip
import torch
from open_clip import constants
from PIL import Image
from transformers.initialization import no_init_weights

from cogx_runs import hub
from cogx_runs.errors import CogxError, WeightsUnavailableError, did_you_mean
from cogx_runs.metrics import METRIC_VERSIONS
from cogx_runs.models import clip_folder
from cogx_runs.tokens import count_clip_tokens
from cogx_runs.video import Frames

BATCH_SIZE = 16


@dataclass(frozen=True)
class ClipScore:
    """A CLIP score with all that its value depends on."""

    value: float
    """100 x cosine of image and text embedding, mean over the frames; higher is better."""
    by_frame: tuple[float, ...]
    """The same of each frame."""
    definition: str
    model: str
    frame_rule: str
    prompt_tokens: int
    token_limit: int
    prompt_truncated: bool


class ClipScorer:
    """Scores frames by one CLIP, on the CPU: the score does not depend on the GPU and takes none of its memory."""

    def __init__(self, clip_model: str) -> None:
        """Load `ARCHITECTURE:TAG`, `ARCHITECTURE:/a/checkpoint`, `toy`, or a folder that open_clip reads.

        Raises CogxError for a name or file that cannot be right, WeightsUnavailableError where the weights are not
        here and cannot be fetched.
        """
        self.clip_model = clip_model
        self._model, self._preprocess, self._tokenizer = _load(clip_model)

    def score(self, frames: Frames, prompt: str) -> ClipScore:
        """Score all frames (uint8, T x H x W x C) against the prompt.

        100 x cosine as in torchmetrics' CLIPScore, without its clipping at 0, mean over all frames. A prompt beyond
        CLIP's context is truncated with its end token kept.
        """
        count = count_clip_tokens(prompt, self.clip_model)
        scores = frame_scores(self._embed_frames(frames), self._embed_text(prompt))
        return ClipScore(
            value=float(scores.mean()),
            by_frame=tuple(scores.tolist()),
            definition=f"100 x cosine(image, text), mean over frames; version {METRIC_VERSIONS['clip_score']}",
            model=self.clip_model,
            frame_rule=f"all {len(frames)} frames",
            prompt_tokens=count.tokens,
            token_limit=count.limit,
            prompt_truncated=count.is_cut,
        )

    def _embed_frames(self, frames: Frames) -> npt.NDArray[np.float32]:
        """Image embeddings, T x D."""
        batches = []
        with torch.no_grad():
            for start in range(0, len(frames), BATCH_SIZE):
                images = [self._preprocess(Image.fromarray(frame)) for frame in frames[start : start + BATCH_SIZE]]
                batches.append(self._model.encode_image(torch.stack(images)).float().numpy())
        return np.concatenate(batches)

    def _embed_text(self, prompt: str) -> npt.NDArray[np.float32]:
        """Text embedding, D."""
        with torch.no_grad():
            embedding: npt.NDArray[np.float32] = self._model.encode_text(self._tokenizer([prompt]))[0].float().numpy()
        return embedding


def frame_scores(images: npt.NDArray[np.float32], text: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """100 x the cosine of each image embedding (T x D) with a text embedding (D); T values."""
    images = images / np.linalg.norm(images, axis=-1, keepdims=True)
    scores: npt.NDArray[np.float32] = 100 * (images @ (text / np.linalg.norm(text)))
    return scores


def check_clip(clip_model: str) -> None:
    """Raise what loading this CLIP would raise, as far as that can be known without loading it."""
    _locate(clip_model)


@dataclass(frozen=True)
class _Located:
    """Arguments of open_clip for a CLIP."""

    model_name: str
    pretrained: str | None
    force_quick_gelu: bool = False


def _locate(clip_model: str) -> _Located:
    folder = clip_folder(clip_model)
    if folder is not None:
        if not (folder / "open_clip_config.json").is_file():
            raise CogxError(f"--clip-model {clip_model}: has no open_clip_config.json; name a folder of open_clip's")
        return _Located(f"local-dir:{folder}", None)
    architecture, _, weights = clip_model.partition(":")
    if architecture not in open_clip.list_models():
        raise CogxError(
            f"--clip-model {clip_model}: no such folder or architecture; "
            f"{did_you_mean(architecture, open_clip.list_models())} Write it as ViT-B-32:openai"
        )
    if Path(weights).is_file():
        return _Located(architecture, weights)
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    if weights not in tags:
        raise CogxError(
            f"--clip-model {clip_model}: {weights!r} is no file and no weights of {architecture}; "
            f"{did_you_mean(weights, tags)}"
        )
    repository = str(open_clip.get_pretrained_cfg(architecture, weights).get("hf_hub", "")).rstrip("/")
    if repository and not _any_weights_cached(repository):
        hub.require(repository, "open_clip_model.safetensors")
    return _Located(architecture, weights, _needs_quick_gelu(architecture, weights))


def _needs_quick_gelu(architecture: str, tag: str) -> bool:
    """Whether the weights were trained with QuickGELU; open_clip only warns where the architecture lacks it."""
    return bool(open_clip.get_pretrained_cfg(architecture, tag).get("quick_gelu", False))


def _any_weights_cached(repository: str) -> bool:
    names = (constants.HF_SAFE_WEIGHTS_NAME, constants.HF_WEIGHTS_NAME)
    return any(hub.cached_file(repository, name) for name in names)


@cache
def _load(clip_model: str) -> tuple[Any, Any, Any]:
    located = _locate(clip_model)
    try:
        with _quiet_logging(), no_init_weights():  # the weights are read over it: seconds of random numbers for nothing
            model, _, preprocess = open_clip.create_model_and_transforms(
                located.model_name,
                pretrained=located.pretrained,
                force_quick_gelu=located.force_quick_gelu,
                require_pretrained=True,
            )
            tokenizer = open_clip.get_tokenizer(located.model_name)
    except (OSError, RuntimeError, ValueError) as error:
        kind = WeightsUnavailableError if "download" in str(error) else CogxError
        raise kind(f"--clip-model {clip_model}: cannot be loaded: {str(error).splitlines()[0]}") from error
    return model.eval(), preprocess, tokenizer


@contextmanager
def _quiet_logging() -> Iterator[None]:
    """open_clip logs its failures to the root logger as well as raising them."""
    previous = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(previous)

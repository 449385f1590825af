"""Embeddings by CLIP, through open_clip."""

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

from cogx_runs.errors import CogxError, WeightsUnavailableError, did_you_mean, first_line
from cogx_runs.formatting import cut, shortened
from cogx_runs.metrics.vbench_pixels import vbench_pixels
from cogx_runs.models import hub
from cogx_runs.models.cards import clip_folder
from cogx_runs.models.clip_folder import check_clip_folder
from cogx_runs.video import Frames

BATCH_SIZE = 16


class ClipEncoder:
    """Embeds frames and texts by one CLIP, on the CPU: a score does not depend on the GPU and takes none of its
    memory."""

    def __init__(self, clip_model: str) -> None:
        """Loads `ARCHITECTURE:TAG`, `ARCHITECTURE:/a/checkpoint`, `toy`, or a folder in open_clip's format.

        Raises CogxError for an invalid name or file, WeightsUnavailableError where the weights are neither on this
        machine nor can be downloaded.
        """
        self._model, self._preprocess, self._tokenizer = _load(clip_model)
        self._texts: dict[str, npt.NDArray[np.float32]] = {}

    def embed_frames(self, frames: Frames, *, as_vbench: bool = False) -> npt.NDArray[np.float32]:
        """Embeds frames (uint8, T x H x W x C) scaled by CLIP's own preprocessing, or by VBench's; T x D, not
        normalised."""
        pixels = self._vbench_pixels if as_vbench else self._own_pixels
        with torch.no_grad():
            batches = [
                self._model.encode_image(pixels(frames[start : start + BATCH_SIZE])).float().numpy()
                for start in range(0, len(frames), BATCH_SIZE)
            ]
        return np.concatenate(batches)

    def _own_pixels(self, frames: Frames) -> torch.Tensor:
        return torch.stack([self._preprocess(Image.fromarray(frame)) for frame in frames])

    def _vbench_pixels(self, frames: Frames) -> torch.Tensor:
        expected = self._model.visual.preprocess_cfg
        return vbench_pixels(frames, expected["size"][0], expected["mean"], expected["std"])

    def embed_text(self, prompt: str) -> npt.NDArray[np.float32]:
        """Embeds a text; D values, not normalised. A text beyond CLIP's context is cut, its end token kept."""
        if prompt not in self._texts:
            with torch.no_grad():
                self._texts[prompt] = self._model.encode_text(self._tokenizer([prompt]))[0].float().numpy()
        return self._texts[prompt]


@cache
def encoder_of(clip_model: str) -> ClipEncoder:
    """Returns the encoder of a CLIP, loaded once. Raises what ClipEncoder raises."""
    return ClipEncoder(clip_model)


def check_clip(clip_model: str) -> None:
    """Checks a CLIP without loading it. Raises the errors of loading it that can be found that way."""
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
        try:
            check_clip_folder(folder)
        except CogxError as error:
            raise CogxError(f"--clip-model {clip_model}: {error}") from error
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
            f"--clip-model {cut(clip_model)}: {shortened(weights)} is no file and no weights of {architecture}; "
            f"{did_you_mean(weights, tags)}"
        )
    repository = str(open_clip.get_pretrained_cfg(architecture, weights).get("hf_hub", "")).rstrip("/")
    if repository and not _any_weights_cached(repository):
        hub.require(repository, "open_clip_model.safetensors")
    return _Located(architecture, weights, _needs_quick_gelu(architecture, weights))


def _needs_quick_gelu(architecture: str, tag: str) -> bool:
    """Checks whether the weights were trained with QuickGELU; open_clip only warns where the architecture lacks it."""
    return bool(open_clip.get_pretrained_cfg(architecture, tag).get("quick_gelu", False))


def _any_weights_cached(repository: str) -> bool:
    names = (constants.HF_SAFE_WEIGHTS_NAME, constants.HF_WEIGHTS_NAME)
    return any(hub.cached_file(repository, name) for name in names)


def _load(clip_model: str) -> tuple[Any, Any, Any]:
    located = _locate(clip_model)
    try:
        with _quiet_logging(), no_init_weights():  # random initial weights take seconds, and are overwritten
            model, _, preprocess = open_clip.create_model_and_transforms(
                located.model_name,
                pretrained=located.pretrained,
                force_quick_gelu=located.force_quick_gelu,
                require_pretrained=True,
            )
            tokenizer = open_clip.get_tokenizer(located.model_name)
    except MemoryError:
        raise
    except Exception as error:  # a folder can be damaged in more ways than open_clip has errors for
        error_type = WeightsUnavailableError if "download" in str(error) else CogxError
        raise error_type(f"--clip-model {clip_model}: cannot be loaded: {first_line(error)}") from error
    return model.eval(), preprocess, tokenizer


@contextmanager
def _quiet_logging() -> Iterator[None]:
    """Silences logging: open_clip logs its failures to the root logger as well as raising them."""
    previous = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(previous)

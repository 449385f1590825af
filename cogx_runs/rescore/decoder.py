"""Decodes kept latents again."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from cogx_runs.definitions.parameters import Decoder as DecoderName
from cogx_runs.definitions.parameters import Dtype
from cogx_runs.errors import CogxError
from cogx_runs.generation.generate import check_size, decode_latents
from cogx_runs.generation.pipeline import load_vae
from cogx_runs.metrics.subject import Subject
from cogx_runs.models.cards import HUB_MODELS, NAMES, ModelCard, resolve_model
from cogx_runs.system.hardware import choose_device
from cogx_runs.tracking.artifacts import LATENTS, PROMPT, VIDEO
from cogx_runs.tracking.liveness import temporary_folder
from cogx_runs.tracking.reader import RunReader
from cogx_runs.tracking.run import TrackedRun, param_value
from cogx_runs.tracking.tags import OF_ITS_MP4
from cogx_runs.video import Frames, read_mp4

if TYPE_CHECKING:
    from diffusers import AutoencoderKLCogVideoX


class Decoder:
    """Decodes the latents of runs, each with its own model's VAE, loaded once, and reads their mp4; keeps the last two
    videos.

    On a CPU it decodes in float32, also latents that a GPU decoded in half precision.
    """

    def __init__(self, device: str, store: RunReader) -> None:
        self._device = choose_device(device)
        self._store = store
        self._vaes: dict[tuple[str, str, str], AutoencoderKLCogVideoX] = {}
        self._kept: dict[str, Frames] = {}
        self._subjects: dict[bool, tuple[tuple[str, str, int], Subject]] = {}
        """The last subject of each kind, by whether its frames are the mp4's."""

    def precision(self, run: TrackedRun) -> str:
        """Describes precision and device in which a run's latents are decoded: `float32 on cpu`."""
        if run.imported_from is not None:
            return OF_ITS_MP4
        return f"{self._dtype(run.params)} on {self._device}"

    def subject(self, run: TrackedRun, clip_model: str, *, of_file: bool = False) -> Subject:
        """Prepares a run's video for its metrics, with the frames of its latents or of its mp4, and keeps the last one
        of each. Raises what `frames` raises, and CogxError where the mp4 cannot be read."""
        of_file = of_file and run.imported_from is None  # the frames of an imported video are those of its mp4
        fps = param_value("fps", run.params["fps"])
        key = (run.run_id if of_file else run.signature, clip_model, fps)
        if of_file not in self._subjects or self._subjects[of_file][0] != key:
            with temporary_folder() as folder:
                file = self._store.download(run.run_id, PROMPT, folder)
                prompt = file.read_text(encoding="utf-8").strip()
                frames = self._of_mp4(run, folder) if of_file else self.frames(run)
            self._subjects[of_file] = key, Subject(frames, prompt, clip_model, fps)
        return self._subjects[of_file][1]

    def frames(self, run: TrackedRun) -> Frames:
        """Decodes a run's video, an imported one from its mp4.

        Raises CogxError where its latents cannot be read, where the VAE cannot be loaded, or where the model folder has
        changed since.
        """
        if run.signature not in self._kept:
            with temporary_folder() as folder:
                frames = self._of_mp4(run, folder) if run.imported_from is not None else self._generated(run, folder)
            self._kept = {**dict(list(self._kept.items())[-1:]), run.signature: frames}
        return self._kept[run.signature]

    def _of_mp4(self, run: TrackedRun, folder: Path) -> Frames:
        return read_mp4(self._store.download(run.run_id, VIDEO, folder))

    def _generated(self, run: TrackedRun, folder: Path) -> Frames:
        file = self._store.download(run.run_id, LATENTS, folder)
        try:
            latents = load_file(file)["latents"]
        except SafetensorError as error:
            raise CogxError(f"run {run.run_id}: artifact {LATENTS} cannot be read: {error}") from error
        return self._decode(latents, run.params)

    def _dtype(self, params: Mapping[str, str]) -> Dtype:
        return cast(Dtype, params["dtype"]) if self._device == "cuda" else "float32"

    def _decoder(self, params: Mapping[str, str]) -> DecoderName:
        """That of the run, and `exact` on a CPU, which has no other, and for runs older than the parameter."""
        return cast(DecoderName, params.get("decoder", "exact")) if self._device == "cuda" else "exact"

    def _decode(self, latents: torch.Tensor, params: Mapping[str, str]) -> Frames:
        key = (params["model_source"], params["model_revision"], self._dtype(params))
        if key not in self._vaes:
            self._vaes[key] = load_vae(_card(params), self._dtype(params), self._device)
        tiling, slicing = (param_value(name, params[name]) for name in ("vae_tiling", "vae_slicing"))
        decoder = self._decoder(params)
        frames = decode_latents(self._vaes[key], latents, self._device, tiling=tiling, slicing=slicing, decoder=decoder)
        check_size(frames, *(param_value(name, params[name]) for name in ("num_frames", "height", "width")))
        return frames


def _card(params: Mapping[str, str]) -> ModelCard:
    """Resolves the card of a run's model. Raises CogxError where the folder is missing or has changed."""
    name = params["model"] if params["model"] in NAMES else params["model_source"]
    card = resolve_model(name, params["model_revision"] if name in HUB_MODELS else None)
    if card.revision != params["model_revision"]:
        raise CogxError(
            f"{card.source}: has changed since the run was generated "
            f"({params['model_revision']}, now {card.revision}); its latents would decode to other frames"
        )
    return card

"""The one pipeline that is loaded, warm for the shapes that it is used with."""

import gc
from collections.abc import Callable
from pathlib import Path

import torch
from diffusers import AutoencoderKLCogVideoX, CogVideoXPipeline

from cogx_runs.generation.generate import warm_up_decoding, warm_up_denoising
from cogx_runs.generation.pipeline import PipelineKey, load_pipeline, load_vae
from cogx_runs.models import ModelCard
from cogx_runs.plan import RunSpec
from cogx_runs.weights import weights_sha256


class Loader:
    """Keeps a pipeline, or a VAE alone, for as long as the cells fit it, and frees it before it loads another."""

    def __init__(self, report: Callable[[str], None]) -> None:
        """`report` is told what is being done."""
        self._report = report
        self._pipeline: CogVideoXPipeline | None = None
        self._vae: AutoencoderKLCogVideoX | None = None
        self._key: PipelineKey | None = None
        self._warm: set[tuple[object, ...]] = set()
        self.weights_sha256: str | None = None
        """Of the loaded pipeline's folder; None for a hub model."""

    def load(self, card: ModelCard, spec: RunSpec) -> CogVideoXPipeline:
        """The pipeline of a cell, cold. Raises CogxError as `load_pipeline` does."""
        if self._pipeline is None or self._key != PipelineKey.of(spec):
            self.free()
            self._report(f"loading {spec.model}")
            self._pipeline = load_pipeline(card, PipelineKey.of(spec))
            self._vae, self._key = self._pipeline.vae, PipelineKey.of(spec)
            if card.is_local:
                self._report("hashing the weights (once)")
                self.weights_sha256 = weights_sha256(Path(card.source))
        return self._pipeline

    def warm_pipeline(self, card: ModelCard, spec: RunSpec) -> CogVideoXPipeline:
        """The pipeline of a cell, warm for its shape."""
        pipe = self.load(card, spec)
        shape = (spec.num_frames, spec.height, spec.width, spec.guidance_scale > 1, spec.scheduler)
        if shape not in self._warm:
            self._report("warming up")
            warm_up_denoising(pipe, spec)
            self._warm.add(shape)
        self.warm_vae(card, spec)
        return pipe

    def warm_vae(self, card: ModelCard, spec: RunSpec) -> AutoencoderKLCogVideoX:
        """The VAE of a cell's model, that of the loaded pipeline where it fits, warm for the cell's size."""
        key = PipelineKey.of(spec)
        if self._vae is None or self._key is None or self._key.without_placement != key.without_placement:
            self.free()
            self._report(f"loading the VAE of {spec.model}")
            self._vae, self._key = load_vae(card, spec.dtype, spec.device), key
        shape = (spec.height, spec.width, spec.vae_tiling)
        if shape not in self._warm:
            self._report("warming up")
            warm_up_decoding(self._vae, spec)
            self._warm.add(shape)
        return self._vae

    def free(self) -> None:
        """Give back what is loaded: accelerate's hooks keep the weights alive until they are removed."""
        if self._pipeline is not None:
            self._pipeline.remove_all_hooks()
        self._pipeline = self._vae = self._key = self.weights_sha256 = None
        self._warm.clear()
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

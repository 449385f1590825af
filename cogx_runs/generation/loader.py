"""The one pipeline that is loaded, warm for the shapes that it is used with."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from diffusers import AutoencoderKLCogVideoX, CogVideoXPipeline

from cogx_runs.definitions.spec import RunSpec
from cogx_runs.generation.generate import warm_up_decoding, warm_up_denoising
from cogx_runs.generation.measure import IdleTime, free_memory
from cogx_runs.generation.pipeline import load_pipeline, load_vae
from cogx_runs.generation.text import TextEncoding
from cogx_runs.models.cards import ModelCard
from cogx_runs.models.weights import weights_sha256
from cogx_runs.progress import Progress


class Loader:
    """Keeps a pipeline, or a VAE alone, for as long as the cells fit it, and frees it before it loads another."""

    def __init__(
        self,
        max_vram_gib: float | None = None,
        before_loading: Callable[[], None] = lambda: None,
        *,
        load_pipeline: Callable[[ModelCard, RunSpec], CogVideoXPipeline] = load_pipeline,
        texts: Callable[[float | None], TextEncoding] = TextEncoding,
    ) -> None:
        """Texts are encoded in `max_vram_gib` of the GPU's memory, in all that is free where that is None.

        `before_loading` is called before weights are loaded: diffusers changes torch's default dtype meanwhile, for
        all threads.
        """
        self._before_loading = before_loading
        self._load_pipeline = load_pipeline
        self._upcoming: Sequence[RunSpec] = ()
        self._pipeline: CogVideoXPipeline | None = None
        self._vae: AutoencoderKLCogVideoX | None = None
        self._pipeline_key: tuple[object, ...] | None = None
        self._vae_key: tuple[object, ...] | None = None
        self._warm: set[tuple[object, ...]] = set()
        self._hashing = ThreadPoolExecutor(1, thread_name_prefix="hashing")
        self._hashes: dict[str, Future[str]] = {}
        self.idle = IdleTime()
        self.texts = texts(max_vram_gib)

    def expect(self, upcoming: Sequence[RunSpec]) -> None:
        """Names the cells to come, whose texts are encoded before their model is loaded."""
        self._upcoming = upcoming
        self.texts.expect(upcoming)

    def load(self, card: ModelCard, spec: RunSpec, progress: Progress) -> CogVideoXPipeline:
        """Loads the pipeline of a cell, cold, after the texts of all cells of its model are encoded.

        Raises CogxError as `load_pipeline` does, torch.OutOfMemoryError where the GPU's memory does not suffice.
        """
        if self._pipeline is None or self._pipeline_key != spec.pipeline_key or not self.texts.has(spec):
            self._before_loading()
            self.free()
            alike = [
                other for other in self._upcoming if (other.model_key, other.dtype) == (spec.model_key, spec.dtype)
            ]
            self.texts.encode_missing(card, [spec, *alike], progress)
            progress.phase(f"loading {spec.model}")
            self._pipeline = self._load_pipeline(card, spec)
            self._vae = self._pipeline.vae
            self._pipeline_key, self._vae_key = spec.pipeline_key, spec.vae_key
            if card.is_local and card.source not in self._hashes:
                self._hashes[card.source] = self._hashing.submit(weights_sha256, Path(card.source))
        return self._pipeline

    def warm_pipeline(self, card: ModelCard, spec: RunSpec, progress: Progress) -> CogVideoXPipeline:
        """Loads the pipeline of a cell and warms it up for its shape."""
        pipe = self.load(card, spec, progress)
        if spec.shape not in self._warm:
            progress.phase("compiling and warming up" if spec.compile else "warming up")
            with self.idle.busy():
                warm_up_denoising(pipe, spec)
            self._warm.add(spec.shape)
        self.warm_vae(card, spec, progress)
        return pipe

    def warm_vae(self, card: ModelCard, spec: RunSpec, progress: Progress) -> AutoencoderKLCogVideoX:
        """Warms up the VAE of a cell's model, that of the loaded pipeline where it fits, for the cell's size."""
        if self._vae is None or self._vae_key != spec.vae_key:
            self._before_loading()
            self.free()
            progress.phase(f"loading the VAE of {spec.model}")
            self._vae, self._vae_key = load_vae(card, spec.dtype, spec.device, spec.placement), spec.vae_key
        shape = ("decoding", *spec.decoding_shape)
        if shape not in self._warm:
            progress.phase("warming up")
            with self.idle.busy():
                warm_up_decoding(self._vae, spec)
            self._warm.add(shape)
        return self._vae

    def weights_sha256(self, card: ModelCard) -> str | None:
        """Waits for the hash of a local model's weights; None for a hub model."""
        return self._hashes[card.source].result() if card.source in self._hashes else None

    def close(self) -> None:
        """Frees what is loaded, for good."""
        self.free()
        self._hashing.shutdown()

    def free(self) -> None:
        """Gives back what is loaded: accelerate's hooks keep the weights alive until they are removed."""
        if self._pipeline is not None:
            self._pipeline.remove_all_hooks()
        self._pipeline = self._vae = self._pipeline_key = self._vae_key = None
        self._warm.clear()
        free_memory()

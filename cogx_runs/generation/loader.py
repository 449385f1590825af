"""The one pipeline that is loaded, warm for the shapes that it is used with."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from diffusers import AutoencoderKLCogVideoX, CogVideoXPipeline

from cogx_runs.definitions.spec import RunSpec
from cogx_runs.generation.caches import Ratios
from cogx_runs.generation.calibration import CalibrationCache, calibrating_cell
from cogx_runs.generation.generate import calibrate, warm_up_decoding, warm_up_denoising
from cogx_runs.generation.measure import IdleTime, free_memory, timed
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
        self._calibrations = CalibrationCache()
        self._calibrated: dict[str, Ratios] = {}
        self._calibrate_s = 0.0
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
        has_texts = all(self.texts.has(one) for one in [*self._uncalibrated([spec]), spec])
        if self._pipeline is None or self._pipeline_key != spec.pipeline_key or not has_texts:
            self._before_loading()
            self.free()
            alike = [
                other for other in self._upcoming if (other.model_key, other.dtype) == (spec.model_key, spec.dtype)
            ]
            cells = [spec, *alike]
            self.texts.encode_missing(card, [*cells, *self._uncalibrated(cells)], progress)
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
        for cell in self._uncalibrated([spec]):
            progress.phase(f"calibrating MagCache for {cell.num_inference_steps} steps")
            with self.idle.busy(), timed(cell.device) as seconds:
                ratios = calibrate(pipe, cell, self.texts.of(cell))
            self._calibrations.keep(cell, ratios)
            self._calibrated[cell.signature] = ratios
            self._calibrate_s += seconds.value
            self.texts.has(spec)
        self.warm_vae(card, spec, progress)
        return pipe

    def ratios(self, spec: RunSpec) -> Ratios | None:
        """Gives the ratios of a cell that needs some, once its pipeline is warm; None for any other cell."""
        cell = calibrating_cell(spec)
        return None if cell is None else self._calibrated[cell.signature]

    def take_calibration(self) -> float | None:
        """Hands out the seconds of the calibrations since they were last taken; None where all were kept."""
        seconds, self._calibrate_s = self._calibrate_s, 0.0
        return seconds or None

    def _uncalibrated(self, specs: Sequence[RunSpec]) -> list[RunSpec]:
        """Lists the cells to be denoised for the ratios of these, where they are not kept; takes up those that are."""
        found = {}
        for cell in filter(None, map(calibrating_cell, specs)):
            if cell.signature not in self._calibrated:
                kept = self._calibrations.read(cell)
                if kept is None:
                    found[cell.signature] = cell
                else:
                    self._calibrated[cell.signature] = kept
        return list(found.values())

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

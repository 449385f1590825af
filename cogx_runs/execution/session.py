"""What stays from cell to cell and from plan to plan: the loaded model, the scorers, what is known of the devices."""

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType

from cogx_runs.definitions.spec import RunSpec
from cogx_runs.generation.loader import Loader
from cogx_runs.generation.oom_fallback import OomFallback
from cogx_runs.generation.placement import cap_memory
from cogx_runs.metrics.registry import titles
from cogx_runs.metrics.scoring import Scorer
from cogx_runs.models.cards import ModelCard
from cogx_runs.progress import Progress
from cogx_runs.system.hardware import Device
from cogx_runs.tracking.provenance import provenance
from cogx_runs.video import check_encoder


class Session:
    """Loads nothing twice that cells share; a context manager that frees what is loaded."""

    def __init__(
        self,
        max_vram_gib: float | None,
        before_loading: Callable[[], None],
        *,
        loader: Callable[[float | None, Callable[[], None]], Loader] = Loader,
        fallback: Callable[[Loader], OomFallback] = OomFallback,
        load_scorer: Callable[[str, tuple[str, ...]], Scorer] = Scorer,
        cap_memory: Callable[[float | None], None] = cap_memory,
    ) -> None:
        """`before_loading` is called before weights are loaded."""
        self._max_vram_gib = max_vram_gib
        self._wait = before_loading
        self._load_scorer = load_scorer
        self._cap_memory = cap_memory
        self.loader = loader(max_vram_gib, self._before_loading)
        self.within_memory = fallback(self.loader)
        self._provenance: dict[Device, dict[str, str]] = {}
        self._scorers: dict[tuple[str, tuple[str, ...]], Scorer] = {}

    def __enter__(self) -> "Session":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.loader.close()

    def prepare(
        self,
        cells: Sequence[RunSpec],
        generated: Sequence[RunSpec],
        cards: Mapping[tuple[str, str], ModelCard],
        progress: Progress,
    ) -> None:
        """Loads the metrics of cells to come, and the model of the first of those that are generated; what is loaded
        already stays.

        Raises CogxError where none of them can run.
        """
        check_encoder()
        for spec in cells:
            self.scorer(spec, progress)
        self.loader.expect(generated)
        if generated:
            first = generated[0]
            card = cards[first.model_key]
            self.within_memory(card, first, lambda spec: self.loader.load(card, spec, progress), progress)

    def scorer(self, spec: RunSpec, progress: Progress) -> Scorer:
        """Loads the metrics of a cell at their first use, and notes what cannot be measured.

        Raises CogxError for a CLIP's name or file that cannot be right.
        """
        key = spec.clip_model, spec.extra_metrics
        if key not in self._scorers:
            progress.phase(f"loading CLIP {spec.clip_model}")
            self._scorers[key] = self._load_scorer(*key)
            for reason, names in self._scorers[key].reasons.items():
                progress.note(
                    f"no {titles(names)}: {reason}; the runs finish without, and `cogx-runs rescore` adds what is "
                    "missing"
                )
        return self._scorers[key]

    def provenance(self, device: Device) -> dict[str, str]:
        """Tells on what machine and by which versions a device computes, as tags; asked once."""
        if device not in self._provenance:
            self._provenance[device] = provenance(device)
        return self._provenance[device]

    def _before_loading(self) -> None:
        self._cap_memory(self._max_vram_gib)
        self._wait()

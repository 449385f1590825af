"""What stays from plan to plan: the loaded model, the scorers, and what is known of the devices."""

from types import TracebackType

from cogx_runs.execution.outcomes import Reporter, SilentReporter
from cogx_runs.generation.loader import Loader
from cogx_runs.generation.oom_fallback import StepDown
from cogx_runs.generation.placement import cap_memory
from cogx_runs.metrics.registry import titles
from cogx_runs.metrics.scoring import Scorer
from cogx_runs.planning.plan import Plan
from cogx_runs.system.hardware import Device
from cogx_runs.tracking.provenance import provenance


class Workbench:
    """A `with` block in which plans are run one after the other, and nothing is loaded twice that they share."""

    def __init__(self) -> None:
        self._reporter: Reporter = SilentReporter()
        self.loader = Loader(lambda what: self._reporter.phase(what))
        self.within_memory = StepDown(self.loader, lambda message: self._reporter.note(message))
        self._provenance: dict[Device, dict[str, str]] = {}
        self._scorers: dict[str, Scorer] = {}

    def __enter__(self) -> "Workbench":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.loader.close()

    def prepare(self, plan: Plan, reporter: Reporter) -> None:
        """Load what a plan needs before its first cell, the reporter told of what cannot be measured.

        Raises CogxError where no cell can run.
        """
        self._reporter = reporter
        new = [planned.spec for planned in plan.runs if planned.action == "run"]
        todo = [planned.spec for planned in plan.runs if planned.action in {"run", "reuse"}]
        for clip_model in dict.fromkeys(spec.clip_model for spec in todo):
            if clip_model not in self._scorers:
                self._load_scorer(clip_model)
        cap_memory(plan.max_vram_gib)
        self.loader.expect(new, plan.max_vram_gib)
        if new:
            card = plan.cards[new[0].model_key]
            self.within_memory(card, new[0], lambda spec: self.loader.load(card, spec))
        for device in {spec.device for spec in todo} - set(self._provenance):
            self._provenance[device] = provenance(device)

    def scorer(self, clip_model: str) -> Scorer:
        """The metrics with one CLIP of the plan."""
        return self._scorers[clip_model]

    def provenance(self, device: Device) -> dict[str, str]:
        """The tags that say on what machine and by which versions a device of the plan computes."""
        return self._provenance[device]

    def _load_scorer(self, clip_model: str) -> None:
        self._reporter.phase(f"loading CLIP {clip_model}")
        self._scorers[clip_model] = Scorer(clip_model)
        for reason, names in self._scorers[clip_model].reasons.items():
            self._reporter.note(
                f"no {titles(names)}: {reason}; the runs finish without, and `cogx-runs rescore` adds what is missing"
            )

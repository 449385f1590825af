"""Plans run by an executor on this machine, with parts of its worker replaced where a test says so."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from cogx_runs import plan_sweeps
from cogx_runs.execution.inference import InferenceStage
from cogx_runs.execution.local import LocalExecutor
from cogx_runs.execution.outcomes import Outcome
from cogx_runs.execution.postprocess import PostprocessStage
from cogx_runs.execution.session import Session
from cogx_runs.execution.worker import Worker
from cogx_runs.generation.generate import decode, denoise
from cogx_runs.generation.loader import Loader
from cogx_runs.generation.oom_fallback import OomFallback
from cogx_runs.generation.text import TextEncoding
from cogx_runs.planning.plan import Plan
from cogx_runs.progress import Progress, SilentProgress
from cogx_runs.tracking.store import RunStore

_PLACES = {
    "denoise": InferenceStage, "decode": InferenceStage,
    "write_mp4": PostprocessStage, "write_pictures": PostprocessStage,
    "load_scorer": Session, "cap_memory": Session,
    "load_pipeline": Loader, "load_text_encoder": TextEncoding,
    "less_memory": OomFallback, "budget": OomFallback,
}  # fmt: skip


def executor(overlaps: bool | None = None, store: RunStore | None = None, **parts: Any) -> LocalExecutor:
    """An executor whose worker has these functions in the place of its own: `denoise`, `write_mp4`, ..."""

    def made(part: type, **more: Any) -> Callable[..., Any]:
        return partial(part, **{name: given for name, given in parts.items() if _PLACES[name] is part}, **more)

    session = made(Session, loader=made(Loader, texts=made(TextEncoding)), fallback=made(OomFallback))
    worker = partial(
        Worker,
        store=store,
        session=session,
        inference=made(InferenceStage),
        postprocess=made(PostprocessStage),
    )
    return LocalExecutor(store=store, worker=worker, overlaps=overlaps)


def outcomes(plan: Plan, progress: Progress | None = None, *, fail_fast: bool = False, **parts: Any) -> list[Outcome]:
    with executor(**parts) as used:
        return used.run(plan, progress or SilentProgress(), fail_fast=fail_fast)


def run(plan: Plan, **parts: Any) -> list[str]:
    """The statuses that the cells come to."""
    return [outcome.status for outcome in outcomes(plan, **parts)]


def again(retry_failed: bool = False) -> Plan:
    return plan_sweeps(["seed.yaml"], device="cpu", retry_failed=retry_failed)


class SmallGpu:
    """Denoises and decodes, but runs out of memory in a phase in some placements."""

    def __init__(self, phase: str, placements: tuple[str, ...]) -> None:
        self._phase = phase
        self._placements = placements
        self.calls: list[tuple[str, int, str]] = []
        """Phase, seed and placement of each call, in order."""

    @property
    def parts(self) -> dict[str, Callable[..., Any]]:
        return {"denoise": partial(self._work, "denoise", denoise), "decode": partial(self._work, "decode", decode)}

    def _work(self, name: str, works: Callable[..., Any], model: Any, spec: Any, *others: Any) -> Any:
        self.calls.append((name, spec.seed, spec.placement))
        if name == self._phase and spec.placement in self._placements:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return works(model, spec, *others)


class Notes(SilentProgress):
    """Keeps the notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


class Phases(SilentProgress):
    """Keeps the phases and the notes."""

    def __init__(self) -> None:
        self.phases: list[str] = []
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)

    def phase(self, name: str) -> None:
        self.phases.append(name)


def never(*_: Any) -> Any:
    """Stands for what is not to be called."""
    raise AssertionError("was called")

"""Checks that the finished runs of a store have what they were logged with, by reading all of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cogx_runs.errors import CogxError, StoreError, StoreUnavailableError, first_line
from cogx_runs.tracking.artifacts import LATENTS, VIDEO
from cogx_runs.tracking.digests import damage
from cogx_runs.tracking.experiments import experiments_of
from cogx_runs.tracking.liveness import temporary_folder
from cogx_runs.tracking.lost import expected_artifacts, read_damaged
from cogx_runs.tracking.run import TrackedRun
from cogx_runs.tracking.store import RunStore
from cogx_runs.tracking.uri import require_store
from cogx_runs.video import examine_video


@dataclass(frozen=True)
class Verified:
    """What was found of one finished run."""

    run_id: str
    run_name: str
    experiment: str
    problems: Mapping[str, str] = field(default_factory=dict)
    """What is wrong, by the artifact's name; empty where all is right."""


def verify_runs(
    sweep: str | None = None,
    *,
    tracking_uri: str | None = None,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
    report: Callable[[str], None] = lambda _: None,
) -> list[Verified]:
    """Reads every artifact of the finished runs of a sweep, or of all: each is there and has its SHA-256, each video
    decodes to the frames, the size and the rate of its parameters, latents are finite and have the shape of theirs.

    What is wrong is marked in the run, so that a plan counts it as lost and a sweep makes it again; a mark is removed
    where all is right again. A store that can only be read is not marked, and `report` is told so. `progress` is told
    how many runs are done, of how many. Raises StoreUnavailableError where the store does not answer, CogxError
    where the disk of its artifacts is not mounted.
    """
    require_store(tracking_uri)
    store = RunStore(tracking_uri)
    names = None if sweep is None else experiments_of(sweep, store)
    runs = list(store.runs(names, finished_only=True))
    for experiment in dict.fromkeys(run.experiment for run in runs):
        store.check_place(experiment)
    can_mark = _can_mark(store, report)
    found = []
    for number, run in enumerate(runs):
        progress(number, len(runs))
        problems = _verified(store, run, can_mark)
        if problems is not None:
            found.append(Verified(run.run_id, run.name, run.experiment, problems))
    progress(len(runs), len(runs))
    return found


def _can_mark(store: RunStore, report: Callable[[str], None]) -> bool:
    try:
        store.check_writable()
    except CogxError as error:
        report(f"nothing is marked: {error}")
        return False
    return True


def _verified(store: RunStore, run: TrackedRun, can_mark: bool) -> dict[str, str] | None:
    """Tells what is wrong with a run, and marks it. One that was written to meanwhile is read again; None for one that
    is no more finished, as one that is being mended."""
    problems = _problems(store, run)
    with store.keeping:
        now = store.run(run.run_id, run.experiment)
        if now.state.is_finished and now.digests == run.digests:
            if can_mark and problems != read_damaged(now.tags):
                store.mark_damaged(run.run_id, problems)
            return problems
    return _verified(store, now, can_mark) if now.state.is_finished else None


def _problems(store: RunStore, run: TrackedRun) -> dict[str, str]:
    found = {}
    with temporary_folder() as scratch:
        for name in expected_artifacts(run):
            problem = _problem(store, run, name, scratch)
            if problem is not None:
                found[name] = problem
    return found


def _problem(store: RunStore, run: TrackedRun, name: str, scratch: Path) -> str | None:
    """Tells what is wrong with one artifact, which is read where it is, or copied from where this machine does not see
    it."""
    try:
        if run.artifact_folder is None:
            file = store.download(run.run_id, name, scratch)
        else:
            file = Path(run.artifact_folder, name)
            wrong = damage(file, run.digests.get(name))
            if wrong is not None:
                return wrong
        check = _CHECKS.get(name)
        return None if check is None else check(file, run)
    except StoreUnavailableError:
        raise
    except StoreError as error:
        return first_line(error)
    except OSError as error:
        return f"cannot be read ({error.strerror})"


def _video_problem(file: Path, run: TrackedRun) -> str | None:
    """Tells in what a video differs from its run's parameters."""
    try:
        facts = examine_video(file)
    except CogxError:
        return "cannot be decoded"
    asked = run.config
    # An imported video's rate is whatever its maker chose, and its parameter a whole number.
    fps = facts.fps if run.imported_from is None else max(1, round(facts.fps))
    pairs = {
        "frames": (facts.num_frames, asked.get("num_frames", facts.num_frames)),
        "high": (facts.height, asked.get("height", facts.height)),
        "wide": (facts.width, asked.get("width", facts.width)),
        "frames a second": (round(fps, 2), float(asked.get("fps", facts.fps))),
    }
    wrong = [f"{found:g} {name}, not {right:g}" for name, (found, right) in pairs.items() if abs(found - right) > 0.01]
    return "; ".join(wrong) or None


def _latents_problem(file: Path, run: TrackedRun) -> str | None:
    """Tells whether latents cannot be decoded to their run's video."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        latents = load_file(file)["latents"]
    except (SafetensorError, KeyError):
        return "cannot be loaded"
    if not _has_shape(tuple(latents.shape), run):
        return f"has the shape {tuple(latents.shape)}, which is not that of its video"
    return None if bool(torch.isfinite(latents).all()) else "has values that are not finite"


def _has_shape(shape: tuple[int, ...], run: TrackedRun) -> bool:
    """Checks 1 x t x c x h x w against frames and size; by how much a VAE compresses is its own."""
    if len(shape) != 5 or shape[0] != 1 or min(shape) < 1:
        return False
    asked = run.config
    _, frames, _, height, width = shape
    if not {"num_frames", "height", "width"} <= asked.keys():
        return True
    spatial = asked["height"] / height
    fits_size = spatial == int(spatial) == asked["width"] / width
    return fits_size and any((asked["num_frames"] - 1) // temporal + 1 == frames for temporal in (1, 2, 4, 8))


_CHECKS: Mapping[str, Callable[[Path, TrackedRun], str | None]] = {VIDEO: _video_problem, LATENTS: _latents_problem}

"""Estimates of a cell's seconds and GiB: learned from finished runs, else by the models of speed and memory."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import median
from typing import Any

from cogx_runs.definitions.parameters import Parameters, is_guided
from cogx_runs.definitions.role import names_where
from cogx_runs.definitions.spec import ROLES, RunSpec
from cogx_runs.formatting import count
from cogx_runs.models.cards import ModelCard
from cogx_runs.models.gpus import device_key
from cogx_runs.models.memory import needs
from cogx_runs.models.speed import Timing, predict
from cogx_runs.planning.actions import Action, Decision
from cogx_runs.planning.plan import Estimate
from cogx_runs.system.hardware import Gpu, name_of
from cogx_runs.tracking.run import TrackedRun

TOKENS_EXPONENT = 1.45
"""Exponent by which a step's time grows with the number of tokens: 2b took 0.265 s at 25 frames (9,676 tokens) and
0.642 s at 49 (17,776) on one H100, all resident."""

_LEARNED_APART = {
    name: Parameters.model_fields[name].default if name in Parameters.model_fields else None
    for name in names_where(ROLES, lambda role: role.costs)
}
"""Parameters that must be equal for one cell's time to predict another's, with the value of a run older than the
parameter."""

LATEST_RUNS = 50
"""Number of runs of one shape that count, the latest, so that a plan over a long history stays fast."""

DECODED_AGAIN = "kept latents are decoded again"
_RUN = Decision(Action.RUN)
_NOT_RUN = {Action.REUSE: "copied", Action.DONE: "finished", Action.FAILED: "not tried again"}
"""Bases of the estimates of cells that are not run."""


@dataclass(frozen=True)
class _Observation:
    """The cost of one finished run."""

    key: tuple[str, ...]
    num_frames: int
    guided: bool
    num_inference_steps: int
    encode_text_s: float
    step_s: float
    decode_s: float
    encode_video_s: float
    wall_time_s: float
    peak_vram_gib: float | None


class CostModel:
    """Medians of finished runs on the same device, model, size, precision and placement; without any, the models of
    `models/speed.py` and `models/memory.py`."""

    def __init__(self, history: Sequence[TrackedRun], gpu: Gpu | None = None) -> None:
        """`gpu` is the GPU that is planned for; None without one."""
        self._gpu = gpu
        self._observations: dict[tuple[str, ...], list[_Observation]] = {}
        shapes: Counter[tuple[tuple[str, ...], int, bool]] = Counter()
        for run in sorted(history, key=lambda run: run.start_time_ms, reverse=True):
            seen = _observe(run)
            if seen is None:
                continue
            shapes[seen.key, seen.num_frames, seen.guided] += 1
            if shapes[seen.key, seen.num_frames, seen.guided] <= LATEST_RUNS:
                self._observations.setdefault(seen.key, []).append(seen)

    def estimate(self, spec: RunSpec, card: ModelCard, decision: Decision = _RUN) -> Estimate:
        """Estimates seconds and peak VRAM; 0 s for a cell that is not run, None where nothing is known."""
        if decision.action is not Action.RUN and not decision.decodes:
            return Estimate(0.0, None, _NOT_RUN[decision.action])
        device = name_of(self._gpu if spec.device == "cuda" else None)
        known = self._observations.get(_key(device, vars(spec)), [])
        if not known:
            return self._computed(spec, card, decision.decodes)
        if decision.decodes:
            seconds = median((seen.decode_s + seen.encode_video_s) / seen.num_frames for seen in known)
            return Estimate(round(seconds * spec.num_frames, 2), None, DECODED_AGAIN)
        guided = spec.is_guided
        prediction = _predict(known, spec.num_frames, guided, spec.num_inference_steps)
        alike = prediction.alike
        peaks = [seen.peak_vram_gib for seen in alike if seen.peak_vram_gib is not None]
        basis = f"median of {count(len(alike), 'finished run')} like it"
        if alike[0].num_frames != spec.num_frames or alike[0].guided != guided:
            basis = (
                f"scaled from {len(alike)} finished at {alike[0].num_frames} frames, "
                f"guidance {'on' if alike[0].guided else 'off'}"
            )
        if self.error is not None:
            basis += f"; such estimates were off by {self.error:.0%} (median, each run left out in turn)"
        return Estimate(round(prediction.seconds, 2), max(peaks, default=None), basis)

    def _computed(self, spec: RunSpec, card: ModelCard, decodes: bool) -> Estimate:
        """Estimates a cell of whose kind no run is finished on the device."""
        need = needs(card, spec.placement, spec.workload)
        peak = max(need.denoise_gib, need.decode_gib) if spec.device == "cuda" and not decodes else None
        timing = predict(card, spec, self._gpu)
        if not isinstance(timing, Timing):
            return Estimate(None, peak, f"{timing}, and no such run is finished on it")
        seconds = timing.decode_s + timing.encode_video_s if decodes else timing.total_s(spec.num_inference_steps)
        device = device_key(name_of(self._gpu)) if spec.device == "cuda" else "this CPU"
        basis = f"rough: computed for {device}" if timing.is_rough else f"measured on such a card ({device})"
        if spec.step_cache is not None and not decodes:
            basis += "; at most, since its cache skips some of it"
        return Estimate(round(seconds, 2), peak, basis, timing.is_rough)

    @cached_property
    def error(self) -> float | None:
        """Median relative error of estimating each finished run from the others; None below two runs."""
        errors = []
        for known in self._observations.values():
            for index, seen in enumerate(known):
                others = known[:index] + known[index + 1 :]
                if others:
                    predicted = _predict(others, seen.num_frames, seen.guided, seen.num_inference_steps)
                    errors.append(abs(predicted.seconds - seen.wall_time_s) / seen.wall_time_s)
        return median(errors) if errors else None


@dataclass(frozen=True)
class _Prediction:
    seconds: float
    alike: list[_Observation]
    """The observations that it is predicted from, all of one shape."""


def _predict(known: Sequence[_Observation], num_frames: int, guided: bool, steps: int) -> _Prediction:
    """Predicts a cell's seconds from the observations of the nearest shape.

    One without guidance is never predicted slower than one with it, however busy the machine was when either was
    measured.
    """
    frames_of_nearest = min((abs(seen.num_frames - num_frames), seen.num_frames) for seen in known)[1]
    nearest = [seen for seen in known if seen.num_frames == frames_of_nearest]
    frames = num_frames / frames_of_nearest
    prediction = _scaled(nearest, frames, guided, steps)
    if guided:
        return prediction
    return replace(prediction, seconds=min(prediction.seconds, _scaled(nearest, frames, True, steps).seconds))


def _scaled(nearest: Sequence[_Observation], frames: float, guided: bool, steps: int) -> _Prediction:
    """Predicts a cell from observations with one number of frames, of which it has `frames` times as many.

    Where all of them have guidance and it has not, a step takes half as long; twice as long the other way round.
    """
    alike = [seen for seen in nearest if seen.guided == guided] or list(nearest)
    batch = (2 if guided else 1) / (2 if alike[0].guided else 1)
    seconds = (
        median(seen.encode_text_s for seen in alike)
        + steps * median(seen.step_s for seen in alike) * batch * frames**TOKENS_EXPONENT
        + median(seen.decode_s for seen in alike) * frames
        + median(seen.encode_video_s for seen in alike) * frames
    )
    return _Prediction(seconds, alike)


def _key(device: str, configuration: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the key that cells share whose times predict each other's."""
    return (device_key(device), *(str(configuration.get(name, default)) for name, default in _LEARNED_APART.items()))


def _observe(run: TrackedRun) -> _Observation | None:
    """Reads the cost of a finished run that was generated with the device to itself; None for any other."""
    if not run.state.is_finished or run.pixels_from is not None or run.beside is not None:
        return None
    p, m = run.params, run.metrics
    try:
        return _Observation(
            key=_key(run.device_name, p),
            num_frames=int(p["num_frames"]),
            guided=is_guided(float(p["guidance_scale"])),
            num_inference_steps=int(p["num_inference_steps"]),
            encode_text_s=m["encode_text_s"],
            step_s=m["step_s"],
            decode_s=m["decode_s"],
            encode_video_s=m["encode_video_s"],
            wall_time_s=m["wall_time_s"],
            peak_vram_gib=m.get("peak_vram_gib"),
        )
    except (KeyError, ValueError):
        return None

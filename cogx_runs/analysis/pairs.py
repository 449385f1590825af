"""Runs as cells that are compared in pairs: each counted once, and only with what differs from it along one axis."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cogx_runs.errors import CogxError, did_you_mean
from cogx_runs.metrics.registry import cards
from cogx_runs.plan import PIXEL_FIELDS

AXES = (*(name for name in PIXEL_FIELDS if name not in {"model_revision", "prompt"}), "fps", "video_quality")
"""What two runs can differ in and still be compared."""
_OF_THE_FILE = ("fps", "video_quality")
_NEVER_MIXED = ("model_revision", "height", "width", "dtype", "clip_model")
_MACHINE = ("tags.cogx.env.device_name", "params.placement")


@dataclass(frozen=True)
class Pairs:
    """Differences of a metric between two values of an axis."""

    by_prompt: npt.NDArray[np.float64]
    """Of each prompt the mean difference over its seeds and other settings, in the prompts' order; may be empty."""
    baseline_mean: float
    """Mean over prompts at the baseline; NaN without pairs."""
    pairs: int
    seeds: int
    settings: int
    """How many combinations of the other parameters, seed and prompt aside."""
    left_out: int
    """Pairs not used since they were measured on another device or in another placement, or timed beside another
    sweep."""


def is_time(metric: str) -> bool:
    """Whether a metric depends on what else the device did."""
    return metric.endswith("_s")


def is_of_machine(metric: str) -> bool:
    """Whether a metric depends on device and placement."""
    return is_time(metric) or metric.endswith("_gib")


def finished_cells(frame: pd.DataFrame, metrics: Sequence[str], axes: Sequence[str] = ()) -> pd.DataFrame:
    """The finished runs with a value for each of the metrics, each cell once: that which generated it before one that
    reused it.

    `frame` is as `load_runs` gives it. Where a metric depends on the machine, a cell counts once a machine, and runs
    timed beside another sweep are left out of times. Added are `prompt`, `seed`, `machine`, `setting` (all else that
    the metrics depend on, `axes` and seed aside) and `context` (the three that a pair must share). Raises CogxError
    for a column that is not there.
    """
    columns = [f"metrics.{metric}" for metric in metrics]
    _check_columns(frame, ["status", "tags.cogx.signature", "params.prompt_name", *columns])
    cells = _with_cards(frame[(frame["status"] == "FINISHED") & frame[columns].notna().all(axis=1)], metrics)
    of_machine = any(is_of_machine(metric) for metric in metrics)
    if any(is_time(metric) for metric in metrics):
        cells = cells[_column(cells, "tags.cogx.beside").isna()]
    counted = [f"params.{name}" for name in PIXEL_FIELDS if name not in {"prompt", "seed"}]
    extra = _also_matters(metrics)
    extra += [f"params.{axis}" for axis in axes if axis not in PIXEL_FIELDS and f"params.{axis}" not in extra]
    machine = _keys(cells, _MACHINE if of_machine else ())
    setting = _keys(cells, [name for name in [*counted, *extra] if name.removeprefix("params.") not in axes])
    seed = _keys(cells, () if "seed" in axes else ("params.seed",))
    text = _keys(cells, ("params.prompt_name", "tags.cogx.prompt"))
    identity = _keys(cells, ("tags.cogx.signature", *extra))
    taken = _column(cells, "tags.cogx.reused_from").notna() | _column(cells, "tags.cogx.latents_from").notna()
    cells = cells.assign(
        prompt=cells["params.prompt_name"].astype(str),
        seed=seed,
        machine=machine,
        setting=setting,
        context=pd.Series(list(zip(text, seed, setting, strict=True)), index=cells.index, dtype=object),
        identity=pd.Series(list(zip(identity, machine, strict=True)), index=cells.index, dtype=object),
        taken=taken,
    )
    order = ["taken", *(name for name in ("start_time", "run_id") if name in cells.columns)]
    return cells.sort_values(order, kind="stable").drop_duplicates("identity").drop(columns=["identity", "taken"])


def pair_cells(frame: pd.DataFrame, axis: str, value: Any, baseline: Any, metric: str) -> Pairs:
    """The differences of `metric` at `value` less at `baseline`, over cells that differ in `axis` alone.

    What depends on the machine is compared within a device and placement, those of most prompts. Raises CogxError for
    an axis along which runs cannot be compared, and where pairs of several models, CLIPs, sizes or precisions would be
    averaged.
    """
    check_axis(axis)
    cells = finished_cells(frame, (metric,), (axis,))
    at, base = (cells[_is(cells, axis, wanted)] for wanted in (value, baseline))
    pairs = at.merge(base, on=["context", "machine"], suffixes=("", "_base"))
    check_not_mixed(pairs, (metric,), f"{metric} over {axis}", (axis,))
    pairs = largest_machine(pairs)
    everywhere = len(pairs)
    if is_of_machine(metric):
        everywhere = len(_contexts(frame, axis, value, metric) & _contexts(frame, axis, baseline, metric))
    name = f"metrics.{metric}"
    after, before = (pairs[column].to_numpy(dtype=float) for column in (name, f"{name}_base"))
    means = pd.DataFrame({"prompt": pairs["prompt"], "difference": after - before, "base": before})
    by_prompt = means.groupby("prompt", sort=True).mean()
    return Pairs(
        by_prompt["difference"].to_numpy(dtype=float),
        float(by_prompt["base"].mean()),
        len(pairs),
        pairs["seed"].nunique(),
        pairs["setting"].nunique(),
        left_out=everywhere - len(pairs),
    )


def values_of(frame: pd.DataFrame, axis: str) -> list[Any]:
    """The values of an axis among finished runs, in order."""
    check_axis(axis)
    _check_columns(frame, ["status", f"params.{axis}"])
    found = frame.loc[frame["status"] == "FINISHED", f"params.{axis}"].dropna().unique().tolist()
    return sorted(found)


def check_axis(axis: str) -> None:
    """Raises CogxError for what is no axis, or one whose values are never compared."""
    if axis in AXES:
        return
    if axis in {"model", "model_source", "model_revision", "clip_model", "prompt", "prompt_name"}:
        raise CogxError(f"{axis}: runs that differ in it are not compared; filter to one and compare along an axis")
    raise CogxError(f"no axis {axis!r}; {did_you_mean(axis, AXES)}")


def check_not_mixed(cells: pd.DataFrame, metrics: Sequence[str], what: str, axes: Sequence[str] = ()) -> None:
    """Raises CogxError where the cells are of several models, sizes, precisions, or CLIPs that gave a score."""
    for name in _NEVER_MIXED:
        column = f"params.{name}"
        if name in axes or column not in cells.columns:
            continue
        if name == "clip_model" and not any(metric in _of_the_clip() for metric in metrics):
            continue
        found = sorted(cells[column].dropna().astype(str).unique())
        if len(found) > 1:
            raise CogxError(
                f"{what}: runs of {len(found)} kinds of {name} ({', '.join(found)}) are not averaged; load those "
                f"of one, as with where=['{name}={found[0]}']"
            )
    for metric in metrics:
        meant = sorted(cells[_card_column(metric)].dropna().unique()) if _card_column(metric) in cells.columns else []
        if len(meant) > 1:
            raise CogxError(
                f"{what}: {metric} was measured by {len(meant)} definitions ({'; '.join(meant)}), which are not "
                "averaged; `cogx-runs rescore SWEEP` measures all runs by the present one"
            )


def largest_machine(cells: pd.DataFrame) -> pd.DataFrame:
    """Those measured on the device and in the placement that most prompts, then most cells, have in common."""
    if cells["machine"].nunique() < 2:
        return cells
    groups = sorted(cells.groupby("machine"), key=lambda item: (-item[1]["prompt"].nunique(), -len(item[1]), item[0]))
    return groups[0][1]


def _contexts(frame: pd.DataFrame, axis: str, value: Any, metric: str) -> set[Any]:
    """The contexts in which there is a finished value, wherever it was measured."""
    columns = [name for name in ("tags.cogx.beside",) if name in frame.columns]
    cells = finished_cells(frame.drop(columns=columns), (metric,), (axis,))
    return set(cells.loc[_is(cells, axis, value), "context"])


def _also_matters(metrics: Sequence[str]) -> list[str]:
    """What metrics depend on beside the pixels and the machine."""
    found = []
    if any(metric in {"file_size_bytes", "encode_video_s", "wall_time_s"} for metric in metrics):
        found += [f"params.{name}" for name in _OF_THE_FILE]
    if any(metric in _of_the_clip() for metric in metrics):
        found += ["params.clip_model"]
    return [*found, *map(_card_column, metrics)]


def _of_the_clip() -> frozenset[str]:
    """The metrics whose values depend on the CLIP that a run names."""
    return frozenset(name for name, card in cards().items() if card.uses_clip)


def _card_column(metric: str) -> str:
    return f"card.{metric}"


def _with_cards(cells: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """With a column for each metric that says by which definition a run's value was measured."""
    meant = [json.loads(text) if isinstance(text, str) else {} for text in _column(cells, "tags.cogx.metrics")]
    return cells.assign(**{_card_column(metric): [found.get(metric) for found in meant] for metric in metrics})


def _is(cells: pd.DataFrame, axis: str, value: Any) -> "pd.Series[bool]":
    found: pd.Series[bool] = (cells[f"params.{axis}"] == value).fillna(False).astype(bool)
    return found


def _keys(cells: pd.DataFrame, columns: Iterable[str]) -> "pd.Series[Any]":
    """The values of those columns as one that is the same where all of them are, missing ones included."""
    parts = [_column(cells, name).astype(object).map(repr, na_action=None) for name in columns]
    rows = zip(*parts, strict=True) if parts else [()] * len(cells)
    return pd.Series(list(rows), index=cells.index, dtype=object)


def _column(cells: pd.DataFrame, name: str) -> "pd.Series[Any]":
    return cells[name] if name in cells.columns else pd.Series(None, index=cells.index, dtype=object)


def _check_columns(frame: pd.DataFrame, columns: Sequence[str]) -> None:
    for name in columns:
        if name not in frame.columns:
            raise CogxError(f"no column {name!r} among these runs; {did_you_mean(name, map(str, frame.columns))}")

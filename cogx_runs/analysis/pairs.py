"""Pairs of cells that differ along one axis alone; each cell is counted once."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cogx_runs.analysis.cells import MODEL, follow_model, prompts_apart
from cogx_runs.analysis.strata import NEVER_MIXED, card_column, check_not_mixed, is_of_the_clip, with_cards
from cogx_runs.analysis.unbegun import NOT_BEGUN
from cogx_runs.definitions.role import Compared, names_where
from cogx_runs.definitions.spec import COST_FIELDS, FILE_FIELDS, PARAM_FIELDS, PIXEL_FIELDS, ROLES, SCORE_FIELDS
from cogx_runs.definitions.variables import TEMPLATE, TEMPLATE_PARAM, is_variable
from cogx_runs.errors import CogxError, did_you_mean
from cogx_runs.formatting import shortened
from cogx_runs.metrics.card import Dependence
from cogx_runs.metrics.measured import WALL_TIME
from cogx_runs.metrics.registry import depends_on, is_of_machine
from cogx_runs.system.load import BUSY
from cogx_runs.tracking.columns import PARAMS, metric_column, param_column, tag_column
from cogx_runs.tracking.run import RunState
from cogx_runs.tracking.tags import (
    BESIDE,
    COST_AXES,
    DEGENERATE,
    DEVICE_NAME,
    LATENTS_FROM,
    PROMPT,
    REUSED_FROM,
    SIGNATURE,
)

AXES = (
    MODEL,
    *(name for name in (*PIXEL_FIELDS, *FILE_FIELDS, *COST_FIELDS) if ROLES[name].compared is Compared.ALONG),
)
"""Parameters along which runs are compared."""
DEGENERATE_COLUMN = tag_column(DEGENERATE)
"""The column of a degenerate video's kind: `noise`, `flat`, `frozen` or `nan`; missing for all others."""
_NEVER_COMPARED = names_where(ROLES, lambda role: role.compared is Compared.NEVER)
_MACHINE = (tag_column(DEVICE_NAME), param_column("placement"))
_BESIDE = tag_column(BESIDE)
_COST_AXES = tag_column(COST_AXES)
_COPIED = (tag_column(REUSED_FROM), tag_column(LATENTS_FROM))
_ADDED = ("prompt", "seed", "machine", "setting", "context", "is_degenerate", "device")
_TEXT_TIME = metric_column("encode_text_s")


@dataclass(frozen=True, kw_only=True)
class PromptDifferences:
    """The differences of one prompt, a value for each seed, averaged over the other settings."""

    prompt: str
    by_seed: npt.NDArray[np.float64]
    mean: float
    """Mean over the prompt's pairs."""


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Differences of a metric between two values of an axis."""

    each: tuple[PromptDifferences, ...]
    """Each prompt's differences, in the prompts' order; empty where no pair is left."""
    baseline_mean: float
    """Mean over prompts at the baseline; NaN without pairs."""
    pairs: int
    seeds: int
    settings: int
    """Combinations of the other parameters, seed and prompt aside."""
    degenerate: int
    """Degenerate videos of the pairs at the value, which count like any other."""
    degenerate_baseline: int
    """Degenerate videos of the pairs at the baseline."""
    lost: tuple[tuple[str, int], ...]
    """Pairs that both values have runs for and that are not compared, by reason, the most frequent first."""
    across_devices: int
    """Pairs whose two videos come from different devices, which differ a little for that alone."""

    @property
    def by_prompt(self) -> npt.NDArray[np.float64]:
        """The mean difference of each prompt over its seeds and other settings."""
        return np.array([one.mean for one in self.each])

    @property
    def prompts(self) -> tuple[str, ...]:
        """The names of the prompts."""
        return tuple(one.prompt for one in self.each)


def finished_cells(frame: pd.DataFrame, metrics: Sequence[str], axes: Sequence[str] = ()) -> pd.DataFrame:
    """Selects the finished runs with a value for each of the metrics, each cell once: the run that generated it rather
    than a copy.

    `frame` is as `load_runs` returns it. Where a metric depends on the machine, a cell counts once a machine, and runs
    timed beside other work are left out of times. `wall_time_s` is without text encoding, which only the first
    run of a text pays for. Added are `prompt`, `seed`, `machine`, `setting` (all else that
    the metrics depend on, `axes` and seed aside), `context` (prompt, seed and setting, which a pair must share),
    `is_degenerate` and `device`. Along a variable of prompts only those of a template count, and `prompt` is the
    template with the other variables. Raises CogxError for a column that is not there.
    """
    return _counted_once(_keyed(frame, metrics, axes), metrics, axes)


def pair_cells(
    frame: pd.DataFrame,
    axis: str,
    values: Sequence[Any],
    baseline: Any,
    metric: str,
    *,
    among: pd.DataFrame | None = None,
) -> list[tuple[Any, Pairs]]:
    """Pairs cells that differ in `axis` alone and averages their differences of `metric` at each value less at
    `baseline`. A value without pairs, also without lost ones, is left out.

    Metrics of the machine are compared within one device and placement, those of most prompts. Pairs are lost where a
    run of `among` (by default `frame`) shows that they were to be there. Raises CogxError for an axis along which runs
    cannot be compared, and where pairs of several models, CLIPs, sizes or precisions would be averaged.
    """
    check_axis(axis, frame)
    along = with_followers(frame if among is None else among, (axis,))
    cells = finished_cells(_swept(frame, axis), (metric,), along)
    name = metric_column(metric)
    strata = [column for name in NEVER_MIXED if (column := param_column(name)) in cells.columns]
    cells = cells[list(dict.fromkeys([param_column(axis), *strata, card_column(metric), name, "plan", *_ADDED]))]
    base = cells.loc[_is(cells, axis, baseline), ["context", "machine", name, "is_degenerate", "device"]]
    base = base.rename(columns={name: "base", "is_degenerate": "base_is_degenerate", "device": "base_device"})
    planned = _planned(frame if among is None else among, cells, along, metric)
    found = []
    for value in values:
        pairs = cells[_is(cells, axis, value)].merge(base, on=["context", "machine"])
        check_not_mixed(pairs, (metric,), f"{metric} over {axis}", along)
        pairs = largest_machine(pairs)
        lost = _lost(planned, axis, value, baseline, set(pairs["plan"]))
        if len(pairs) or lost:
            found.append((value, _differences(pairs, name, lost)))
    return found


def values_of(frame: pd.DataFrame, axis: str) -> list[Any]:
    """Lists the values of an axis among finished runs, in order."""
    check_axis(axis, frame)
    _check_columns(frame, ["status", param_column(axis)])
    found = frame.loc[frame["status"] == RunState.FINISHED, param_column(axis)].dropna().unique().tolist()
    return sorted(found)


def with_followers(frame: pd.DataFrame, axes: Sequence[str]) -> tuple[str, ...]:
    """Adds to the axes what follows from the model, where that is among them: pairs may differ in it."""
    if MODEL not in axes:
        return tuple(axes)
    names = [name for name in PARAM_FIELDS if param_column(name) in frame.columns]
    runs = frame.loc[frame["status"] == RunState.FINISHED, [param_column(name) for name in names]].drop_duplicates()
    rows = runs.astype(object).where(runs.notna(), None).itertuples(index=False, name=None)
    return (*axes, *follow_model([dict(zip(names, row, strict=True)) for row in rows]))


def is_compared(axis: str) -> bool:
    """Checks whether runs are compared along a parameter, or a variable of prompts."""
    return axis in AXES or (is_variable(axis) and axis != TEMPLATE_PARAM)


def check_axis(axis: str, frame: pd.DataFrame) -> None:
    """Raises CogxError for an unknown axis, and for one whose values are never compared; `frame` has the variables of
    prompts."""
    variables = [name for column in frame.columns if is_variable(name := str(column).removeprefix(PARAMS))]
    if axis in AXES or (is_compared(axis) and axis in variables and TEMPLATE_PARAM in variables):
        return
    if axis == "seed":
        raise CogxError(
            "seed: is a random draw, so that none is better than another; `seed_spreads` measures how far they differ"
        )
    if axis in _NEVER_COMPARED or axis == TEMPLATE_PARAM:
        raise CogxError(f"{axis}: runs that differ in it are not compared; filter to one and compare along an axis")
    if axis in variables:
        raise CogxError(
            f"{axis}: prompts are compared within a template, and these have none; write their texts as one, or give "
            f"those that are alike but for it the same `{TEMPLATE}`, a variable too"
        )
    raise CogxError(f"no axis {shortened(axis)}; {did_you_mean(axis, [*AXES, *variables])}")


def _swept(frame: pd.DataFrame, axis: str) -> pd.DataFrame:
    """Selects the runs of sweeps over the axis, where it changes time and memory alone."""
    return frame[_is_swept(frame, axis)] if axis in COST_FIELDS else frame


def _is_swept(frame: pd.DataFrame, axis: str) -> "pd.Series[bool]":
    return _column(frame, _COST_AXES).fillna("").astype(str).str.split(", ").map(lambda names: axis in names)


def _swept_costs(cells: pd.DataFrame, axes: Sequence[str]) -> dict[str, "pd.Series[Any]"]:
    """Returns the value of each parameter that changes time and memory alone, missing where it is not swept."""
    return {
        f"{_COST_AXES}.{name}": _column(cells, param_column(name)).where(_is_swept(cells, name))
        for name in COST_FIELDS
        if name not in axes
    }


def largest_machine(cells: pd.DataFrame) -> pd.DataFrame:
    """Selects the cells of one device and placement: those with most prompts, then most cells."""
    if cells["machine"].nunique() < 2:
        return cells
    groups = sorted(cells.groupby("machine"), key=lambda item: (-item[1]["prompt"].nunique(), -len(item[1]), item[0]))
    return groups[0][1]


def _keyed(frame: pd.DataFrame, metrics: Sequence[str], axes: Sequence[str]) -> pd.DataFrame:
    """Selects the finished runs with a value for each of the metrics, and adds the columns of `finished_cells`."""
    columns = [metric_column(metric) for metric in metrics]
    _check_columns(frame, ["status", tag_column(SIGNATURE), param_column("prompt_name"), *columns])
    counted = [param_column(name) for name in PIXEL_FIELDS if name in PARAM_FIELDS and name != "seed"]
    extra = _also_matters(metrics, axes)
    counts = (frame["status"] == RunState.FINISHED) & frame[columns].notna().all(axis=1) & _is_along(frame, axes)
    kept = _kept(frame, columns, extra)
    cells = _without_text(with_cards(frame[counts], metrics), columns)
    cells = cells[list(dict.fromkeys([*kept, *map(card_column, metrics)]))]
    costs = _swept_costs(cells, axes)
    cells = cells.assign(**costs)
    of_machine = any(is_of_machine(metric) for metric in metrics)
    machine = [name for name in _MACHINE if name.removeprefix(PARAMS) not in axes] if of_machine else []
    setting = _keys(cells, [name for name in [*counted, *costs, *extra] if name.removeprefix(PARAMS) not in axes])
    seed = _keys(cells, () if "seed" in axes else (param_column("seed"),))
    text = _keys(cells, _text_columns(cells, axes))
    return cells.assign(
        prompt=_prompts(cells, axes),
        seed=seed,
        machine=_keys(cells, machine),
        setting=setting,
        context=pd.Series(list(zip(text, seed, setting, strict=True)), index=cells.index, dtype=object),
        plan=_plans(cells, metrics, axes),
        is_degenerate=_column(cells, DEGENERATE_COLUMN).notna(),
        device=_column(cells, _MACHINE[0]),
    )


def _kept(frame: pd.DataFrame, columns: Sequence[str], extra: Sequence[str]) -> list[str]:
    """Lists the columns that pairing needs."""
    needed = {
        tag_column(PROMPT),
        tag_column(SIGNATURE),
        *_COPIED,
        _BESIDE,
        _COST_AXES,
        DEGENERATE_COLUMN,
        *_MACHINE,
        *extra,
    }
    wanted = {*needed, *columns}
    return [name for name in frame.columns if name in wanted or name.startswith(PARAMS) or "." not in name]


def _without_text(cells: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Takes text encoding out of wall times: the run that a text was encoded for paid for all that use it."""
    name = metric_column(WALL_TIME.name)
    if name not in columns or _TEXT_TIME not in cells.columns:
        return cells
    return cells.assign(**{name: cells[name] - cells[_TEXT_TIME].fillna(0.0)})


def _plans(cells: pd.DataFrame, metrics: Sequence[str], axes: Sequence[str]) -> "pd.Series[Any]":
    """Identifies what was to be measured: the context, whatever a metric's definition and its CLIP."""
    names = [name for name in PIXEL_FIELDS if name in PARAM_FIELDS and name not in axes]
    if any(Dependence.FILE in depends_on(metric) for metric in metrics):
        names += [name for name in FILE_FIELDS if name not in axes]
    costs = _swept_costs(cells, axes)
    return _keys(cells.assign(**costs), [*map(param_column, names), *costs, *_text_columns(cells, axes)])


def _is_along(frame: pd.DataFrame, axes: Sequence[str]) -> "pd.Series[bool]":
    """Tests whether each run can have a pair along the axes: along a variable, whether its prompt has a template."""
    if not any(map(is_variable, axes)):
        return pd.Series(True, index=frame.index)
    return _column(frame, param_column(TEMPLATE_PARAM)).notna()


def _text_columns(cells: pd.DataFrame, axes: Sequence[str]) -> list[str]:
    """Lists the columns that make a prompt: its name and text or, along a variable, all other variables."""
    if not any(map(is_variable, axes)):
        return [param_column("prompt_name"), tag_column(PROMPT)]
    names = sorted(str(column).removeprefix(PARAMS) for column in cells.columns)
    return [param_column(name) for name in names if is_variable(name) and name not in axes]


def _prompts(cells: pd.DataFrame, axes: Sequence[str]) -> "pd.Series[Any]":
    """Names the prompt of each cell or, along a variable, what its prompts share."""
    if not any(map(is_variable, axes)):
        return cells[param_column("prompt_name")].astype(str)
    found = cells[_text_columns(cells, axes)].astype(object)
    names = [column.removeprefix(PARAMS) for column in found.columns]
    rows = found.where(found.notna(), None).itertuples(index=False, name=None)
    variables = [dict(zip(names, row, strict=True)) for row in rows]
    return pd.Series(prompts_apart(variables, axes), index=cells.index, dtype=object)


def _planned(runs: pd.DataFrame, cells: pd.DataFrame, axes: Sequence[str], metric: str) -> pd.DataFrame:
    """Collects the runs, whatever became of them, that are of the same stratum as `cells` but for the metric's
    definition and its CLIP, each with its `plan`."""
    alike = [
        column
        for name in NEVER_MIXED
        if name not in {*axes, *SCORE_FIELDS} and (column := param_column(name)) in cells.columns
    ]
    known = set(_keys(cells, alike))
    column = metric_column(metric)
    runs = runs[[key in known for key in _keys(runs, alike)]]
    runs = runs[_is_along(runs, axes)]
    runs = with_cards(runs, (metric,))
    is_timed = Dependence.TIME in depends_on(metric)
    clips = _keys(runs, [param_column(name) for name in SCORE_FIELDS] if is_of_the_clip(metric) else ())
    return pd.DataFrame({
        param_column(axes[0]): runs[param_column(axes[0])],
        "plan": _plans(runs, (metric,), axes),
        "failed": runs["status"] == RunState.FAILED,
        "finished": runs["status"] == RunState.FINISHED,
        "begun": runs["status"] != NOT_BEGUN,
        "measured": _column(runs, column).notna(),
        "alone": _column(runs, _BESIDE).isna() if is_timed else True,
        "beside": _column(runs, _BESIDE),
        "definition": _column(runs, card_column(metric)).astype(str),
        "clip": clips,
    })  # fmt: skip


def _lost(planned: pd.DataFrame, axis: str, value: Any, baseline: Any, paired: set[Any]) -> tuple[tuple[str, int], ...]:
    """Counts the pairs of which both cells have runs and that are not among those compared, by reason."""
    sides = [planned[_is(planned, axis, side) & ~planned["plan"].isin(paired)] for side in (value, baseline)]
    both = set(sides[0]["plan"]) & set(sides[1]["plan"])
    groups = [dict(list(side[side["plan"].isin(both)].groupby("plan", sort=False))) for side in sides]
    reasons = Counter(_reason(*(group[plan] for group in groups)) for plan in groups[0])
    return tuple(reasons.most_common())


def _reason(there: pd.DataFrame, here: pd.DataFrame) -> str:
    """States why the runs of two cells make no pair."""
    finished = [side[side["finished"]] for side in (there, here)]
    for runs, side in zip(finished, (there, here), strict=True):
        if runs.empty:
            return "failed" if side["failed"].any() else "not finished" if side["begun"].any() else "not begun"
    if not all(runs["measured"].any() for runs in finished):
        return "not measured"
    measured = [runs[runs["measured"]] for runs in finished]
    if not all(runs["alone"].any() for runs in measured):
        notes = [str(note) for runs in measured for note in runs["beside"].dropna()]
        return "timed on a busy machine" if all(note.startswith(BUSY) for note in notes) else "timed beside other work"
    for column, reason in (("definition", "another definition"), ("clip", "another CLIP")):
        if set(measured[0][column]).isdisjoint(measured[1][column]):
            return reason
    return "another device or placement"


def _counted_once(keyed: pd.DataFrame, metrics: Sequence[str], axes: Sequence[str]) -> pd.DataFrame:
    """Leaves one run for each cell, and for times only those timed alone."""
    cells = keyed
    if any(Dependence.TIME in depends_on(metric) for metric in metrics):
        cells = cells[_column(cells, _BESIDE).isna()]
    identity = _keys(cells, (tag_column(SIGNATURE), *_also_matters(metrics, axes)))
    cells = cells.assign(
        identity=pd.Series(list(zip(identity, cells["machine"], strict=True)), index=cells.index, dtype=object),
        copied=_column(cells, _COPIED[0]).notna() | _column(cells, _COPIED[1]).notna(),
    )
    order = ["copied", *(name for name in ("start_time", "run_id") if name in cells.columns)]
    return cells.sort_values(order, kind="stable").drop_duplicates("identity").drop(columns=["identity", "copied"])


def _differences(pairs: pd.DataFrame, name: str, lost: tuple[tuple[str, int], ...]) -> Pairs:
    after, before = (pairs[column].to_numpy(dtype=float) for column in (name, "base"))
    means = pd.DataFrame({
        "prompt": pairs["prompt"], "seed": pairs["seed"], "difference": after - before, "base": before,
    })  # fmt: skip
    groups = [(str(prompt), group) for prompt, group in means.groupby("prompt", sort=True)]
    different = pairs["device"].fillna("") != pairs["base_device"].fillna("")
    return Pairs(
        each=tuple(
            PromptDifferences(
                prompt=prompt,
                by_seed=group.groupby("seed", sort=True)["difference"].mean().to_numpy(dtype=float),
                mean=float(group["difference"].mean()),
            )
            for prompt, group in groups
        ),
        baseline_mean=float(np.mean([group["base"].mean() for _, group in groups])) if groups else float("nan"),
        pairs=len(pairs),
        seeds=pairs["seed"].nunique(),
        settings=pairs["setting"].nunique(),
        degenerate=int(pairs["is_degenerate"].sum()),
        degenerate_baseline=int(pairs["base_is_degenerate"].sum()),
        lost=lost,
        across_devices=int(different.sum()),
    )


def _also_matters(metrics: Sequence[str], axes: Sequence[str]) -> list[str]:
    """Lists the columns that metrics depend on besides pixels and machine, and the axes that change no pixel."""
    found = [param_column(axis) for axis in axes if axis not in PIXEL_FIELDS]
    if any(Dependence.FILE in depends_on(metric) for metric in metrics):
        found += [param_column(name) for name in FILE_FIELDS]
    if any(map(is_of_the_clip, metrics)):
        found += [param_column(name) for name in SCORE_FIELDS]
    return list(dict.fromkeys([*found, *map(card_column, metrics)]))


def _is(cells: pd.DataFrame, axis: str, value: Any) -> "pd.Series[bool]":
    found: pd.Series[bool] = (cells[param_column(axis)] == value).fillna(False).astype(bool)
    return found


def _keys(cells: pd.DataFrame, columns: Sequence[str]) -> "pd.Series[Any]":
    """Joins the values of columns into one key a row, missing values included."""
    rows = zip(*(_written(_column(cells, name)) for name in columns), strict=True) if columns else [()] * len(cells)
    return pd.Series(list(rows), index=cells.index, dtype=object)


def _written(values: "pd.Series[Any]") -> list[str]:
    codes, found = pd.factorize(values, use_na_sentinel=True)
    names = [*map(repr, found.tolist()), "missing"]
    return [names[code] for code in codes]


def _column(cells: pd.DataFrame, name: str) -> "pd.Series[Any]":
    return cells[name] if name in cells.columns else pd.Series(None, index=cells.index, dtype=object)


def _check_columns(frame: pd.DataFrame, columns: Sequence[str]) -> None:
    for name in columns:
        if name not in frame.columns:
            raise CogxError(
                f"no column {shortened(name)} among these runs; {did_you_mean(name, map(str, frame.columns))}"
            )

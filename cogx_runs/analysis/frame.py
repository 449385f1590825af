"""Tracked runs as a DataFrame."""

import operator
import re
from collections.abc import Callable, Sequence
from typing import Any, get_type_hints

import pandas as pd

from cogx_runs.definitions.role import names_where
from cogx_runs.definitions.spec import PARAM_FIELDS, ROLES, RunSpec, short_name
from cogx_runs.definitions.variables import variable_name, variable_param
from cogx_runs.errors import CogxError, did_you_mean
from cogx_runs.formatting import shortened
from cogx_runs.metrics.registry import cards
from cogx_runs.tracking.columns import (
    METRICS,
    PARAMS,
    RUN_COLUMNS,
    START_TIME,
    STATUS,
    TAGS,
    VIDEO_FILE,
    axis_column,
    metric_column,
    param_column,
    tag_column,
)
from cogx_runs.tracking.experiments import experiments_of
from cogx_runs.tracking.reader import RunReader
from cogx_runs.tracking.run import RunState
from cogx_runs.tracking.tags import PREFIX
from cogx_runs.tracking.uri import require_store

_PANDAS_TYPES: dict[Any, str] = {int: "Int64", float: "Float64", bool: "boolean"}
LOGGED = frozenset(PARAM_FIELDS)
"""Parameters whose columns are there even where no run has a value, as those of all metrics with a card are."""
_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "!=": operator.ne,
    "=": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
}
_TRUTHS = {"true": True, "false": False, "on": True, "off": False, "yes": True, "no": False}
_CONDITION = re.compile(r"\s*([\w.]+)\s*(<=|>=|!=|=|<|>)\s*(.*?)\s*")


def load_runs(
    sweep: str | None = None,
    *,
    where: Sequence[str] = (),
    sort: str | None = None,
    tracking_uri: str | None = None,
) -> pd.DataFrame:
    """Loads tracked runs, one row a run, newest first: `run_id`, `run_name`, `experiment`, `status`, `start_time`,
    `video` (its file, where this machine has it), `params.*`, `metrics.*`, `tags.*`, each column in its own type.

    `sweep` is an experiment's name or a sweep file, None for all; `where` are conditions such as `clip_score>25` or
    `status=FINISHED`, all of which must hold; `sort` is a column, with a `-` in front for descending. Columns may be
    named without their prefix. Raises CogxError for a sweep or column that is not there.
    """
    require_store(tracking_uri)
    store = RunReader(tracking_uri)
    names = None if sweep is None else experiments_of(sweep, store)
    frame = _typed(pd.DataFrame.from_records(store.rows(names)))
    for condition in where:
        frame = frame[_holds(frame, condition)]
    if sort is not None:
        column = _column(frame, sort.removeprefix("-"))
        frame = frame.sort_values(column, ascending=not sort.startswith("-"), kind="stable")
    return frame.reset_index(drop=True)


def find_columns(frame: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """Finds columns by name, with or without prefix, also by a parameter's short name. Raises CogxError for one that is
    not there."""
    return [_column(frame, name) for name in names]


def columns_named(frame: pd.DataFrame, where: Sequence[str], sort: str | None) -> list[str]:
    """Returns the columns that are named in conditions and an order such as those of `load_runs`."""
    names = [match[1] for condition in where if (match := _CONDITION.fullmatch(condition))]
    return [_column(frame, name) for name in (*names, *([] if sort is None else [sort.removeprefix("-")]))]


def distinguishing_parameters(frame: pd.DataFrame) -> list[str]:
    """Lists the parameters that distinguish these runs, the prompt aside, in RunSpec's order.

    These are the parameters that were swept, and those with several values here. One with a single value for each model
    is left to the model.
    """
    found = []
    for name in names_where(ROLES, lambda role: role.is_distinguishing):
        column, swept = param_column(name), axis_column(name)
        if column not in frame.columns:
            continue
        is_swept = swept in frame.columns and frame[swept].notna().any()
        several = frame[column].nunique() > 1
        if name != "model" and "model" in found:
            several = bool((frame.groupby(param_column("model"))[column].nunique() > 1).any())
        if is_swept or several:
            found.append(name)
    return found


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    """Converts the columns of numbers and times to their types."""
    hints = get_type_hints(RunSpec)
    known = [*(metric_column(name) for name in cards()), *(param_column(name) for name in sorted(LOGGED))]
    frame = frame.reindex(columns=list(dict.fromkeys([*RUN_COLUMNS, *frame.columns, *known])))
    types: dict[str, Any] = {VIDEO_FILE: "string"}
    for column in frame.columns:
        if column.startswith(METRICS):
            types[column] = "Float64"
        elif column.startswith(PARAMS):
            types[column] = _PANDAS_TYPES.get(hints.get(column.removeprefix(PARAMS)), "string")
        elif column.startswith(TAGS):
            types[column] = "string"
    for column, kind in types.items():
        if kind == "boolean":
            frame[column] = frame[column].map({str(True): True, str(False): False})
    frame[START_TIME] = pd.to_datetime(frame[START_TIME], unit="ms", utc=True)
    return frame.astype(types)


def typed_like(frame: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Converts rows of texts as a store has them to the columns and types of `frame`."""
    return _typed(rows).reindex(columns=frame.columns).astype(frame.dtypes.to_dict())


def _holds(frame: pd.DataFrame, condition: str) -> "pd.Series[bool]":
    """Tests each row for a condition such as `clip_score>25`; it does not hold for a missing value."""
    match = _CONDITION.fullmatch(condition)
    if match is None:
        raise CogxError(f"--where {shortened(condition)}: write it as COLUMN>VALUE, with one of {' '.join(_OPERATORS)}")
    name, sign, text = match.groups()
    series = frame[_column(frame, name)]
    value: Any = text
    if pd.api.types.is_bool_dtype(series):
        value = _TRUTHS.get(text.lower())
        if value is None:
            raise CogxError(f"--where {shortened(condition)}: {name} is on or off; write one of {', '.join(_TRUTHS)}")
    elif series.name == STATUS:
        value = text.upper()
        if value not in list(RunState):
            near = did_you_mean(value, map(str, RunState))
            raise CogxError(f"--where {shortened(condition)}: no status {shortened(text)}; {near}")
    elif pd.api.types.is_numeric_dtype(series):
        try:
            value = float(text)
        except ValueError as error:
            raise CogxError(f"--where {shortened(condition)}: {name} is a number, {shortened(text)} is not") from error
    holds: pd.Series[bool] = _OPERATORS[sign](series, value).fillna(False).astype(bool)
    return holds


def _column(frame: pd.DataFrame, name: str) -> str:
    """Finds the column of that name, with or without its prefix."""
    short_of = {short_name(parameter): parameter for parameter in PARAM_FIELDS}
    parameter, variable = param_column(short_of.get(name, name)), param_column(variable_param(name))
    tags = tag_column(name), tag_column(f"{PREFIX}{name}")
    for candidate in (name, metric_column(name), parameter, variable, *tags):
        if candidate in frame.columns:
            return candidate
    short = [variable_name(column.removeprefix(METRICS).removeprefix(PARAMS)) for column in frame.columns]
    raise CogxError(f"no column {shortened(name)} among these runs; {did_you_mean(name, short)}")

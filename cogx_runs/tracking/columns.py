"""The columns of `load_runs`, each spelled once: `params.*`, `metrics.*`, `tags.*`, and those of the run itself."""

from cogx_runs.tracking.tags import CELL_KIND, KIND

RUN_ID, RUN_NAME, EXPERIMENT, STATUS, START_TIME = "run_id", "run_name", "experiment", "status", "start_time"
VIDEO_FILE = "video"
RUN_COLUMNS = (RUN_ID, RUN_NAME, EXPERIMENT, STATUS, START_TIME, VIDEO_FILE)
"""Columns of the run itself, in order."""
PARAMS, METRICS, TAGS = "params.", "metrics.", "tags."
"""Prefixes."""
AXIS = "axis."
"""Prefix of the metric that repeats a swept number."""


def param_column(name: str) -> str:
    """Names the column of a parameter."""
    return f"{PARAMS}{name}"


def metric_column(name: str) -> str:
    """Names the column of a metric."""
    return f"{METRICS}{name}"


def axis_metric(name: str) -> str:
    """Names the metric that repeats a swept number, by which MLflow's UI can sort."""
    return f"{AXIS}{name}"


def axis_column(name: str) -> str:
    """Names the column of the metric that repeats a swept number."""
    return metric_column(axis_metric(name))


def tag_column(key: str) -> str:
    """Names the column of a tag."""
    return f"{TAGS}{key}"


def quoted(column: str) -> str:
    """Writes a column as MLflow's filters and views do: ``params.`model` ``."""
    table, _, name = column.partition(".")
    return f"{table}.`{name}`"


def tag_filter(key: str, value: str) -> str:
    """Writes MLflow's filter for the runs that have a tag of this value, which holds no quotation mark."""
    return f"{quoted(tag_column(key))} = '{value}'"


CELLS = tag_filter(KIND, CELL_KIND)
"""MLflow's filter for the runs of cells, which leaves out reports, overviews and comparisons."""

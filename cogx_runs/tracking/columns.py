"""The columns of `load_runs`, each spelled once: `params.*`, `metrics.*`, `tags.*`, and those of the run itself."""

RUN_ID, RUN_NAME, EXPERIMENT, STATUS, START_TIME = "run_id", "run_name", "experiment", "status", "start_time"
PARAMS, METRICS, TAGS = "params.", "metrics.", "tags."
"""Prefixes."""
AXIS = "axis."
"""Prefix of the metric that repeats a swept number."""


def param(name: str) -> str:
    """The column of a parameter."""
    return f"{PARAMS}{name}"


def metric(name: str) -> str:
    """The column of a metric."""
    return f"{METRICS}{name}"


def axis(name: str) -> str:
    """The column of the metric that repeats a swept number."""
    return f"{METRICS}{AXIS}{name}"


def tag(key: str) -> str:
    """The column of a tag."""
    return f"{TAGS}{key}"

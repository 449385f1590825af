"""Experiments by the name or file of a sweep."""

from pathlib import Path
from typing import TYPE_CHECKING

from cogx_runs.definitions.sweep import load_sweeps
from cogx_runs.errors import CogxError, InputError
from cogx_runs.formatting import cut
from cogx_runs.system.files import fault_of_path

if TYPE_CHECKING:
    from cogx_runs.tracking.reader import RunReader


def experiments_of(name: str, store: "RunReader") -> list[str]:
    """Resolves a SWEEP to the experiments of the store: an experiment's name, or a sweep file.

    Raises CogxError with the nearest name where it is neither.
    """
    if fault := fault_of_path(name):
        raise CogxError(f"{cut(name)}: {fault}; name an experiment or a sweep file")
    known = store.experiment_names()
    if name in known:
        return [name]
    try:
        named = [found.name for found in load_sweeps([name])]
    except InputError:
        if Path(name).suffix == ".yaml":
            raise
        store.experiment_id(name)
        raise
    present = [experiment for experiment in named if experiment in known]
    if not present:
        raise CogxError(f"{name}: {', '.join(named)} has not been run yet; run `cogx-runs sweep {name}`")
    return present


def was_deleted(name: str, experiment_id: str) -> str:
    """Says that an experiment was deleted, and what to do."""
    return (
        f"experiment {name!r} was deleted in MLflow; restore it (`mlflow experiments restore -x {experiment_id}`) or "
        "give the sweep another name"
    )

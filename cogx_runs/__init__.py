"""Ablation sweeps over CogVideoX as tracked, resumable MLflow experiments.

Each command is a thin face of one of these functions; each is imported when it is first used. Their names are not
those of the package's modules, which Python would put in their place.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cogx_runs.analysis.frame import load_runs
    from cogx_runs.doctor import examine
    from cogx_runs.errors import CogxError, InputError
    from cogx_runs.export import export_runs
    from cogx_runs.promotion import promote
    from cogx_runs.report.folder import write_report
    from cogx_runs.rescore import rescore_runs
    from cogx_runs.shipped import init
    from cogx_runs.study import best_trials, dashboard, generate, plan_sweeps, run_sweeps

_HOMES = {
    "CogxError": "errors",
    "InputError": "errors",
    "best_trials": "study",
    "dashboard": "study",
    "examine": "doctor",
    "export_runs": "export",
    "generate": "study",
    "init": "shipped",
    "load_runs": "analysis.frame",
    "plan_sweeps": "study",
    "promote": "promotion",
    "rescore_runs": "rescore",
    "run_sweeps": "study",
    "write_report": "report.folder",
}
__all__ = [
    "CogxError",
    "InputError",
    "best_trials",
    "dashboard",
    "examine",
    "export_runs",
    "generate",
    "init",
    "load_runs",
    "plan_sweeps",
    "promote",
    "rescore_runs",
    "run_sweeps",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)

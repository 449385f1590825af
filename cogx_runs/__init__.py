"""Ablation sweeps over CogVideoX as tracked, resumable MLflow experiments.

Each command is a thin face of one of these functions; each is imported when it is first used. Their names are not
those of the package's modules, which Python would put in their place.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cogx_runs.analysis.chosen import without_chosen
    from cogx_runs.analysis.correlations import rank_correlations
    from cogx_runs.analysis.effects import Margin, effects, effects_frame, rank_parameters
    from cogx_runs.analysis.frame import load_runs
    from cogx_runs.analysis.interactions import interactions
    from cogx_runs.analysis.seeds import seed_spreads
    from cogx_runs.analysis.timing import fit_time
    from cogx_runs.doctor import examine
    from cogx_runs.errors import CogxError, InputError
    from cogx_runs.export import export_runs
    from cogx_runs.promotion import promote
    from cogx_runs.report.folder import write_report
    from cogx_runs.rescore.rescoring import rescore_runs
    from cogx_runs.shipped import init
    from cogx_runs.study import best_trials, dashboard, generate, plan_sweeps, run_sweeps
    from cogx_runs.threshold import find_threshold

_HOMES = {
    "CogxError": "errors",
    "InputError": "errors",
    "Margin": "analysis.effects",
    "best_trials": "study",
    "dashboard": "study",
    "effects": "analysis.effects",
    "effects_frame": "analysis.effects",
    "examine": "doctor",
    "export_runs": "export",
    "find_threshold": "threshold",
    "fit_time": "analysis.timing",
    "generate": "study",
    "init": "shipped",
    "interactions": "analysis.interactions",
    "load_runs": "analysis.frame",
    "plan_sweeps": "study",
    "promote": "promotion",
    "rank_correlations": "analysis.correlations",
    "rank_parameters": "analysis.effects",
    "rescore_runs": "rescore.rescoring",
    "run_sweeps": "study",
    "seed_spreads": "analysis.seeds",
    "without_chosen": "analysis.chosen",
    "write_report": "report.folder",
}
__all__ = [
    "CogxError",
    "InputError",
    "Margin",
    "best_trials",
    "dashboard",
    "effects",
    "effects_frame",
    "examine",
    "export_runs",
    "find_threshold",
    "fit_time",
    "generate",
    "init",
    "interactions",
    "load_runs",
    "plan_sweeps",
    "promote",
    "rank_correlations",
    "rank_parameters",
    "rescore_runs",
    "run_sweeps",
    "seed_spreads",
    "without_chosen",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)

"""Ablation sweeps over CogVideoX as tracked, resumable MLflow experiments.

What each command does, a notebook does with the function of the same name; each is imported when first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cogx_runs.analysis.frame import load_runs
    from cogx_runs.doctor import doctor
    from cogx_runs.errors import CogxError, InputError
    from cogx_runs.export import export
    from cogx_runs.rescore import rescore
    from cogx_runs.shipped import init
    from cogx_runs.study import dashboard, generate, plan, sweep

_HOMES = {
    "CogxError": "errors",
    "InputError": "errors",
    "dashboard": "study",
    "doctor": "doctor",
    "export": "export",
    "generate": "study",
    "init": "shipped",
    "load_runs": "analysis.frame",
    "plan": "study",
    "rescore": "rescore",
    "sweep": "study",
}
__all__ = [
    "CogxError",
    "InputError",
    "dashboard",
    "doctor",
    "export",
    "generate",
    "init",
    "load_runs",
    "plan",
    "rescore",
    "sweep",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)

"""Searches over three prompts."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from cogx_runs.definitions.prompts import PromptLibrary
from cogx_runs.definitions.sweep import load_sweeps
from cogx_runs.planning.plan import Conditions
from cogx_runs.planning.planner import Planner
from cogx_runs.search.optuna.search import Search
from tests.support.searches import AXES


@pytest.fixture
def library(tmp_path: Path) -> PromptLibrary:
    for name, text in (("panda", "A panda."), ("cat", "A cat."), ("dog", "A dog.")):
        (tmp_path / f"{name}.txt").write_text(text, encoding="utf-8")
    return PromptLibrary(tmp_path)


@pytest.fixture
def make(library: PromptLibrary, tmp_path: Path) -> Callable[..., Search]:
    """A search of these settings on a CPU."""

    def make(axes: Mapping[str, Any] = AXES, base: Mapping[str, Any] = {}, **settings: Any) -> Search:
        content = {
            "name": "exp",
            "prompts": settings.pop("prompts", ["panda", "cat"]),
            "base": dict(base),
            "axes": dict(axes),
            "vary": "optuna",
            "optuna": {"trials": 6, "objectives": ["clip_score"], "startup_trials": 3} | settings,
        }
        (tmp_path / "search.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        (sweep,) = load_sweeps([tmp_path / "search.yaml"])
        return Search(sweep, Planner(Conditions(library, "cpu")))

    return make

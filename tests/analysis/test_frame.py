"""Conditions on runs find what is meant."""

from pathlib import Path

import pytest

from cogx_runs.analysis.frame import load_runs
from cogx_runs.errors import CogxError
from cogx_runs.tracking.store import RunStore
from tests.support.runs import SMALL, make_run

FOUND = {
    "vae_tiling=on": [42],
    "vae_tiling=off": [1],
    "vae_tiling=True": [42],
    "vae_tiling!=YES": [1],
    "status=finished": [42],
    "status!=Finished": [1],
    "status=FAILED": [1],
}
REFUSED = {
    "vae_tiling=1": "vae_tiling is on or off; write one of true, false, on, off, yes, no",
    "status=finish": "no status 'finish'; did you mean 'FINISHED'?",
    "seed=x": "seed is a number, 'x' is not",
}


def refusal(condition: str) -> str:
    with pytest.raises(CogxError) as caught:
        load_runs("exp", where=[condition])
    return str(caught.value).removeprefix(f"--where {condition!r}: ")


def test_a_condition_finds_what_is_meant_and_is_refused_where_it_can_hold_for_no_run(project: Path) -> None:
    store = RunStore()
    make_run(store, SMALL)
    make_run(store, SMALL.replace(vae_tiling=False, seed=1), error="ValueError: no")

    seeds = {condition: load_runs("exp", where=[condition])["params.seed"].to_list() for condition in FOUND}

    assert seeds == FOUND
    assert {condition: refusal(condition) for condition in REFUSED} == REFUSED

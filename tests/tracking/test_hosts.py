"""One cell and two hosts, which see each other's claims in the store alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from cogx_runs.tracking.claims import Claim, Claims
from cogx_runs.tracking.delivery import Delivery
from cogx_runs.tracking.run import RunState
from cogx_runs.tracking.signs import now_ms
from cogx_runs.tracking.spool import spooled_run
from cogx_runs.tracking.store import RunStore
from tests.support.tracked import SPEC, SWEEP

HOUR_MS = 3_600_000


class Meanwhile(RunStore):
    """Has something happen before or after its first call of a method."""

    def __init__(self, method: str, act: Callable[[], object], *, before: bool) -> None:
        super().__init__()
        work = getattr(self, method)

        def acting(*arguments: Any, **options: Any) -> Any:
            setattr(self, method, work)
            if before:
                act()
            result = work(*arguments, **options)
            if not before:
                act()
            return result

        setattr(self, method, acting)


@pytest.fixture
def elsewhere(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Calls a function as a process of another host, which has other locks."""

    def call(work: Callable[[], Any]) -> Any:
        with monkeypatch.context() as patch:
            patch.setenv("XDG_CACHE_HOME", str(tmp_path / "another host"))
            return work()

    return call


def end(store: RunStore, holder: Claims, claim: Claim) -> str:
    """Delivers the run of a claim with its video. Returns the id of the run that has the cell."""
    run = spooled_run(holder.holder, claim.cell_id)
    (run.files / "video.mp4").write_bytes(b"video")
    return Delivery(store).end(run, {"seed": 1}, {"clip_score": 30.0}, {})


@pytest.mark.parametrize("clock_off_ms", [-HOUR_MS, HOUR_MS])
@pytest.mark.parametrize("before", [True, False])
def test_of_two_claims_of_a_cell_at_one_moment_one_gets_it_whatever_the_clocks_say(
    elsewhere: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, before: bool, clock_off_ms: int
) -> None:
    experiment = RunStore().open_experiment(SWEEP)
    there: list[Claim | None] = []
    claims_there = elsewhere(lambda: Claims(RunStore()))
    monkeypatch.setattr("cogx_runs.tracking.claims.SETTLE_S", 0.0)

    def claim_there() -> None:
        with monkeypatch.context() as patch:
            patch.setattr("cogx_runs.tracking.claims.now_ms", lambda: now_ms() + clock_off_ms)
            there.append(elsewhere(lambda: claims_there.claim(experiment, SPEC, {})))

    elsewhere(claims_there.__enter__)
    with Claims(Meanwhile("create_run", claim_there, before=before)) as claims:
        here = claims.claim(experiment, SPEC, {})

        assert [here is None, *(claim is None for claim in there)] == [before, not before]
        assert [run.run_id for run in RunStore().runs()] == [claim.run_id for claim in (here, *there) if claim], (
            "what was withdrawn is in no list"
        )
    elsewhere(lambda: claims_there.__exit__(None, None, None))


def test_an_experiment_that_another_host_creates_at_the_same_moment_is_opened(elsewhere: Callable[..., Any]) -> None:
    there: list[str] = []
    store = Meanwhile(
        "_create_experiment", lambda: there.append(elsewhere(lambda: RunStore().open_experiment(SWEEP))), before=True
    )

    assert [store.open_experiment(SWEEP)] == there


@pytest.mark.parametrize("before", [True, False])
def test_an_experiment_has_one_overview_also_where_two_hosts_make_it_at_one_moment(
    elsewhere: Callable[..., Any], tmp_path: Path, before: bool
) -> None:
    experiment = RunStore().open_experiment(SWEEP)
    (tmp_path / "kept").mkdir()

    def keep(store: RunStore) -> str:
        return store.keep_overview(experiment, "overview", tmp_path / "kept", {})

    keep(Meanwhile("create_run", lambda: elsewhere(lambda: keep(RunStore())), before=before))

    assert len(MlflowClient(RunStore().uri).search_runs([experiment])) == 1


def test_a_late_holder_that_ends_at_the_moment_at_which_it_is_taken_over_leaves_one_finished_run(
    elsewhere: Callable[..., Any],
) -> None:
    experiment = RunStore().open_experiment(SWEEP)
    taken: list[str] = []

    def take_over() -> None:
        store = RunStore()
        with Claims(store, take_over=True) as claims:
            claim = claims.claim(experiment, SPEC, {})
            assert claim is not None
            taken.append(end(store, claims, claim))

    late = Meanwhile("finish", lambda: elsewhere(take_over), before=True)
    with Claims(late) as claims:
        claim = claims.claim(experiment, SPEC, {})
        assert claim is not None
        assert [end(late, claims, claim)] == taken

    assert [(run.run_id, run.state) for run in RunStore().runs()] == [(taken[0], RunState.FINISHED)]
    RunStore().withdraw(claim.run_id)  # as another host that looked at the same moment


def test_a_report_whose_run_another_host_withdraws_is_kept_in_the_run_of_that_host(
    project: Path, elsewhere: Callable[..., Any]
) -> None:
    page = project / "report.html"
    page.write_text("page", encoding="utf-8")
    first: list[str] = []

    def withdraw() -> None:
        other = RunStore()
        (run,) = MlflowClient(other.uri).search_runs([experiment_id])
        other.withdraw(run.info.run_id)
        first.append(other.keep_report(experiment_id, page))

    store = Meanwhile("_upload", lambda: elsewhere(withdraw), before=True)
    experiment_id = store.open_experiment(SWEEP)

    assert store.keep_report(experiment_id, page) == first[0]

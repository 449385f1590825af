"""Signs of life of runs, by which another host judges whether somebody is still at them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cogx_runs.tracking import tags
from cogx_runs.tracking.claims import Claims
from cogx_runs.tracking.heartbeat import Heartbeat
from cogx_runs.tracking.run import RunState, TrackedRun
from cogx_runs.tracking.signs import Life, Signs, where_made
from cogx_runs.tracking.store import RunStore
from tests.support.claims import claim
from tests.support.tracked import SPEC, SWEEP, finish

HOUR_MS = 3_600_000
NOW_MS = 1_800_000_000_000


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def signs(clock: Clock) -> Signs:
    return Signs(clock)


def run_elsewhere(seen_ms: int | None = NOW_MS, step: float = 0.0) -> TrackedRun:
    """An open run of another host; None for one of an earlier version, which began 10 s ago."""
    about = {tags.PROCESS_HOST: "gpu7 0123", tags.PROCESS_LOCK: "x"}
    if seen_ms is not None:
        about[tags.PROCESS_SEEN] = str(seen_ms)
    return TrackedRun(
        run_id="r", name="seed=1", experiment="exp", state=RunState.RUNNING, start_time_ms=NOW_MS - 10_000,
        tags=about, metrics={"current_step": step},
    )  # fmt: skip


def test_a_run_without_a_newer_sign_for_five_minutes_is_left_behind(signs: Signs, clock: Clock) -> None:
    found = []
    for clock.seconds in (0, 100, 200, 299, 300):
        found.append(signs.of(run_elsewhere()))

    assert found == [Life.UNKNOWN] * 4 + [Life.GONE]


@pytest.mark.parametrize("newer", [run_elsewhere(NOW_MS + 60_000), run_elsewhere(step=3.0)])
def test_a_newer_sign_or_step_is_one_of_life_and_the_watch_begins_anew(
    signs: Signs, clock: Clock, newer: TrackedRun
) -> None:
    signs.of(run_elsewhere())
    clock.seconds = 170
    assert signs.of(newer) is Life.ALIVE

    clock.seconds = 340
    assert signs.of(newer) is Life.ALIVE
    clock.seconds = 510
    assert signs.of(newer) is Life.GONE


def test_time_in_which_nobody_looked_is_not_enough(signs: Signs, clock: Clock) -> None:
    signs.of(run_elsewhere())
    clock.seconds = 10_000

    assert signs.of(run_elsewhere()) is Life.UNKNOWN


@pytest.mark.parametrize("off_ms", [-HOUR_MS * 24, 5 * HOUR_MS])
def test_a_host_whose_clock_is_off_by_hours_is_alive_as_long_as_its_signs_change(
    signs: Signs, clock: Clock, off_ms: int
) -> None:
    now = NOW_MS + off_ms
    found = [signs.of(run_elsewhere(now))]
    for clock.seconds in (150, 300, 450):
        found.append(signs.of(run_elsewhere(now + int(clock.seconds) * 1000)))

    assert found == [Life.UNKNOWN] + [Life.ALIVE] * 3


def test_a_run_of_an_earlier_version_which_gives_no_signs_is_watched_too(signs: Signs, clock: Clock) -> None:
    found = []
    for clock.seconds in (0, 150, 300):
        found.append(signs.of(run_elsewhere(None)))

    assert found == [Life.UNKNOWN, Life.UNKNOWN, Life.GONE]


@pytest.mark.parametrize(
    ("ago_ms", "said"), [(0, "0 s ago"), (-5000, "0 s ago"), (130_000, "2 min ago"), (3 * HOUR_MS, "3 h ago")]
)
def test_the_last_sign_is_told_with_the_host(ago_ms: int, said: str) -> None:
    assert where_made(run_elsewhere(NOW_MS - ago_ms), NOW_MS) == f"being run by host gpu7, last sign of life {said}"


@pytest.fixture
def store(project: Path) -> RunStore:
    return RunStore()


@pytest.fixture
def move_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From then on this process sees other locks, as one on another host does."""
    return lambda: monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "of another host"))


def test_a_claimed_run_has_a_sign_and_each_beat_gives_the_open_ones_of_its_holder_a_newer_one(
    store: RunStore, tmp_path: Path
) -> None:
    experiment = store.open_experiment(SWEEP)
    with Claims(store) as claims, Claims(RunStore()) as other:
        runs = [claims.claim(experiment, SPEC.replace(seed=seed), {}) for seed in (1, 2)]
        foreign = other.claim(experiment, SPEC.replace(seed=3), {})
        assert all(runs)
        assert foreign
        finish(store, runs[1].run_id, tmp_path / "artifacts")  # type: ignore[union-attr]
        first = {run.run_id: int(run.tags[tags.PROCESS_SEEN]) for run in store.runs()}
        assert len(first) == 3

        Heartbeat(store, claims.holder, lambda: NOW_MS).beat()

    beaten = {run.run_id for run in store.runs() if run.tags[tags.PROCESS_SEEN] == str(NOW_MS)}
    assert beaten == {runs[0].run_id}  # type: ignore[union-attr]


def test_a_store_that_is_away_stops_no_heart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cogx_runs.tracking.heartbeat.BEAT_S", 0.001)
    beats = []

    class Away(RunStore):
        def __init__(self) -> None:
            pass

        def open_runs(self, *_: object, **__: object) -> None:  # type: ignore[override]
            beats.append(1)
            raise OSError("away")

    with Heartbeat(Away(), "x"):
        while len(beats) < 3:
            pass


def test_a_cell_left_behind_on_another_host_is_claimed_and_its_run_killed(
    store: RunStore, move_away: Callable[[], None], clock: Clock, signs: Signs
) -> None:
    experiment = store.open_experiment(SWEEP)
    left = claim(store, experiment, SPEC)
    move_away()
    with Claims(store, signs=Signs(watch_s=clock)) as claims:
        for clock.seconds in (0, 150):
            assert claims.claim(experiment, SPEC, {}) is None
        clock.seconds = 300

        assert claims.claim(experiment, SPEC, {}) is not None

        assert {run.run_id: run.state for run in store.runs()}[left] is RunState.KILLED


def test_taking_over_asks_for_no_sign_on_another_host_and_takes_nothing_on_this_one(
    store: RunStore, move_away: Callable[[], None]
) -> None:
    experiment = store.open_experiment(SWEEP)
    with Claims(store) as here:
        here.claim(experiment, SPEC, {})
        assert Claims(store, take_over=True).claim(experiment, SPEC, {}) is None

        move_away()
        with Claims(store, take_over=True) as there:
            assert there.claim(experiment, SPEC, {}) is not None
            assert there.end_stale_runs([experiment]) == 0


def test_the_same_video_on_another_host_is_waited_for_as_long_as_there_are_signs(
    store: RunStore, move_away: Callable[[], None], clock: Clock
) -> None:
    claim(store, store.open_experiment(SWEEP), SPEC)
    second = store.open_experiment(SWEEP.model_copy(update={"name": "exp2"}))
    move_away()
    with Claims(store, signs=Signs(watch_s=clock)) as claims:
        later = claims.claim(second, SPEC.replace(sweep="exp2"), {})
        assert later is not None
        waited = []
        for clock.seconds in (0, 150, 300):
            waited.append(claims.is_being_made(later.run_id, SPEC.signature))

    assert waited == [True, True, False]

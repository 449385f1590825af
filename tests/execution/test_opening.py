"""A store that is opened beside the loading of a model: what goes wrong with it is known, and an interrupt ends it."""

import threading
import time
import traceback
from pathlib import Path

import pytest

from cogx_runs.errors import CogxError
from cogx_runs.execution.opening import OpeningStore
from cogx_runs.tracking.store import RunStore
from cogx_runs.tracking.thread import STORE_THREAD


def test_a_store_is_opened_to_be_written(project: Path) -> None:
    with OpeningStore(None) as opening:
        store = opening.store()
        opening.check()

    assert store.uri == f"sqlite:///{project}/mlflow.db"
    assert "_api" in vars(store), "the client is connected"


def wait_for(uri: str) -> None:
    with OpeningStore(uri) as opening:
        while True:
            opening.check()


def test_what_is_wrong_with_a_store_is_raised_with_where_it_was_found(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_text("no folder", encoding="utf-8")

    with pytest.raises(CogxError) as caught:
        wait_for(f"sqlite:///{place}/mlflow.db")

    assert "_open" in [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]


def test_an_interrupt_hurries_a_store_that_does_not_answer(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, limits = threading.Event(), list[float | None]()

    def connect(_store: RunStore) -> None:
        asked.set()
        given_up = time.monotonic() + 60
        while STORE_THREAD._limit_s is None and time.monotonic() < given_up:  # until the interrupt
            time.sleep(0.01)
        limits.append(STORE_THREAD._limit_s)

    def interrupted() -> None:
        with OpeningStore(None):
            assert asked.wait(60)
            raise KeyboardInterrupt

    monkeypatch.setattr(RunStore, "connect", connect)
    with pytest.raises(KeyboardInterrupt):
        interrupted()

    assert limits == [5.0]

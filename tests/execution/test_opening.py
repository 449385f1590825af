"""A store that is opened beside the loading of a model: what is wrong with it is told, and an interrupt leaves it."""

import traceback
from pathlib import Path
from threading import Event

import pytest

from cogx_runs.errors import CogxError
from cogx_runs.execution.opening import OpeningStore
from cogx_runs.tracking.store import RunStore


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


def test_an_interrupt_does_not_wait_for_a_store_that_does_not_answer(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, ended = Event(), Event()

    def connect(_store: RunStore) -> None:
        assert answers.wait(60)
        ended.set()

    def interrupted() -> None:
        with OpeningStore(None):
            raise KeyboardInterrupt

    monkeypatch.setattr(RunStore, "connect", connect)
    with pytest.raises(KeyboardInterrupt):
        interrupted()

    assert not ended.is_set()
    answers.set()
    assert ended.wait(60)

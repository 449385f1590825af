"""A worker on its own: from what can be sent to another process, a cell to its end."""

import multiprocessing
import os
from functools import partial
from pathlib import Path

import pytest

from cogx_runs import load_runs
from cogx_runs.execution.cell import ClaimedCell
from cogx_runs.execution.outcomes import Outcome
from cogx_runs.execution.postprocess import PostprocessStage
from cogx_runs.execution.worker import Worker
from cogx_runs.models.cards import ModelCard
from cogx_runs.planning.plan import Plan
from cogx_runs.system.load import BUSY
from cogx_runs.tracking.claims import Claims
from cogx_runs.tracking.store import RunStore
from cogx_runs.video import Frames, write_mp4


def work(uri: str, cell: ClaimedCell, card: ModelCard) -> tuple[Outcome, int]:
    """What another process does with a cell, and which one that is."""
    with Worker(uri) as worker:
        return worker.run(cell, card), os.getpid()


@pytest.fixture
def store(plan: Plan) -> RunStore:
    return RunStore()


def claimed(claims: Claims, store: RunStore, plan: Plan) -> ClaimedCell:
    spec = plan.runs[0].spec
    claim = claims.claim(store.open_experiment(plan.sweeps[0]), spec, {})
    assert claim is not None
    return ClaimedCell(spec, claim.run_id, claims.holder, claim.cell_id, ("another video",))


@pytest.mark.slow
def test_a_worker_in_a_spawned_process_takes_a_cell_to_its_end(plan: Plan, store: RunStore) -> None:
    card = plan.cards[plan.runs[0].spec.model_key]
    with Claims(store) as claims, multiprocessing.get_context("spawn").Pool(1) as pool:
        cell = claimed(claims, store, plan)
        outcome, process_id = pool.apply(work, (store.uri, cell, card))

    assert process_id != os.getpid()
    assert (outcome.status, outcome.run_id) == ("finished", cell.run_id)
    made = load_runs("exp").iloc[0]
    assert made["status"] == "FINISHED"
    assert made["metrics.clip_score"] == (outcome.metrics or {})["clip_score"]
    assert made["tags.cogx.finished_beside"] == "another video"
    assert str(made.get("tags.cogx.beside", BUSY)).startswith(BUSY), "no other sweep was there"
    assert store.download(cell.run_id, "video.mp4", Path("copy")).stat().st_size > 0


def test_a_worker_gives_back_the_folder_of_a_cell_once_its_rest_is_done(plan: Plan, store: RunStore) -> None:
    folders = []

    def noted(frames: Frames, file: Path, fps: int, quality: float) -> None:
        folders.append(file.parent)
        write_mp4(frames, file, fps, quality)

    with Claims(store) as claims, Worker(store.uri, postprocess=partial(PostprocessStage, write_mp4=noted)) as worker:
        cell = claimed(claims, store, plan)
        rest = worker.begin(cell, plan.cards[cell.spec.model_key])
        assert folders == [], "nothing is encoded before the rest is asked for"

        assert rest().status == "finished"

    assert [folder.exists() for folder in folders] == [False]

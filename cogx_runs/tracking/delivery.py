"""Brings what is in the spool to the tracking store: each run once, however often it is tried."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cogx_runs.errors import StoreError, StoreUnavailableError
from cogx_runs.tracking import spool, tags
from cogx_runs.tracking.digests import digest, digests
from cogx_runs.tracking.liveness import HeldLock, is_alive
from cogx_runs.tracking.lost import is_whole
from cogx_runs.tracking.run import RunState, TrackedRun
from cogx_runs.tracking.signs import now_ms
from cogx_runs.tracking.spool import ClaimRecord, EndedRecord, LatentsRecord, SpooledRun
from cogx_runs.tracking.store import NO_SERIES, RunStore, Series
from cogx_runs.tracking.uri import sqlite_path, tracking_uri, without_password


@dataclass(frozen=True)
class Delivered:
    """One run that was brought to the store."""

    name: str
    """The run's name."""
    run_id: str
    state: RunState
    """FINISHED or FAILED, KILLED where only its latents were whole; of a cell that has another run, that one's."""
    is_new: bool = True
    """Whether its cell had no run of another process meanwhile; one that had is not written a second time."""
    refused: str | None = None
    """Why the store does not take it; it stays in the spool then."""

    @property
    def told(self) -> str:
        """What became of it, in one sentence."""
        if self.refused is not None:
            return f"{self.name}, which an earlier process left in the spool, is not delivered: {self.refused}"
        return f"delivered {self.name}, which an earlier process left in the spool"


class Delivery:
    """Writes runs into one tracking store by way of the spool, whose entries it removes once they are written."""

    def __init__(self, store: RunStore) -> None:
        self._store = store

    def spool_latents(
        self, run: SpooledRun, metrics: Mapping[str, float], about: Mapping[str, str], series: Series = NO_SERIES
    ) -> None:
        """Records that a run's latents are whole, without asking the store for anything. Raises StoreError where the
        spool cannot be written."""
        with spool.access():
            _sync(run.latents_file)
            found = digest(run.latents_file)
        run.keep_latents(LatentsRecord(denoised_ms=now_ms(), digest=found, metrics=metrics, tags=about, series=series))

    def keep_latents(self, run: SpooledRun, about: Mapping[str, str]) -> None:
        """Gives the latents in the spool these tags, and writes them; where the store does not answer, the entry waits.

        Raises StoreError where the store refuses, or the spool cannot be written.
        """
        latents = run.latents
        assert latents is not None, "latents are spooled first"
        run.keep_latents(latents.model_copy(update={"tags": about}))
        with suppress(StoreUnavailableError):
            self._latents(run)

    def end(
        self,
        run: SpooledRun,
        params: Mapping[str, Any],
        metrics: Mapping[str, float],
        about: Mapping[str, str],
        status: RunState = RunState.FINISHED,
        series: Series = NO_SERIES,
    ) -> str:
        """Records what a run has come to, and writes it; where the store does not answer, the entry waits. Returns the
        run's id.

        Raises StoreError where the store refuses, or the spool cannot be written.
        """
        texts = {name: str(value) for name, value in params.items()}
        with spool.access():
            for file in filter(Path.is_file, run.files.rglob("*")):
                _sync(file)
            found = digests(run.files)
        run.end(
            EndedRecord(
                status=status,
                ended_ms=now_ms(),
                digests=found,
                params=texts,
                metrics=metrics,
                tags=about,
                series=series,
            )
        )
        try:
            delivered = self.deliver(run)
        except StoreUnavailableError:
            return run.cell_id
        assert delivered is not None, "a run that has ended is whole"
        return delivered.run_id

    def deliver(self, run: SpooledRun) -> Delivered | None:
        """Writes all of a run that has ended, or whose process has died, and removes the entry.

        Returns None for an entry that holds nothing whole. Raises StoreUnavailableError where the store does not
        answer, StoreError where it refuses; the entry is kept then.
        """
        claim = run.claim
        if claim is None or not run.is_dear:
            run.remove()
            return None
        if not claim.is_created or not self._store.is_open_for(claim.run_id, run.cell_id):
            taken = self._taken_over(claim, run.cell_id)
            if taken is not None:
                if not taken.state.is_finished:
                    self._give_latents(run, taken)
                kept_id = self._keep_one(claim, taken.run_id) if taken.state.is_finished else taken.run_id
                run.remove()
                return Delivered(claim.name, kept_id, taken.state, is_new=False)
        self._latents(run)
        run_id = self._created(run)
        state = self._end(run, run_id)
        kept_id = self._keep_one(claim, run_id) if state.is_finished else run_id
        run.remove()
        return Delivered(claim.name, kept_id, state, is_new=kept_id == run_id)

    def _keep_one(self, claim: ClaimRecord, run_id: str) -> str:
        """Leaves a cell one finished run, and returns its id: a host that was taken for gone may have written its own
        at the very moment at which the other did.

        The last of them to look sees all. It keeps the one that was claimed last, as any other that looks would.
        """
        finished = [
            run for run in self._store.runs_with_output(claim.experiment_id, claim.output_hash) if is_whole(run)
        ]
        kept = max(finished, key=lambda run: run.order, default=None)
        if kept is None:
            return run_id
        for run in finished:
            if run is not kept:
                self._store.withdraw(run.run_id)
        return kept.run_id

    def _give_latents(self, run: SpooledRun, taken: TrackedRun) -> None:
        """Writes the latents of an entry whose cell another process is at."""
        if run.latents is not None:
            self._latents(run)
            run_id = self._created(run)
            if run_id != taken.run_id:
                self._store.kill(run_id)

    def _taken_over(self, claim: ClaimRecord, cell_id: str) -> TrackedRun | None:
        """The run that has an entry's cell in the place of its own: finished, also by this entry's delivery half way,
        or open, of a process that took the entry's for dead, and may have opened the entry's own run again."""
        runs = list(self._store.runs_with_output(claim.experiment_id, claim.output_hash))
        is_open = (
            run for run in runs
            if run.state is RunState.RUNNING and is_alive(run.tags)
            and run.tags.get(tags.PROCESS_CELL) != cell_id
        )  # fmt: skip
        return next(filter(is_whole, runs), next(is_open, None))

    def _latents(self, run: SpooledRun) -> None:
        """Writes the latents of a run, unless they are written."""
        latents = run.latents
        if latents is not None:
            run_id = self._created(run)
            self._store.keep_latents(
                run_id, run.latents_file, latents.metrics, latents.tags, latents.series, latents.denoised_ms
            )
            run.latents_logged()

    def _created(self, run: SpooledRun) -> str:
        """The id of an entry's run in the store. It is created where it is not there; also where its creation was
        written but not answered, it is one."""
        claim = run.claim
        assert claim is not None, "an entry that is delivered has its claim"
        if claim.is_created:
            return claim.run_id
        run_id = self._store.run_of_entry(claim.experiment_id, run.cell_id)
        if run_id is None:
            self._store.require_experiment(claim.experiment_id, claim.tags[tags.SWEEP])
            about = {**claim.tags, tags.PROCESS_CELL: run.cell_id}
            run_id = self._store.create_run(claim.experiment_id, claim.name, about, claim.started_ms)
        run.created_as(run_id)
        return run_id

    def _end(self, run: SpooledRun, run_id: str) -> RunState:
        ended = run.ended
        if ended is None:
            return self._store.kill(run_id)
        # A note links to its own run, by the id of the entry where the store did not know the run yet.
        about = {key: value.replace(run.cell_id, run_id) for key, value in ended.tags.items()}
        self._store.finish(
            run_id, run.files, ended.params, ended.metrics, about, ended.status, ended.series, ended.ended_ms
        )
        return ended.status


def deliver_left_behind(store: RunStore) -> Iterator[Delivered]:
    """Delivers what processes of this host that are gone have left in the spool for this store, one after the other,
    and removes what is not whole. What is for other stores stays.

    Raises StoreUnavailableError where the store does not answer; the rest is kept then.
    """
    runs = spool.left_behind()
    if not runs:
        return
    delivery = Delivery(store)
    with HeldLock() as own:
        try:
            for run in runs:
                taken = run.taken_by(own.name) if _is_for(run, store) else None
                delivered = None if taken is None else _delivered(delivery, taken)
                if delivered is not None and (delivered.is_new or delivered.refused is not None):
                    yield delivered
        finally:
            spool.remove_holder(own.name)


def _delivered(delivery: Delivery, run: SpooledRun) -> Delivered | None:
    """Delivers an entry; one that the store refuses holds up no other. What was damaged in the spool is not
    delivered: its cell is made again from what is whole."""
    name = run.cell_id if run.claim is None else run.claim.name
    try:
        damaged = run.drop_damaged()
        delivered = delivery.deliver(run)
    except StoreUnavailableError:
        raise
    except StoreError as error:
        why = f"{error}; it stays in {run.folder}, which can be removed to give it up"
        return Delivered(name, "", RunState.KILLED, is_new=False, refused=why)
    if damaged:
        why = f"damaged in the spool: {', '.join(damaged)}; it is made again"
        return Delivered(name, "", RunState.KILLED, is_new=False, refused=why)
    return delivered


@contextmanager
def telling_what_is_kept(uri: str | None) -> Iterator[None]:
    """Has the store's errors that the block raises say what the spool keeps for the store at `uri`."""
    try:
        yield
    except StoreError as error:
        own = without_password(tracking_uri(uri))
        kept = [run for run in spool.left_behind() if (claim := run.claim) is not None and claim.uri == own]
        raise type(error)(f"{error}{spool.told(kept)}") from error


def waiting_for_others(uri: str | None = None) -> Counter[str]:
    """Counts the runs of processes that are gone which wait in the spool for other stores than the one at `uri`, by
    their address."""
    own = without_password(tracking_uri(uri))
    claims = (run.claim for run in spool.left_behind() if run.is_dear)
    return Counter(claim.uri for claim in claims if claim is not None and claim.uri != own)


def _is_for(run: SpooledRun, store: RunStore) -> bool:
    """Whether an entry is this store's, also from before its folder was moved, or nobody's since nothing of it is
    whole."""
    claim = run.claim
    if claim is None or not run.is_dear or claim.uri == without_password(store.uri):
        return True
    before = sqlite_path(claim.uri)
    is_moved = before is not None and sqlite_path(store.uri) is not None and not before.exists()
    return is_moved and claim.is_created and store.has_run(claim.run_id)


def _sync(file: Path) -> None:
    """Has a file's bytes on the disk before a record says that they are."""
    with file.open("rb") as opened:
        os.fsync(opened.fileno())

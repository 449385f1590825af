"""Which cells are somebody's to run: claimed by a process that holds a lock for as long as it is at them.

Hosts with one store have no lock in common, and MLflow no compare-and-swap. A claim is an open run, written first and
looked at afterwards: of two claims of one cell, whichever looks later sees the other. A cell is its claimant's only
once it has looked and seen no other claim.
"""

import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from cogx_runs.errors import StoreUnavailableError
from cogx_runs.tracking import spool, tags
from cogx_runs.tracking.heartbeat import Heartbeat
from cogx_runs.tracking.liveness import HeldLock, is_alive, is_of_this_host, remove_leftovers, remove_temporary_folders
from cogx_runs.tracking.lost import has_whole_latents, is_whole, lost_for_good
from cogx_runs.tracking.reader import RunReader
from cogx_runs.tracking.run import Claimable, RunState, TrackedRun
from cogx_runs.tracking.signs import Life, Signs, now_ms
from cogx_runs.tracking.spool import ClaimRecord
from cogx_runs.tracking.store import TAG_LIMIT, RunStore
from cogx_runs.tracking.uri import without_password

SETTLE_S = 3.0
"""How long the first of several claims that were made at one moment waits for the others to be withdrawn."""
_LOOK_AGAIN_S = 0.1


class Claim(NamedTuple):
    """A cell that is its holder's to run."""

    run_id: str
    """Its open run; the id of the entry where the store did not answer."""
    cell_id: str
    """Its entry in the holder's spool."""
    is_reopened: bool = False
    """Whether the run was finished before, and has its files made anew."""

    @property
    def is_created(self) -> bool:
        """Whether the store has the run."""
        return self.run_id != self.cell_id


class Claims:
    """The cells that one executor has claimed; a context manager, after which none of them is its own any more.

    Where the block ends with an exception, what it left open is ended as KILLED.
    """

    def __init__(self, store: RunStore, *, take_over: bool = False, signs: Signs | None = None) -> None:
        """`take_over` claims also what another host is at, whether that is alive or not; `signs` judges who is."""
        self._store = store
        self._take_over = take_over
        self._signs = signs or Signs()
        self._held = HeldLock()
        self._heartbeat = Heartbeat(store, self._held.name)

    def __enter__(self) -> "Claims":
        remove_leftovers()
        remove_temporary_folders(Path(tempfile.gettempdir()))
        self._held.__enter__()
        self._heartbeat.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._heartbeat.__exit__(kind, error, traceback)
        try:
            if error is not None:
                self.release_all()
        finally:
            spool.remove_holder(self.holder)
            self._held.__exit__(kind, error, traceback)

    @property
    def holder(self) -> str:
        """Name of the lock that these cells are claimed with."""
        return self._held.name

    def claim(self, experiment_id: str, spec: Claimable, about: Mapping[str, str]) -> Claim | None:
        """Creates the run of a cell, with these tags, and its entry in the spool; None where it is finished or another
        process is at it. A finished run that has lost files is opened again where its latents are whole, else ended as
        KILLED.

        Where the store does not answer, the entry alone is created: the run follows when that is delivered.
        """
        cell_id = uuid.uuid4().hex
        started_ms = now_ms()
        about = {
            **about,
            **self._held.tags,
            **self._heartbeat.tags,
            tags.PROCESS_CELL: cell_id,
            tags.KIND: tags.CELL_KIND,
            tags.SWEEP: spec.sweep,
            tags.SIGNATURE: spec.signature,
            tags.OUTPUT_HASH: spec.output_hash,
            tags.PROMPT: spec.prompt[:TAG_LIMIT],
        }
        try:
            opened = self._open_run(experiment_id, spec, about, started_ms)
            if opened is None:
                return None
            run_id, is_reopened = opened
        except StoreUnavailableError:
            run_id, is_reopened = cell_id, False
        spool.spooled_run(self.holder, cell_id).create(
            ClaimRecord(
                uri=without_password(self._store.uri),
                experiment_id=experiment_id,
                name=spec.run_name,
                run_id=run_id,
                is_created=run_id != cell_id,
                output_hash=spec.output_hash,
                started_ms=started_ms,
                tags=about,
            )
        )
        return Claim(run_id, cell_id, is_reopened)

    def _open_run(
        self, experiment_id: str, spec: Claimable, about: Mapping[str, str], started_ms: int
    ) -> tuple[str, bool] | None:
        """Opens a run of a cell. Returns its id, and whether it was finished before."""
        with self._store.lock:
            runs = list(self._store.runs_of_cell(experiment_id, spec))
            opened = [run for run in runs if run.state is RunState.RUNNING]
            if any(map(is_whole, runs)) or any(self.life(run) is not Life.GONE for run in opened):
                return None
            for run in opened:
                self._store.kill(run.run_id)
            if opened:  # one that was being mended is finished again
                runs = list(self._store.runs_of_cell(experiment_id, spec))
            if not all(_lost(runs).values()):
                return None
            if any(run.state.is_finished for run in runs):
                self._store.check_place(spec.sweep)
            run_id = self._store.create_run(experiment_id, spec.run_name, about, started_ms)
            settled = self._settled(experiment_id, spec, run_id, about[tags.PROCESS_CELL])
            if settled is None:
                self._store.withdraw(run_id)
                return None
            lost = _lost(settled)
            damaged = [run for run in settled if run.run_id in lost]
            owned = (*self._held.tags, *self._heartbeat.tags, tags.PROCESS_CELL)
            for run in damaged:
                if self._store.is_in_place(run) and has_whole_latents(run):
                    self._store.reopen(run, {key: about[key] for key in owned})
                    self._store.withdraw(run_id)
                    return run.run_id, True
            for run in damaged:
                self._store.give_up(run.run_id, lost[run.run_id])
            return run_id, False

    def _settled(self, experiment_id: str, spec: Claimable, run_id: str, cell_id: str) -> list[TrackedRun] | None:
        """Returns the cell's other runs once this claim of it is the only one; None where another has the cell.

        Of claims that see each other the first by time and id waits for the others to be withdrawn, which by then may
        have the cell: it withdraws too where they are not. Clocks that differ change who gets the cell, never how many.
        """
        until_s = time.monotonic() + SETTLE_S
        while True:
            runs = list(self._store.runs_of_cell(experiment_id, spec))
            own = next((run for run in runs if run.run_id == run_id), None)
            others = [run for run in runs if run.run_id != run_id]
            claims = [run for run in others if run.state is RunState.RUNNING and self._signs.of(run) is not Life.GONE]
            if own is None or own.state is not RunState.RUNNING or any(map(is_whole, others)):
                return None
            for run in claims:
                if run.tags.get(tags.PROCESS_CELL) == cell_id:  # MLflow's client asked twice, and was heard twice
                    self._store.withdraw(run.run_id)
            claims = [run for run in claims if run.tags.get(tags.PROCESS_CELL) != cell_id]
            if not claims:
                return others
            if min(run.order for run in claims) < own.order or time.monotonic() >= until_s:
                return None
            time.sleep(_LOOK_AGAIN_S)

    def life(self, run: TrackedRun) -> Life:
        """Judges whether the process that has claimed an open run still has it; with `take_over`, none of another host
        has."""
        if self._take_over and not is_of_this_host(run.tags):
            return Life.GONE
        return self._signs.of(run)

    def end_stale_runs(self, experiment_ids: Sequence[str]) -> int:
        """Ends the open runs of processes that are gone, as `RunStore.kill` does. Returns how many are KILLED."""
        with self._store.lock:
            stale = [run for run in self._store.open_runs(experiment_ids) if self._signs.of(run) is Life.GONE]
            return sum(self._store.kill(run.run_id) is RunState.KILLED for run in stale)

    def release_all(self) -> None:
        """Ends as KILLED all runs that are claimed here and open, also one whose claim was interrupted half way.

        Where not even that can be written, they count as stale once the block has ended.
        """
        with suppress(Exception):
            for run in self._own_runs():
                self._store.kill(run.run_id)

    def is_being_made(self, run_id: str, signature: str) -> bool:
        """Tells whether another holder's run that was begun before this one generates the same pixels, those of this
        signature."""
        alike = list(self._store.open_runs(about={tags.SIGNATURE: signature}))
        own = next((run for run in alike if run.run_id == run_id), None)
        if own is None:
            return False
        earlier = [run for run in alike if run.order < own.order]
        return any(
            run.tags.get(tags.PROCESS_LOCK) != self.holder and self.life(run) is not Life.GONE for run in earlier
        )

    def _own_runs(self) -> list[TrackedRun]:
        """Reads the open runs that are claimed here."""
        return list(self._store.open_runs(about={tags.PROCESS_LOCK: self.holder}))


def _lost(runs: Sequence[TrackedRun]) -> dict[str, tuple[str, ...]]:
    """What finished runs have lost, by their ids."""
    return {run.run_id: lost_for_good(run) for run in runs if run.state.is_finished}


def is_device_shared(store: RunReader, device_id: str, holder: str) -> bool:
    """Tells whether another holder has an open run on this device of this host, as far as the store knows."""
    at_device = (run.tags for run in store.open_runs(about={tags.DEVICE_ID: device_id}))
    return any(
        claimed.get(tags.PROCESS_LOCK) != holder and is_of_this_host(claimed) and is_alive(claimed)
        for claimed in at_device
    )

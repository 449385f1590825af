"""The local spool: what a run comes to is written here before the tracking store is asked to take it.

`state_directory()/spool/<host>/<holder>/<cell>` is a cell's folder while it is at work, and for as long as the store
lacks something of it. It outlives the process: the entries of a holder that is gone are delivered by the next one.
"""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self, TypeVar

from pydantic import BaseModel, ConfigDict

from cogx_runs.errors import StoreError
from cogx_runs.system.disk import size_bytes, state_directory
from cogx_runs.system.hardware import GIB
from cogx_runs.system.whole_file import write_whole
from cogx_runs.tracking import artifacts
from cogx_runs.tracking.digests import Digest, damage
from cogx_runs.tracking.liveness import host, is_held
from cogx_runs.tracking.run import RunState

_CLAIM, _LATENTS, _ENDED, _LATENTS_LOGGED = "claim.json", "latents.json", "ended.json", "latents.logged"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, ser_json_inf_nan="constants")


_R = TypeVar("_R", bound=_Record)


class ClaimRecord(_Record):
    """What a run begins with."""

    uri: str
    """Address of its tracking store, without a password."""
    experiment_id: str
    name: str
    """The run's name."""
    run_id: str
    """The run's id; where the store did not answer, the id of the entry."""
    is_created: bool
    """Whether the store has the run."""
    output_hash: str
    started_ms: int
    """Milliseconds since 1970."""
    tags: Mapping[str, str]


class LatentsRecord(_Record):
    """What is known of a run when its latents are."""

    denoised_ms: int
    """Milliseconds since 1970."""
    digest: Digest
    """What the file of the latents was when it was written."""
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    series: Mapping[str, Sequence[float]]


class EndedRecord(_Record):
    """What a run comes to."""

    status: RunState
    ended_ms: int
    """Milliseconds since 1970."""
    digests: Mapping[str, Digest]
    """What the files were when they were written, by their names."""
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    series: Mapping[str, Sequence[float]]


class SpooledRun:
    """One run's folder in the spool."""

    def __init__(self, folder: Path) -> None:
        """`folder` is an entry of a holder's spool; it need not exist yet."""
        self.folder = folder
        self.files = folder / "files"
        """Artifacts of the run, apart from its latents."""
        self.latents_file = folder / "latents" / artifacts.LATENTS

    @property
    def cell_id(self) -> str:
        """Identity of the entry: the value of the tag `cogx.process.cell` of its run."""
        return self.folder.name

    def create(self, claim: ClaimRecord) -> None:
        """Creates the folder of a run that begins. Raises StoreError where it cannot be written, as all that writes."""
        with access():
            self.files.mkdir(parents=True, exist_ok=True)
            self.latents_file.parent.mkdir(exist_ok=True)
        self._write(_CLAIM, claim)

    @property
    def claim(self) -> ClaimRecord | None:
        """What the run began with; None where its process died before that was written."""
        return _read(ClaimRecord, self.folder / _CLAIM)

    def created_as(self, run_id: str) -> None:
        """Records that the store has the run, by this id."""
        claim = self.claim
        assert claim is not None, "an entry that is delivered has its claim"
        updated = claim.model_copy(update={"run_id": run_id, "is_created": True})
        self._write(_CLAIM, updated)

    def keep_latents(self, record: LatentsRecord) -> None:
        """Records that the latents are whole in `latents_file`, with what is known of them."""
        self._write(_LATENTS, record)

    def end(self, record: EndedRecord) -> None:
        """Records what the run has come to; all its artifacts are in `files`."""
        self._write(_ENDED, record)

    def _write(self, name: str, record: _Record) -> None:
        with access():
            write_whole(self.folder / name, record.model_dump_json())

    @property
    def latents(self) -> LatentsRecord | None:
        """The latents that the store does not have yet; None without any."""
        if (self.folder / _LATENTS_LOGGED).exists():
            return None
        return _read(LatentsRecord, self.folder / _LATENTS)

    def latents_logged(self) -> None:
        """Records that the store has the latents."""
        with access():
            (self.folder / _LATENTS_LOGGED).touch()

    @property
    def ended(self) -> EndedRecord | None:
        """What the run has come to; None while it is at work, and where its process died at it."""
        return _read(EndedRecord, self.folder / _ENDED)

    def drop_damaged(self) -> list[str]:
        """Drops the records whose files are no more what they were. Returns the names of those files."""
        latents, ended = self.latents, self.ended
        damaged = []
        if latents is not None and damage(self.latents_file, latents.digest) is not None:
            damaged.append(artifacts.LATENTS)
            (self.folder / _LATENTS).unlink()
        of_end = [] if ended is None else [
            name for name, logged in ended.digests.items() if damage(self.files / name, logged) is not None
        ]  # fmt: skip
        if of_end:
            (self.folder / _ENDED).unlink()
        return damaged + of_end

    @property
    def is_readable(self) -> bool:
        """Whether its records, as far as they are there, can be read."""
        try:
            return (self.claim, self.latents, self.ended) is not None
        except (StoreError, ValueError):
            return False

    @property
    def is_dear(self) -> bool:
        """Whether it holds something whole that the store does not have."""
        return self.claim is not None and (self.latents is not None or self.ended is not None)

    def close(self) -> None:
        """Removes the folder, unless it holds something that the store lacks."""
        if not self.is_dear:
            self.remove()

    def remove(self) -> None:
        """Removes the folder; what it holds is in the store, or is nothing whole."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def taken_by(self, holder: str) -> Self | None:
        """Moves the entry to another holder's spool; None where a third one was faster."""
        target = holder_folder(holder) / self.folder.name
        with access():
            target.parent.mkdir(parents=True, exist_ok=True)
        try:
            return type(self)(self.folder.rename(target))
        except OSError:
            return None


@contextmanager
def access() -> Iterator[None]:
    """Makes a StoreError, in one line, of what the system refuses to read or write in the spool."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{spool_directory()}: the spool cannot be read or written ({error.strerror}); mend its permissions or its "
            "disk, or set XDG_STATE_HOME to a writable folder"
        ) from error


def spool_directory() -> Path:
    """Finds the folder of this host's spool, which need not exist. A home that several hosts share has one for each:
    only who sees the locks of a holder can tell whether it lives."""
    return state_directory() / "spool" / host().replace(" ", "-")


def holder_folder(holder: str) -> Path:
    """Names the folder of a holder's entries."""
    return spool_directory() / holder


def spooled_run(holder: str, cell_id: str) -> SpooledRun:
    """Names a run's folder in its holder's spool."""
    return SpooledRun(holder_folder(holder) / cell_id)


def entries(holder: str) -> list[SpooledRun]:
    """Lists the entries of one holder, in the order of their beginning; one that cannot be read is left alone."""
    found = (SpooledRun(folder) for folder in _folders(holder_folder(holder)))
    return sorted((run for run in found if run.is_readable), key=_began)


def left_behind() -> list[SpooledRun]:
    """Lists the entries of holders that are gone, in the order of their beginning; a holder's folder without any is
    removed."""
    gone = [folder.name for folder in _folders(spool_directory()) if not is_held(folder.name)]
    for holder in gone:
        remove_holder(holder)
    return sorted((run for holder in gone for run in entries(holder)), key=_began)


def remove_holder(holder: str) -> None:
    """Removes a holder's folder where it has no entry left."""
    with suppress(OSError):  # not empty, or not there
        holder_folder(holder).rmdir()


def told(runs: Sequence[SpooledRun]) -> str:
    """Tells what these entries keep, as the end of an error's message; empty where they keep nothing whole."""
    kept = [run for run in runs if run.is_dear]
    ended = sum(run.ended is not None for run in kept)
    parts = [f"{ended} finished cell{'s' * (ended > 1)}"] if ended else []
    parts += [f"the latents of {len(kept) - ended}"] if len(kept) > ended else []
    if not parts:
        return ""
    return (
        f"; {' and '.join(parts)} kept in {spool_directory()}: the same command goes on, and `cogx-runs deliver` "
        "brings them to the store"
    )


def size_gib(runs: Sequence[SpooledRun]) -> float:
    """Sums up the files of these entries in GiB."""
    return sum(size_bytes(run.folder) for run in runs) / GIB


def _began(run: SpooledRun) -> int:
    return 0 if run.claim is None else run.claim.started_ms


def _folders(folder: Path) -> list[Path]:
    try:
        return [Path(entry.path) for entry in os.scandir(folder) if entry.is_dir()]
    except OSError:  # it is not there, or another process removes it
        return []


def _read(kind: type[_R], file: Path) -> _R | None:
    with access():
        try:
            return kind.model_validate_json(file.read_bytes())
        except FileNotFoundError:
            return None

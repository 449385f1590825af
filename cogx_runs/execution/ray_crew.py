"""The actors of a Ray cluster as one worker: each free one takes a cell, and one that dies is replaced."""

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import ray
from ray.exceptions import RayActorError, RayError, RaySystemError, RayTaskError

from cogx_runs.credentials import without_credentials
from cogx_runs.definitions.spec import RunSpec
from cogx_runs.errors import CogxError, first_line
from cogx_runs.execution.cell import ClaimedCell
from cogx_runs.execution.handout import Group, choose_cell, group_of
from cogx_runs.execution.local import VIDEOS_WAITING
from cogx_runs.execution.outcomes import Outcome, OutcomeStatus
from cogx_runs.execution.ray_actor import BEGUN, ENDED, RAISED, WorkerActor
from cogx_runs.models.cards import ModelCard
from cogx_runs.progress import Progress
from cogx_runs.system.hardware import Device
from cogx_runs.tracking.tags import WORKER

if TYPE_CHECKING:
    from cogx_runs.execution.executor import MakeWorker

CLOSE_S = 60.0
"""How long an actor may take to end what it has in the background."""
_TICK_S = 0.5


@dataclass
class Resources:
    """What one actor asks Ray for."""

    workers: int
    cpus: float
    gpus: float


@dataclass(eq=False)
class _Member:
    """One actor, as the driver sees it."""

    name: str
    actor: Any
    is_ready: bool = False
    """Whether it has loaded what cells to come need."""
    work: object = None
    """The cells to come that it has loaded for, or loads for."""
    on_device: int | None = None
    """Number of the cell that its device is at."""
    running: dict[int, RunSpec] = field(default_factory=dict)
    """The cells that are not ended, by their numbers."""
    group: Group | None = None
    provenance: Mapping[Device, Mapping[str, str]] = field(default_factory=dict)


class RayCrew:
    """Actors that each keep one worker warm, behind the protocol of a single one.

    `choose` waits for a free actor, and the next `provenance` and `begin` are that one's.
    """

    def __init__(
        self, make: "MakeWorker", uri: str, max_vram_gib: float | None, resources: Resources, is_on_cpu: bool
    ) -> None:
        self._arguments = (make, uri, max_vram_gib, is_on_cpu)
        self._resources = resources
        self._members: list[_Member] = []
        self._changed = threading.Condition()
        self._work: tuple[Sequence[RunSpec], Sequence[RunSpec], Mapping[tuple[str, str], ModelCard], list[Device]]
        self._progress: Progress
        self._next: _Member | None = None
        self._begun = 0
        self._error: BaseException | None = None
        self._is_stopped = False
        self.most_cells = 0
        """The most cells that may be at work at once: no more actors than these are started."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._changed:
            members, self._members = self._members, []
        if error is None:
            with suppress(RayError):
                ray.get([member.actor.close.remote() for member in members if member.is_ready], timeout=CLOSE_S)
        for member in members:
            ray.kill(member.actor)

    @property
    def workers(self) -> int:
        """How many cells can be denoised at once."""
        return self._resources.workers

    def prepare(
        self,
        cells: Sequence[RunSpec],
        generated: Sequence[RunSpec],
        cards: Mapping[tuple[str, str], ModelCard],
        progress: Progress,
    ) -> None:
        """Starts the actors that are missing, which load what their first cells need; waits for none. Those that are
        there load it once they are free."""
        with self._changed:
            self._error, self._is_stopped, self._progress = None, False, progress
            self._work = (cells, generated, cards, sorted({spec.device for spec in cells}))
            for number in range(len(self._members), min(self.workers, self.most_cells)):
                self._hire(number)

    def wait_for_free(self) -> None:
        """Waits for a free actor. Raises the error of actors that cannot begin where none is left."""
        with self._changed:
            self._free_member()

    def _free_member(self) -> _Member:
        while True:
            free = [member for member in self._members if self._is_free(member)]
            if loaded := [member for member in free if member.work is self._work]:
                return loaded[0]
            for member in free:
                self._load(member, self._members.index(member))
            if self._error is not None and not self._members:
                raise self._error
            self._changed.wait(_TICK_S)

    def choose(self, cells: Mapping[int, RunSpec]) -> int:
        """Waits for a free actor, and picks its next cell. Raises as `wait_for_free` does."""
        with self._changed:
            self._next = free = self._free_member()
            others = [member.group for member in self._members if member is not free and member.running]
            running = {spec.signature for member in self._members for spec in member.running.values()}
            return choose_cell(cells, free.group, others, running)

    def provenance(self, device: Device) -> Mapping[str, str]:
        """Tells which actor is chosen, on what machine it computes, and by which versions."""
        assert self._next is not None, "an actor is chosen first"
        return {**self._next.provenance[device], WORKER: self._next.name}

    def begin(self, cell: ClaimedCell, card: ModelCard, progress: Progress) -> Callable[[], Outcome]:
        """Sends a cell to the chosen actor, and returns the wait for its end. Where the actor dies before it, the
        outcome is LOST."""
        member = self._next
        assert member is not None, "an actor is chosen first"
        with self._changed:
            beside = tuple(spec.run_name for spec in member.running.values())
            number = self._begun = self._begun + 1
            member.running[number] = cell.spec
            member.on_device = number
            member.group = group_of(cell.spec)
        shown = progress.of_worker(member.name)
        shown.cell_started(cell.spec.run_name, cell.spec.num_inference_steps)
        sent = replace(cell, beside=beside)
        events = member.actor.run.options(num_returns="streaming").remote(sent, cell.spooled.claim, card)
        return lambda: self._follow(member, number, cell, events, shown)

    def stop(self) -> None:
        """Ends all actors at once, with the cells that they are at."""
        with self._changed:
            self._is_stopped = True
            members, self._members = self._members, []
            self._changed.notify_all()
        for member in members:
            ray.kill(member.actor)

    def _follow(self, member: _Member, number: int, cell: ClaimedCell, events: Any, shown: Progress) -> Outcome:
        """Passes on what an actor tells of a cell until its end."""
        try:
            for reference in events:
                name, given = ray.get(reference)
                if name == RAISED:
                    raise given[0]
                if name == ENDED:
                    cell.spooled.close()
                    outcome: Outcome = given[0]
                    return outcome
                if name == BEGUN:
                    self._free_device(member, number)
                else:
                    getattr(shown, name)(*given)
        except (RayActorError, RaySystemError) as error:
            self._replace(member)
            return Outcome(cell.spec, OutcomeStatus.LOST, cell.run_id, error=f"{member.name} died ({_why(error)})")
        except RayTaskError as error:
            raise error.cause or error from error
        finally:
            with self._changed:
                member.running.pop(number, None)
            self._free_device(member, number)
        raise AssertionError("an actor tells of the end of a cell")

    def _is_free(self, member: _Member) -> bool:
        return member.is_ready and member.on_device is None and len(member.running) <= VIDEOS_WAITING

    def _free_device(self, member: _Member, number: int) -> None:
        """Lets an actor take another cell: on a GPU once the pixels are there, on a CPU at the cell's end."""
        with self._changed:
            is_on_cpu = self._arguments[3]
            if member.on_device == number and not (is_on_cpu and number in member.running):
                member.on_device = None
            self._changed.notify_all()

    def _hire(self, number: int) -> None:
        """Starts an actor; it becomes free once it has loaded what it needs."""
        make = ray.remote(WorkerActor).options(
            num_cpus=self._resources.cpus,
            num_gpus=self._resources.gpus,
            max_concurrency=VIDEOS_WAITING + 4,
            scheduling_strategy="SPREAD",
        )
        member = _Member(f"worker {number + 1}", make.remote(*self._arguments))
        self._members.append(member)
        self._load(member, number)

    def _load(self, member: _Member, number: int) -> None:
        """Has an actor load for the plan's cells: those of the groups in turn, so that several models are spread."""
        cells, generated, cards, devices = self._work
        groups = list(dict.fromkeys(map(group_of, generated)))
        if member.group not in groups:
            member.group = groups[number % len(groups)] if groups else None
        first = [spec for spec in generated if group_of(spec) == member.group]
        others = [spec for spec in generated if group_of(spec) != member.group]
        member.is_ready, member.work = False, self._work
        loaded = member.actor.prepare.remote(cells, [*first, *others], cards, devices)
        threading.Thread(target=self._await_ready, args=(member, loaded), daemon=True).start()

    def _await_ready(self, member: _Member, loaded: Any) -> None:
        try:
            provenance, told = ray.get(loaded)
        except RayError as error:
            if member.provenance and not isinstance(error, RayTaskError):  # it died after it had begun
                self._replace(member)
                return
            with self._changed:
                if member in self._members:
                    self._members.remove(member)
                    self._error = _cause(error, member)
                    if self._members:  # else the error is raised
                        self._progress.note(f"goes on without {member.name}: {first_line(self._error)}")
                self._changed.notify_all()
            return
        for name, given in told:
            getattr(self._progress, name)(*given)
        with self._changed:
            member.provenance, member.is_ready = provenance, True
            self._changed.notify_all()

    def _replace(self, member: _Member) -> None:
        """Starts another actor in the place of one that has died, once."""
        with self._changed:
            if member not in self._members:
                return
            number = self._members.index(member)
            self._members.remove(member)
            ray.kill(member.actor)  # one that Ray has only lost sight of would go on
            if not self._is_stopped:
                self._hire(number)
            self._changed.notify_all()


def _cause(error: RayError, member: _Member) -> BaseException:
    """The error that an actor raised, or a line about one that could not start."""
    if isinstance(error, RayTaskError) and isinstance(error.cause, BaseException):
        return error.cause
    return CogxError(f"{member.name} cannot be started by Ray: {_why(error)}")


def _why(error: BaseException) -> str:
    """The reason in one line: of an error in an actor's beginning the last one, where Ray puts what was raised."""
    if isinstance(error, RayActorError) and error.actor_init_failed:
        return without_credentials(str(error).strip().splitlines()[-1])
    return first_line(error).rstrip(".: ")

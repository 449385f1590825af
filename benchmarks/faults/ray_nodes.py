"""Ray under a sweep: a worker, a node, or Ray's head killed while a cell is in one of its phases."""

import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Literal

from benchmarks.faults.bench import Bench
from benchmarks.faults.marked import HOLD, MARKS, OF_A_CELL, Held
from benchmarks.faults.services import MlflowServer, Service
from benchmarks.faults.study import ROOT, Command, Study, Tally

Victim = Literal["worker", "node", "head", "command"]
CELLS = 4
WITHIN_S = 0.1
"""The kill falls into so many seconds from the beginning of the phase."""
ENDS_WITHIN_S = 240
OTHER_HOST = "other-host"
_CODES: dict[Victim, int] = {"worker": 0, "node": 0, "head": 1, "command": -signal.SIGKILL}
"""How the command has to end. Without a head Ray ends it after a minute."""
IN_RAY = Path(__file__).parent / "in_ray"


class RayNode(Service):
    """`ray start` with the processes below it: one node of one CPU."""

    def __init__(self, folder: Path, environment: dict[str, str], head: "RayNode | None" = None) -> None:
        """`head` is the node to join; None makes this one the head."""
        super().__init__(folder)
        self._environment = environment
        self._head = head
        self.address: str = head.address if head else f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Starts it, and waits until it is there."""
        role = ["--address", self.address]
        if self._head is None:
            self._temporary = Path(tempfile.mkdtemp(prefix="ray-"))  # paths of sockets are short
            role = ["--head", "--port", str(self.port), "--include-dashboard", "false"]
            role += ["--temp-dir", str(self._temporary)]
        arguments = ["--num-cpus", "1", "--node-ip-address", "127.0.0.1", "--block", "--disable-usage-stats"]
        with (self.folder / "service.log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "ray.scripts.scripts", "start", *role, *arguments],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._wait(lambda: "Ray runtime started." in self.told)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.kill()
        if self._head is None:
            shutil.rmtree(self._temporary, ignore_errors=True)


class Nodes:
    """Two nodes with one CPU each, of which the second has folders of its own, as another host; a context manager."""

    def __init__(self, study: Study, number: int, hold: str = "") -> None:
        """`hold` is the phase that workers wait at: those of the second node where it begins with `other-host`, else
        all."""
        self.held = Held(study.logs / f"workers-{number}.marks")
        secret = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        path = os.pathsep.join([str(IN_RAY), str(ROOT)])
        marks = {MARKS: str(self.held.marks), "PYTHONPATH": path}
        phase = hold.removeprefix(OTHER_HOST)
        own = {**study.environment, **secret, **marks, HOLD: "" if phase != hold else hold}
        other = {**own, **study.folders_of(OTHER_HOST), HOLD: phase}
        self.head = RayNode(study.folder / f"ray-{number}-head", own)
        self.other = RayNode(study.folder / f"ray-{number}-other", other, self.head)
        self._secret = secret

    def __enter__(self) -> "Nodes":
        self.head.start()
        try:
            self.other.start()
        except BaseException:
            self.head.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.other.__exit__(None, None, None)
        self.head.__exit__(None, None, None)

    def options(self) -> list[str]:
        """The options of a sweep that is run by these nodes."""
        return ["--executor", "ray", "--ray-address", self.head.address]

    @property
    def environment(self) -> dict[str, str]:
        """What a command needs to join."""
        return self._secret


def kill_in_ray(bench: Bench, victim: Victim) -> Tally:
    """Kills a worker of Ray, the node that is another host, Ray's head, or the command, once in each phase of a cell.

    Where a worker or a node is lost, the sweep has to end well itself; else the same command is given again, after the
    head to a Ray that is started again. Then it is given on each host once more, where nothing is left to do but to
    tidy up.
    """
    tally = Tally()
    bench.reference(CELLS)
    for phase in OF_A_CELL:
        tally.add(_kill(bench, victim, phase))
    return tally


def _kill(bench: Bench, victim: Victim, phase: str) -> Tally:
    name = f"ray-{victim}-{phase.replace(' ', '-')}"
    drawn = random.Random(name)
    number = 1 if victim == "node" else drawn.choice((1, 2))
    hold = f"{OTHER_HOST if victim == 'node' else ''}{phase}:{number}"
    notes: list[str] = []
    with ExitStack() as running:
        server = running.enter_context(MlflowServer(bench.folder / f"{name}-service"))
        study = bench.study(name, CELLS, server.url)
        with Nodes(study, 1, hold) as nodes:
            command = study.sweep(*nodes.options(), environment=nodes.environment)
            if nodes.held.wait(command.process):
                nodes.held.go_on()
                time.sleep(drawn.random() * WITHIN_S)
                _end(victim, nodes, command)
                began = time.monotonic()
                code = command.end(ENDS_WITHIN_S)
                bench.tell(f"{name}: the command ended after {time.monotonic() - began:.0f} s with {code}")
            else:
                notes.append(f"ended before {phase}")
                code = command.end()
            if code != _CODES[victim]:
                notes.append(f"exit code {code}: {command.told.strip()[-300:]}")
            if victim == "command":
                notes += study.finish(*nodes.options(), environment=nodes.environment)
        if victim == "head":
            with Nodes(study, 2) as nodes:
                notes += study.finish(*nodes.options(), environment=nodes.environment)
        for environment in ({}, study.folders_of(OTHER_HOST)):
            notes += study.finish(environment=environment)
        tally = study.check(bench.reference(CELLS))
    return bench.concluded(study, name, tally, notes)


def _end(victim: Victim, nodes: Nodes, command: Command) -> None:
    if victim == "command":
        command.process.kill()
    elif victim == "worker":
        with suppress(ProcessLookupError):
            os.kill(nodes.held.pid, signal.SIGKILL)
    else:
        (nodes.other if victim == "node" else nodes.head).kill()

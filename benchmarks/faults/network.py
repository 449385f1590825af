"""The network between a runner and the tracking server, cut at a request drawn at random and mended again."""

import random
import socket
import struct
import threading
from contextlib import ExitStack, suppress
from typing import Literal

from benchmarks.faults.bench import Bench
from benchmarks.faults.marked import OF_A_CELL, START
from benchmarks.faults.outages import CELLS, sweep_through
from benchmarks.faults.services import MlflowServer
from benchmarks.faults.study import Tally

Cut = Literal["reset", "swallowed", "unanswered"]
AWAY_S: dict[Cut, float] = {"reset": 5.0, "swallowed": 20.0, "unanswered": 5.0}
"""How long the network is away; where it swallows packets, for longer than a request is tried."""
FIRST_REQUESTS = 12
"""The cut falls into one of so many requests from the beginning of the phase."""
_RESET = struct.pack("ii", 1, 0)
_REQUESTS = (b"GET ", b"PUT ", b"POST ", b"PATCH ", b"DELETE ")


class Proxy:
    """Passes connections on to a port of this machine, until it is told to lose them; a context manager.

    `reset` resets all connections, those to come too, with the request that it falls into. `swallowed` holds all that
    is sent either way, and passes it on once the network is mended, also to who has given up. `unanswered` passes
    requests on, and resets the connection in the place of the answer.
    """

    def __init__(self, port: int) -> None:
        self._to = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._state = threading.Condition()
        self._cut: Cut | None = None
        self._armed: tuple[Cut, int] | None = None
        self.cuts = 0
        """How often the network was cut."""

    def __enter__(self) -> "Proxy":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.close()
        self.mend()

    def lose(self, cut: Cut, after: int) -> None:
        """Cuts the network at the request that comes after so many others, and mends it AWAY_S later."""
        with self._state:
            self._armed = cut, after

    def mend(self) -> None:
        """Passes everything on from now on."""
        with self._state:
            self._cut = self._armed = None
            self._state.notify_all()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        with suppress(OSError), client, socket.create_connection(("127.0.0.1", self._to)) as server:
            answers = threading.Thread(target=self._pass_on, args=(server, client), daemon=True)
            answers.start()
            self._pass_on(client, server)
            answers.join()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        """Passes on what comes from one side until it ends, as the state of the network has it."""
        with suppress(OSError):
            while data := source.recv(65536):
                is_answer = not data.startswith(_REQUESTS) and source.getpeername()[1] == self._to
                cut = self._state_at(data)
                if cut == "reset" or (cut == "unanswered" and is_answer):
                    for side in (source, target):
                        side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                        with suppress(OSError):
                            side.shutdown(socket.SHUT_RD)  # wakes the thread of the other direction
                        side.close()
                    return
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def _state_at(self, data: bytes) -> Cut | None:
        """What becomes of some data; the one that it falls to begins the cut. Waits while packets are swallowed."""
        with self._state:
            if self._armed is not None and data.startswith(_REQUESTS):
                cut, after = self._armed
                self._armed = (cut, after - 1) if after else None
                if not after:
                    self._cut = cut
                    self.cuts += 1
                    mending = threading.Timer(AWAY_S[cut], self.mend)
                    mending.daemon = True
                    mending.start()
            if self._cut != "swallowed":
                return self._cut
            while self._cut is not None:
                self._state.wait()
            return None


def cut_network(bench: Bench, cut: Cut) -> Tally:
    """Cuts the network once from the start and from each phase of a cell on, at a request drawn at random."""
    tally = Tally()
    bench.reference(CELLS)
    for phase in (START, *OF_A_CELL):
        tally.add(_cut(bench, cut, phase))
    return tally


def _cut(bench: Bench, cut: Cut, phase: str) -> Tally:
    name = f"network-{cut}-{phase.replace(' ', '-')}"
    after = random.Random(name).randrange(FIRST_REQUESTS)
    with ExitStack() as running:
        server = running.enter_context(MlflowServer(bench.folder / f"{name}-service"))
        proxy = running.enter_context(Proxy(server.port))
        study = bench.study(name, CELLS, proxy.url)
        notes = sweep_through(study, phase, lambda: proxy.lose(cut, after), proxy.mend)
        notes += [] if proxy.cuts else [f"no request number {after} came"]
        tally = study.check(bench.reference(CELLS))
    return bench.concluded(study, name, tally, notes)

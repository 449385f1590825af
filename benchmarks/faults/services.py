"""Real services that are killed, stopped and started again: MLflow's server, and PostgreSQL behind it."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import psutil

from benchmarks.faults.study import SECRET
from cogx_runs.dashboard.server import LIGHT

STARTS_WITHIN_S = 120
POSTGRES_BINARIES = Path("/usr/lib/postgresql")


class Service:
    """A process with its children, at a port of its own; a context manager that ends it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self._process: subprocess.Popen[bytes] | None = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.kill()

    def kill(self) -> None:
        """Kills it and its children with SIGKILL, as the loss of its machine would."""
        self._signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """Has it take connections and answer nothing, as a network does that swallows packets."""
        self._signal(signal.SIGSTOP)

    def cont(self) -> None:
        """Has it go on after `stop`."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        if self._process is None:
            return
        with suppress(psutil.NoSuchProcess):
            own = psutil.Process(self._process.pid)
            for process in (*own.children(recursive=True), own):
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(number)

    def _wait(self, is_there: Callable[[], bool]) -> None:
        ends = time.monotonic() + STARTS_WITHIN_S
        while not is_there():
            assert self._process is not None
            assert self._process.poll() is None, f"{self.folder}: the service has ended: {self.told[-300:]}"
            assert time.monotonic() < ends, f"{self.folder}: the service does not start"
            time.sleep(0.1)

    @property
    def told(self) -> str:
        """What it has printed."""
        log = self.folder / "service.log"
        return log.read_text(errors="replace") if log.exists() else ""


class MlflowServer(Service):
    """`mlflow server`, with artifacts by way of the server."""

    def __init__(self, folder: Path, backend: str | None = None) -> None:
        """`backend` is the address of its database; by default a SQLite file of the folder."""
        super().__init__(folder)
        self._backend = backend or f"sqlite:///{folder}/mlflow.db"
        self.url = f"http://127.0.0.1:{self.port}"
        self.url_with_login = f"http://faults:{SECRET}@127.0.0.1:{self.port}"

    def __enter__(self) -> "MlflowServer":
        self.start()
        return self

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        with (self.folder / "service.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    sys.executable, "-m", "mlflow", "server", "--backend-store-uri", self._backend,
                    "--artifacts-destination", str(self.folder / "artifacts"), "--host", "127.0.0.1",
                    "--port", str(self.port), "--workers", "1",
                ],
                env=os.environ | LIGHT,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )  # fmt: skip
        self._wait(self._answers)

    def _answers(self) -> bool:
        """Asks as a browser would, with no library that remembers an answer."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
                connection.sendall(b"GET /health HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
                return b"200" in connection.recv(64)
        except OSError:
            return False


class Postgres(Service):
    """PostgreSQL of Debian's package, run by its own unprivileged user in a folder of ours."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._binaries = sorted(POSTGRES_BINARIES.glob("*/bin"))[-1]
        self._data = folder / "data"
        self.uri = f"postgresql://faults:{SECRET}@127.0.0.1:{self.port}/mlflow"

    def __enter__(self) -> "Postgres":
        for place in (self.folder, *self.folder.parents):  # its user has to reach the data
            if place.stat().st_uid == os.getuid() and place != Path("/"):
                place.chmod(place.stat().st_mode | 0o055)
        self._data.mkdir()
        shutil.chown(self._data, "postgres", "postgres")
        password = self.folder / "password"
        password.write_text(SECRET)
        password.chmod(0o644)
        options = ["-D", str(self._data), "-U", "faults", "-A", "scram-sha-256", f"--pwfile={password}", "-N"]
        self._run("initdb", *options)
        password.unlink()
        self.start()
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "faults", "mlflow")
        return self

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        settings = ["-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self._data}"]
        with (self.folder / "service.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._binaries / "postgres"), "-D", str(self._data), "-p", str(self.port), *settings],
                user="postgres",
                group="postgres",
                cwd=self._data,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        ready = [str(self._binaries / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        self._wait(lambda: subprocess.run(ready).returncode == 0)

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [str(self._binaries / program), *arguments],
            user="postgres",
            group="postgres",
            cwd=self._data,
            env={"PGPASSWORD": SECRET, "LANG": "C.UTF-8", "PATH": os.environ["PATH"]},
            check=True,
            capture_output=True,
        )

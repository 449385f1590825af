"""What a shared server takes: claims and whole runs a second on PostgreSQL, with so many runners at once.

python -m benchmarks.claims --runners 1 4 16 --seconds 20

Each runner is a process with locks of its own, as on a host of its own, and claims cells that no other one does; with
--same all claim the same cells in the same order, as people do who begin one sweep at one moment.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import IO

import psutil

from cogx_runs.definitions.prompts import PromptLibrary
from cogx_runs.definitions.sweep import load_sweeps
from cogx_runs.planning.cells import resolve_cells
from cogx_runs.tracking.claims import Claims
from cogx_runs.tracking.delivery import Delivery
from cogx_runs.tracking.spool import spooled_run
from cogx_runs.tracking.store import RunStore
from tests.support.login_server import PASSWORD, USER
from tests.support.shared_server import shared_server


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runners", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--workers", type=int, default=4, help="processes of MLflow's server")
    parser.add_argument("--same", action="store_true", help="all runners claim the same cells")
    parser.add_argument("--runner", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.runner is not None:
        run(arguments.runner, arguments.seconds)
        return
    folder = Path(tempfile.mkdtemp(prefix="cogx-claims-"))
    try:
        with shared_server(folder, arguments.workers) as url:
            os.environ |= {
                "MLFLOW_TRACKING_URI": url,
                "MLFLOW_TRACKING_USERNAME": USER,
                "MLFLOW_TRACKING_PASSWORD": PASSWORD,
            }
            for runners in arguments.runners:
                measure(folder, runners, arguments.seconds, arguments.same)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def measure(folder: Path, runners: int, seconds: float, same: bool) -> None:
    """Has so many runners claim and finish cells for some seconds, and prints what came of it."""
    RunStore().open_experiment(load_sweeps(["seed"])[0])
    command = [sys.executable, "-m", "benchmarks.claims", "--seconds", str(seconds), "--runner"]
    started = [
        subprocess.Popen(
            [*command, str(runners * 1000 + (0 if same else number))],
            env=os.environ
            | {name: str(folder / f"{runners}-{number}-{name}") for name in ("XDG_CACHE_HOME", "XDG_STATE_HOME")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(runners)
    ]
    for process in started:
        _out(process.stdout).readline()
    before = _cpu_s(), time.monotonic()
    for process in started:
        process.stdin.write("\n")  # type: ignore[union-attr]
        process.stdin.flush()  # type: ignore[union-attr]
    time.sleep(seconds)
    spent = {name: used - before[0][name] for name, used in _cpu_s().items()}
    took_s = time.monotonic() - before[1]
    told = [process.communicate()[0].split() for process in started]
    claims = [float(one) for lines in told for one in lines[0::2]]
    ends = [float(one) for lines in told for one in lines[1::2]]
    print(
        f"{runners} runners: {len(claims) / seconds:.1f} claims/s, each with its end; "
        f"a claim {median(claims) * 1000:.0f} ms (95%: {sorted(claims)[int(len(claims) * 0.95)] * 1000:.0f}), "
        f"an end {median(ends) * 1000:.0f} ms; "
        + ", ".join(f"{name} {used / took_s:.2f} cores" for name, used in spent.items()),
        flush=True,
    )


def run(number: int, seconds: float) -> None:
    """Claims and finishes cells, and prints how long each took, in s."""
    sweep = load_sweeps(["seed"])[0]
    spec = resolve_cells([sweep], PromptLibrary.find(), "cpu", {}).specs[0]
    store = RunStore()
    experiment = store.open_experiment(sweep)
    delivery = Delivery(store)
    times: list[tuple[float, float]] = []
    with Claims(store) as claims:
        print("ready", flush=True)
        sys.stdin.readline()
        ends, seed = time.monotonic() + seconds, number * 10_000
        while time.monotonic() < ends:
            begun = time.monotonic()
            seed += 1
            claim = claims.claim(experiment, spec.replace(seed=seed), {})
            claimed = time.monotonic()
            if claim is None:
                continue
            entry = spooled_run(claims.holder, claim.cell_id)
            (entry.files / "prompt.txt").write_text("x")
            delivery.end(entry, {"seed": seed}, {"clip_score": 30.0}, {})
            times.append((claimed - begun, time.monotonic() - claimed))
    for claim_s, end_s in times:
        print(claim_s, end_s)


def _out(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream


def _cpu_s() -> dict[str, float]:
    """CPU seconds of the processes of the server, of PostgreSQL and of the runners."""
    spent = {"MLflow": 0.0, "PostgreSQL": 0.0, "runners": 0.0}
    for process in psutil.process_iter(["name", "cmdline", "cpu_times"]):
        line: Sequence[str] = process.info["cmdline"] or []
        times = process.info["cpu_times"]
        if times is None:
            continue
        if "postgres" in process.info["name"]:
            spent["PostgreSQL"] += times.user + times.system
        elif "benchmarks.claims" in line and "--runner" in line:
            spent["runners"] += times.user + times.system
        elif "python" in process.info["name"] and any(
            part in " ".join(line) for part in ("mlflow server", "uvicorn", "multiprocessing")
        ):
            spent["MLflow"] += times.user + times.system
    return spent


if __name__ == "__main__":
    main()

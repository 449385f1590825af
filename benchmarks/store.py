"""What a large store costs: CPU seconds to plan, to load runs, to bring a board up to date, and to do nothing.

python benchmarks/store.py --runs 100 1000 10000
python benchmarks/store.py --runs 10000 --profile load_runs

The runs are written into MLflow's own tables, each with what a finished run of the toy has: 28 parameters, 26 metrics,
series by frame and step among them, 38 tags. All share one folder of artifacts.
"""

import argparse
import cProfile
import io
import json
import os
import pstats
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from cogx_runs.definitions.prompts import PromptLibrary
from cogx_runs.definitions.spec import RunSpec
from cogx_runs.definitions.sweep import Sweep, load_sweeps
from cogx_runs.metrics.registry import versions
from cogx_runs.planning.cells import resolve_cells
from cogx_runs.tracking import tags
from cogx_runs.tracking.digests import digests, write_digests
from cogx_runs.tracking.record import command, params, spec_metrics
from cogx_runs.tracking.store import RunStore
from cogx_runs.tracking.uri import sqlite_path

STARTED_MS = 1_760_000_000_000
METRICS = {
    "current_step": 4.0, "denoise_s": 2.8, "step_s": 0.7, "peak_ram_gib": 1.5, "idle_before_s": 0.0,
    "encode_text_s": 0.02, "decode_s": 6.9, "encode_video_s": 0.1, "wall_time_s": 9.8, "file_size_bytes": 11324.0,
    "clip_score": 28.3, "clip_score_file": 26.2, "background_consistency": 0.99, "clip_consistency": 0.99,
    "clip_iqa_quality": 0.5, "clip_iqa_noisiness": 0.5, "clip_iqa_sharpness": 0.34, "temporal_flickering": 0.99,
    "motion_magnitude": 0.19, "sharpness": 2128.0, "colourfulness": 76.2,
}  # fmt: skip
"""As a run of the toy has them."""
SERIES = {"by_step.latent_std": 4, "by_frame.change": 16, "by_frame.clip_score": 17}
"""Metrics with several values, and how many."""
ARTIFACTS = {
    "config.yaml": 877, "contact_sheet.png": 20_000, "latents.safetensors": 2_000, "metrics.yaml": 9_000,
    "prompt.txt": 288, "video.mp4": 11_324, **{f"images/{name}": 4_000 for name in "abcdefghijkl"},
}  # fmt: skip


def write_sweep(folder: Path, runs: int) -> Path:
    """Writes a sweep file of so many cells, a multiple of ten."""
    axes = {"seed": list(range(runs // 10)), "guidance_scale": list(range(1, 11))}
    base = {"model": "toy", "num_inference_steps": 4}
    content = {"name": "large", "prompts": ["panda_guitar"], "base": base, "axes": axes, "vary": "grid"}
    file = folder / "large.yaml"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    return file


def fill(folder: Path, sweep: Sweep) -> None:
    """Writes a finished run for each cell of a sweep into the store of the working folder."""
    specs = resolve_cells([sweep], PromptLibrary.find(), "cpu", versions()).specs
    store = RunStore()
    path = sqlite_path(store.uri)
    assert path is not None, "the working folder's store is a SQLite file"
    experiment = store.open_experiment(sweep)
    shared = folder / "mlruns" / experiment / "shared"
    for name, size in ARTIFACTS.items():
        file = shared / "artifacts" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(os.urandom(size))
    same = {
        tags.KIND: tags.CELL_KIND,
        tags.SWEEP: sweep.name,
        tags.LATENTS: tags.LATENTS_KEPT,
        tags.DIGESTS: write_digests(digests(shared / "artifacts")),
        tags.DEVICE_NAME: "a card of the benchmark",
        tags.DEFINITIONS: json.dumps(dict.fromkeys(METRICS, "1")),
        tags.PICTURE: "images/a",
        tags.MLFLOW_NOTE: "x" * 1000,
        **{f"{tags.ENV}{name}": "1.2.3" for name in "abcdefghijklmnop"},
        **{f"{tags.PREFIX}clip_score.{name}": "96" for name in "abcd"},
        **{f"{tags.PREFIX}process.{name}": uuid.uuid4().hex for name in "abcde"},
    }
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("PRAGMA synchronous = OFF")
        for number, spec in enumerate(specs):
            run_id = uuid.uuid4().hex
            place = shared.parent / run_id
            place.symlink_to(shared, target_is_directory=True)
            write_run(database, experiment, run_id, spec, number, str(place / "artifacts"), same)


def write_run(
    database: sqlite3.Connection,
    experiment: str,
    run_id: str,
    spec: RunSpec,
    number: int,
    artifacts: str,
    same: dict[str, str],
) -> None:
    """Writes one finished run as MLflow does."""
    at_ms = STARTED_MS + 10_000 * number
    own = {
        tags.SIGNATURE: spec.signature,
        tags.OUTPUT_HASH: spec.output_hash,
        tags.PROMPT: spec.prompt,
        tags.COMMAND: command(spec),
        tags.MLFLOW_RUN_NAME: spec.run_name,
    }
    info = {
        "run_uuid": run_id,
        "name": spec.run_name,
        "source_type": "UNKNOWN",
        "user_id": "unknown",
        "status": "FINISHED",
        "start_time": at_ms,
        "end_time": at_ms + 9_800,
        "lifecycle_stage": "active",
        "artifact_uri": artifacts,
        "experiment_id": int(experiment),
    }
    insert(database, "runs", info, [tuple(info.values())])
    insert(database, "params", ["key", "value", "run_uuid"], [(k, str(v), run_id) for k, v in params(spec).items()])
    insert(database, "tags", ["key", "value", "run_uuid"], [(k, v, run_id) for k, v in (same | own).items()])
    values = METRICS | spec_metrics(spec) | {"clip_score": 20 + number % 97 / 10}
    points = [(key, value, at_ms, 0, False, run_id) for key, value in values.items()]
    points += [(key, 0.5 + step, at_ms, step, False, run_id) for key, many in SERIES.items() for step in range(many)]
    columns = ["key", "value", "timestamp", "step", "is_nan", "run_uuid"]
    insert(database, "metrics", columns, points)
    insert(database, "latest_metrics", columns, list({point[0]: point for point in points}.values()))


def insert(database: sqlite3.Connection, table: str, columns: Any, rows: Sequence[tuple[Any, ...]]) -> None:
    names = ", ".join(columns)
    database.executemany(f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(rows[0]))})", rows)


def timed(work: Callable[[], object], times: int = 3) -> float:
    """Median CPU seconds of several calls, those of processes that they wait for among them: a busy machine changes
    them less than the clock's."""
    seconds = []
    for _ in range(times):
        start = sum(os.times()[:4])
        work()
        seconds.append(sum(os.times()[:4]) - start)
    return median(seconds)


def profiled(work: Callable[[], object]) -> None:
    """Prints where the time of a call goes."""
    profile = cProfile.Profile()
    profile.runcall(work)
    text = io.StringIO()
    pstats.Stats(profile, stream=text).sort_stats("cumulative").print_stats(35)
    print(text.getvalue())


def run_command(arguments: Sequence[str]) -> None:
    cli = [sys.executable, "-c", "from cogx_runs.cli import main; main()", *arguments]
    subprocess.run(cli, check=True, capture_output=True)


def commands(file: Path) -> Iterator[tuple[str, list[str]]]:
    """Lists the commands that are measured whole, interpreter and imports with them."""
    yield "plan study", ["plan", "study", "--json"]
    yield "plan of all cells", ["plan", str(file), "--json"]
    yield "sweep with nothing to do", ["sweep", str(file), "--json"]
    yield "runs --json", ["runs", "--json"]


def measure(folder: Path, runs: int, profile: str | None) -> None:
    file = write_sweep(folder, runs)
    fill(folder, load_sweeps([file])[0])
    from cogx_runs.analysis.frame import load_runs
    from cogx_runs.api import plan_sweeps
    from cogx_runs.dashboard.board import Boards, refresh

    store = RunStore()
    boards = Boards(store)
    boards.open({"large": store.experiment_id("large")}, {"large": runs})
    calls: dict[str, Callable[[], object]] = {
        "load_runs": load_runs,
        "plan_sweeps": lambda: plan_sweeps(["study"]),
        "history": store.history,
        "refresh": lambda: refresh(store, "large", draws=False),
        "board": lambda: boards._write("large"),
    }
    if profile is not None:
        profiled(calls[profile])
        return
    print(f"{runs} runs")
    for name, work in calls.items():
        print(f"  {name}: {timed(work):.3f} s")
    for name, arguments in commands(file):
        print(f"  {name}: {timed(partial(run_command, arguments)):.2f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, nargs="+", default=[100, 1000, 10_000])
    parser.add_argument("--profile", metavar="CALL", help="Print where the time of one call goes, and no seconds.")
    arguments = parser.parse_args()
    for runs in arguments.runs:
        folder = Path(tempfile.mkdtemp(prefix="cogx-bench-"))
        try:
            os.chdir(folder)
            measure(folder, runs, arguments.profile)
        finally:
            os.chdir(Path(__file__).parent)
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()

"""What tracking costs: seconds a run on SQLite, seconds to read runs back, and the start of the command line.

python benchmarks/tracking.py --runs 1000
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from cogx_runs.analysis.frame import load_runs
from cogx_runs.definitions.prompts import PromptLibrary
from cogx_runs.definitions.spec import RunSpec
from cogx_runs.definitions.sweep import load_sweeps
from cogx_runs.planning.cells import resolve_cells
from cogx_runs.tracking import tags
from cogx_runs.tracking.claims import Claims, is_device_shared
from cogx_runs.tracking.delivery import Delivery
from cogx_runs.tracking.provenance import provenance
from cogx_runs.tracking.record import command, params
from cogx_runs.tracking.spool import spooled_run
from cogx_runs.tracking.store import RunStore

METRICS = {
    "clip_score": 30.0, "wall_time_s": 1.0, "encode_text_s": 0.1, "denoise_s": 0.7, "decode_s": 0.1,
    "encode_video_s": 0.1, "step_s": 0.01, "peak_vram_gib": 4.0, "peak_vram_reserved_gib": 5.0, "peak_ram_gib": 18.0,
    "file_size_bytes": 200000.0, "axis.seed": 1.0,
}  # fmt: skip


def track(
    store: RunStore, claims: Claims, experiment: str, spec: RunSpec, about: dict[str, str], artifacts: Path
) -> float:
    """Everything that is asked of the store for one generated run. Returns seconds."""
    start = time.perf_counter()
    claim = claims.claim(experiment, spec, about | {tags.COMMAND: command(spec)})
    assert claim is not None, "each seed is a cell of its own"
    claims.is_being_made(claim.run_id, spec.signature)
    store.find_finished(spec.output_hash)
    store.find_latents(spec.signature)
    for _ in ("before", "after"):
        is_device_shared(store, about[tags.DEVICE_ID], claims.holder)
    run = spooled_run(claims.holder, claim.cell_id)
    shutil.copytree(artifacts, run.files, dirs_exist_ok=True)
    Delivery(store).end(run, params(spec), METRICS, {f"cogx.clip_score.{i}": "x" for i in range(6)})
    return time.perf_counter() - start


def seconds_of(*arguments: str) -> float:
    """Median wall time of five runs of a command."""
    times = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - start)
    return median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="cogx-bench-"))
    try:
        os.chdir(folder)
        measure(folder, arguments.runs)
    finally:
        shutil.rmtree(folder)


def measure(folder: Path, runs: int) -> None:
    sweep = load_sweeps(["seed"])[0]
    specs = resolve_cells([sweep], PromptLibrary.find(), "cpu", {}).specs
    artifacts = folder / "artifacts"
    artifacts.mkdir()
    for name, size in (("video.mp4", 200_000), ("latents.safetensors", 2_000_000), ("contact_sheet.png", 500_000)):
        (artifacts / name).write_bytes(os.urandom(size))
    store = RunStore()
    experiment = store.open_experiment(sweep)
    about = provenance("cpu")  # once a sweep
    small = folder / "small"
    small.mkdir()
    (small / "prompt.txt").write_text("x")
    with Claims(store) as claims:
        times = [track(store, claims, experiment, specs[0].replace(seed=seed), about, artifacts) for seed in range(20)]
        print(f"tracking a run on SQLite: median {median(times):.3f} s, most {max(times):.3f} s")
        for seed in range(20, runs):
            track(store, claims, experiment, specs[0].replace(seed=seed), about, small)
        late = [track(store, claims, experiment, specs[0].replace(seed=runs + i), about, artifacts) for i in range(20)]
        print(f"the same with {runs} runs in the store: median {median(late):.3f} s, most {max(late):.3f} s")
    start = time.perf_counter()
    frame = load_runs("exp3_seed")
    print(f"load_runs of {len(frame)} runs, {len(frame.columns)} columns: {time.perf_counter() - start:.2f} s")
    cli = ["-c", "from cogx_runs.cli import main; main()"]
    bare = seconds_of("-c", "import click")
    print(f"--help: {seconds_of(*cli, '--help') - bare:.3f} s beyond a bare `import click` ({bare:.3f} s)")
    print(f"plan --no-store of the study: {seconds_of(*cli, 'plan', 'study', '--no-store'):.2f} s")
    grid = {"seed": list(range(1000)), "guidance_scale": list(range(1, 11))}
    (folder / "grid.yaml").write_text(
        json.dumps({"name": "g", "prompts": ["panda_guitar"], "axes": grid, "vary": "grid"})
    )
    print(f"plan --no-store of 10,000 cells: {seconds_of(*cli, 'plan', 'grid.yaml', '--no-store', '--json'):.2f} s")


if __name__ == "__main__":
    main()

"""Where the time goes from the command `cogx-runs sweep` to the first denoising step.

    python -m benchmarks.startup                                     # toy
    python -m benchmarks.startup --model FOLDER --set clip_model=ViT-B-32:random.pt
    python -m benchmarks.startup --model FOLDER --set compile=true --rounds 2

Runs a sweep of one video of two steps in several processes, each with a tracking store of its own. The first finds
empty caches; the others find the texts and the compiled code that it kept. Prints when each of the marks was passed, in
seconds since the process was asked for, and the CPU seconds that the process had taken until then, which other work on
the machine changes little: of the first process, and the medians of the others. A mark is the beginning of what it
names; a package's is the beginning of its import.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from benchmarks.bench_parts import environment, warm_page_cache
from cogx_runs.planning.plan import Plan
from cogx_runs.progress import Progress, SilentProgress
from cogx_runs.system.hardware import choose_device

PACKAGES = frozenset({"torch", "diffusers", "transformers", "peft", "scipy", "mlflow", "open_clip"})
FIRST_STEP = "the first step"
Marks = dict[str, tuple[float, float]]
"""Seconds since the start, and CPU seconds, by what began then."""


class _Recorder(SilentProgress):
    """Notes when each phase begins first, and when the first step does."""

    def __init__(self, started: float) -> None:
        self._started = started
        self.marks: Marks = {}

    def mark(self, name: str) -> None:
        self.marks.setdefault(name, (time.monotonic() - self._started, time.process_time()))

    def cell_started(self, name: str, steps: int) -> None:  # noqa: ARG002 (the same in each process)
        self.mark("the cell")

    def phase(self, name: str) -> None:
        self.mark(FIRST_STEP if name == "denoising" else name)

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None = None,  # noqa: ARG002 (what a finder is given)
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """Notes an import as one of `sys.meta_path`, and leaves it to the others."""
        if name in PACKAGES:
            self.mark(f"import {name}")
        return None


def child(started: float, arguments: Sequence[str]) -> None:
    """Runs the command line with these arguments, and writes the marks to `marks.json`."""
    recorder = _Recorder(started)
    recorder.mark("the interpreter has started")
    sys.meta_path.insert(0, recorder)
    from cogx_runs.cli import main, progress

    @contextmanager
    def show_progress(plan: Plan) -> Iterator[Progress]:  # noqa: ARG001 (in the place of the command line's own)
        recorder.mark("the plan is there")
        try:
            yield recorder
        finally:
            Path("marks.json").write_text(json.dumps(recorder.marks), encoding="utf-8")

    progress.show_progress = show_progress
    sys.argv = ["cogx-runs", *arguments]
    main()


def run(folder: Path, options: Sequence[str], environment: Mapping[str, str]) -> Marks:
    """Runs the sweep in an empty folder, and returns its marks. Exits with its output where it fails."""
    folder.mkdir()
    sweep = {"name": "startup", "prompts": ["panda_guitar"], "base": {"num_inference_steps": 2}}
    (folder / "startup.yaml").write_text(json.dumps(sweep), encoding="utf-8")
    started = time.monotonic()
    command = [sys.executable, __file__, "--child", str(started), "sweep", "startup.yaml", *options]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    marks: Marks = json.loads((folder / "marks.json").read_text(encoding="utf-8"))
    return marks


def table(first: Marks, others: Sequence[Marks]) -> str:
    """Writes the marks as a Markdown table, in the order in which the later processes pass them."""

    def median(name: str, place: int) -> float | None:
        found = [marks[name][place] for marks in others if name in marks]
        return statistics.median(found) if found else None

    rows = ["| | first process, s | CPU s | next, s | CPU s |", "|---|---|---|---|---|"]
    names = dict.fromkeys([*first, *(name for marks in others for name in marks)])
    for name in sorted(names, key=lambda name: median(name, 0) or first[name][0]):
        values = [*first.get(name, (None, None)), median(name, 0), median(name, 1)]
        cells = ["" if value is None else f"{value:.2f}" for value in values]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="toy", help="toy, 2b, 5b, or a model folder")
    parser.add_argument("--device", default="auto", choices=["auto", "cuda", "cpu"])
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="parameters of the video")
    parser.add_argument("--rounds", type=int, default=3, help="processes after the first")
    arguments = parser.parse_args()
    device = choose_device(arguments.device)
    model = Path(arguments.model)
    found = environment(device)
    found.setdefault("HF_HOME", str(Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "huggingface"))
    is_folder = model.is_dir()
    options = ["--device", device, "--model", str(model.absolute()) if is_folder else arguments.model]
    for one in arguments.set:
        options += ["--set", one]
    with tempfile.TemporaryDirectory(prefix="startup-") as name:
        folder = Path(name)
        found |= {"XDG_CACHE_HOME": str(folder / "cache"), "XDG_STATE_HOME": str(folder / "state")}
        warm_page_cache(model if is_folder else folder, found)
        first, *others = [run(folder / str(number), options, found) for number in range(1 + arguments.rounds)]
    print(table(first, others))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(float(sys.argv[2]), sys.argv[3:])
    else:
        main()

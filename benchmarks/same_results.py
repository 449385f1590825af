"""Whether a change of the code changed no result: the same toy cells made by two checkouts, compared field by field.

    git worktree add /tmp/before HEAD                                         # the code before the change
    python -m benchmarks.same_results record /tmp/a --checkout /tmp/before    # two to three minutes of two CPU cores
    python -m benchmarks.same_results record /tmp/b                           # the code of this checkout
    python -m benchmarks.same_results compare /tmp/a /tmp/b                   # exits with 1 for any difference
    python -m benchmarks.same_results replan /tmp/a                           # its cells are done for this one, too?

Only what is outside of the package's modules is used: the command line and what it leaves in MLflow, so that modules
may be moved and renamed. What two records of the same code differ in is masked, as `same_results_normal.py` says.
Record both on one machine with the same packages: other ones may round otherwise.
"""

import argparse
import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from benchmarks.same_results_normal import Normal, rows_of, sentences_of
from benchmarks.same_results_store import experiments_of, names_of, runs_of

RESULTS = "results.json"
CHECKOUT = "checkout"
"""The key of whose code was recorded; all else is compared."""
PROMPT, OTHER_PROMPT = "panda_guitar", "oceano_balena"
MORE_PROMPTS = ("astronauta_luna", "cane_parco", "gatto_hacker", "samurai_pioggia")
TOY = {"model": "toy", "num_inference_steps": 4, "num_frames": 9}
BROKEN = "broken"
"""A model folder whose transformer gives what is no number: its cells fail."""
BROKEN_TIME = 1_700_000_000
"""When its files were changed, which is part of a folder's revision."""


def sweep(base: Mapping[str, Any] = TOY, prompts: tuple[str, ...] = (PROMPT,), **keys: Any) -> dict[str, Any]:
    """Describes a sweep around the toy's base."""
    return {"prompts": prompts, "base": {**TOY, **base}, **keys}


SWEEPS = {
    "guidance": sweep(axes={"guidance_scale": [1, 6, 12]}),
    "steps": sweep(axes={"num_inference_steps": [2, 4, 10]}),
    "negative": sweep(axes={"negative_prompt": ["", "blurry, dark"]}),
    "frames": sweep(axes={"num_frames": [9, 17]}),
    "schedulers": sweep(
        axes={"scheduler": ["ddim_matched", "dpm", "dpm_matched"], "num_inference_steps": [7, 5, 6]}, vary="zip"
    ),
    "dynamic": sweep({"use_dynamic_cfg": True, "vae_tiling": False, "video_quality": 7.0}),
    "seeds": sweep(prompts=(PROMPT, OTHER_PROMPT), axes={"seed": [42, 7, 123]}),
    "broken": sweep({"model": BROKEN, "clip_model": "toy"}, axes={"seed": [1, 2]}),
    "aborted": sweep({"model": BROKEN, "clip_model": "toy", "abort_degenerate": True}, axes={"seed": [3]}),
    "search": sweep(
        axes={"guidance_scale": {"low": 1, "high": 12}, "num_inference_steps": [2, 4, 5]},
        vary="optuna",
        optuna={"trials": 3, "objectives": ["clip_score"], "startup_trials": 2},
    ),
}
LATER = {"fps": sweep(axes={"fps": [8, 12]})}
"""Made by a process of its own, from kept latents."""
PLANNED = {
    "grid": sweep(axes={"seed": [1, 2], "guidance_scale": [1, 6]}, vary="grid"),
    "random": sweep(axes={"seed": [1, 2, 3], "guidance_scale": [1, 6, 9]}, vary="random", random={"count": 4}),
    "rules": sweep({"num_inference_steps": 7, "num_frames": 10}, axes={"guidance_scale": [0.5, 40]}),
    "mistakes": sweep({"num_frame": 9}, axes={"sed": [1]}),
}
"""Never made."""
SEARCHED = {"counts": sweep({"scheduler": "ddim_matched"}, prompts=(PROMPT, OTHER_PROMPT, *MORE_PROMPTS))}
"""Made by `threshold`, which takes five prompts or more."""

_FIRST, _ALL = (" ".join(f"{name}.yaml" for name in names) for names in (SWEEPS, [*SWEEPS, *LATER]))
AFTER = {"plan after": f"plan {_ALL} --device cpu --json", "runs": "runs --json"}
"""What another checkout must say of the same store, too."""
COMMANDS = {
    "plan before": f"plan {_ALL} --device cpu --json",
    "plan as text": f"plan {_ALL} --device cpu --no-store",
    **{f"plan {name}": f"plan {name}.yaml --device cpu --no-store --json" for name in PLANNED},
    **{
        f"plan study of {model}": f"plan study --model {model} --device cpu --no-store --json" for model in ("2b", "5b")
    },
    "sweep": f"sweep {_FIRST} --device cpu --json",
    "sweep again": "sweep fps.yaml guidance.yaml broken.yaml --device cpu --json",
    "generate": f"generate {OTHER_PROMPT} --model toy --steps 4 --frames 9 --device cpu -o generated.mp4 --json",
    "promote all, dry": "promote seeds.yaml --by clip_score --steps 10 --top all --device cpu --dry-run --json",
    "promote": "promote seeds.yaml --by clip_score --steps 10 --device cpu --json",
    "threshold": "threshold counts.yaml --ladder 2,4,6 --reference 6 --margin 5 --may-lose 0.4 --device cpu --json",
    "rescore": "rescore steps.yaml --reference num_inference_steps=10 --device cpu",
    "export guidance": "export guidance.yaml exported",
    "export steps": "export steps.yaml exported",
    "report": "report guidance steps seeds search broken -o report --baseline guidance_scale=6 --margin clip_score=5",
    "runs asked for": "runs seeds --where status=FINISHED --where 'clip_score>0' --sort -clip_score --json",
    "init": "init laid-out",
    **AFTER,
}


@dataclass(frozen=True)
class Tool:
    """The command line of a checkout, at work in a folder."""

    checkout: Path
    folder: Path

    def run(self, words: str) -> subprocess.CompletedProcess[str]:
        """Runs a command as `cogx-runs` would."""
        project = tomllib.loads((self.checkout / "pyproject.toml").read_text(encoding="utf-8"))
        module, _, name = project["project"]["scripts"]["cogx-runs"].partition(":")
        return self._python(f"import sys; from {module} import {name}; sys.exit({name}())", *shlex.split(words))

    def check(self) -> None:
        """Exits where it is another checkout's code that would run."""
        found = Path(self._python("import cogx_runs; print(cogx_runs.__file__)").stdout.strip())
        if not found.is_relative_to(self.checkout):
            sys.exit(f"{self.checkout}: Python takes cogx_runs from {found}")

    def _python(self, code: str, *words: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {
            "PYTHONPATH": str(self.checkout),
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "XDG_STATE_HOME": str(self.folder / "state"),
            "HF_HUB_OFFLINE": "1",
            "CUDA_VISIBLE_DEVICES": "",
            "OMP_NUM_THREADS": "1",  # several wait for each other many times over on a machine that others use too
        }
        environment.pop("MLFLOW_TRACKING_URI", None)
        command = [sys.executable, "-c", code, *words]
        return subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True)


def record(folder: Path, checkout: Path) -> None:
    """Records what a checkout makes of the toy cells, in an empty folder."""
    if folder.exists() and any(folder.iterdir()):
        sys.exit(f"{folder}: is not empty")
    folder.mkdir(parents=True, exist_ok=True)
    tool = Tool(checkout, folder)
    tool.check()
    for name, content in {**SWEEPS, **LATER, **PLANNED, **SEARCHED}.items():
        (folder / f"{name}.yaml").write_text(json.dumps({"name": name, **content}), encoding="utf-8")
    break_model(tool)
    done = {name: run_shown(tool, name, words) for name, words in COMMANDS.items()}
    normal = Normal(folder, (checkout,), names_of(folder))
    results = {
        CHECKOUT: str(checkout),
        "commands": {name: outcome(process, normal) for name, process in done.items()},
        "runs": runs_of(folder, normal),
        "experiments": experiments_of(folder, normal),
        "files": files_of(folder, normal),
        "report": sentences_of((folder / "report" / "report.html").read_text(encoding="utf-8"), normal),
    }
    text = json.dumps(results, indent=1, ensure_ascii=False)
    (folder / RESULTS).write_text(text, encoding="utf-8")
    print(f"{len(results['runs'])} runs recorded in {folder / RESULTS}")


def break_model(tool: Tool) -> None:
    """Copies the toy with weights that are no numbers; where it lies, a plan tells."""
    planned = tool.run("plan grid.yaml --device cpu --no-store --json")
    source = json.loads(planned.stdout)["runs"][0]["config"]["model_source"]
    broken = tool.folder / BROKEN
    shutil.copytree(source, broken)
    for path in (broken / "transformer").glob("*.safetensors"):
        tensors = load_file(path)
        tensors["proj_out.bias"] = np.full_like(tensors["proj_out.bias"], np.nan)
        save_file(tensors, path, metadata={"format": "pt"})
    for path in broken.rglob("*.safetensors"):
        os.utime(path, (BROKEN_TIME, BROKEN_TIME))


def run_shown(tool: Tool, name: str, words: str) -> subprocess.CompletedProcess[str]:
    """Runs a command and says how it ended."""
    began = time.monotonic()
    process = tool.run(words)
    print(f"{name}: exit code {process.returncode}, {time.monotonic() - began:.1f} s", flush=True)
    return process


def outcome(process: subprocess.CompletedProcess[str], normal: Normal) -> dict[str, Any]:
    """Tells what a command printed, JSON as such, and its exit code."""
    try:
        printed = normal(json.loads(process.stdout))
    except ValueError:
        printed = normal(process.stdout.splitlines())
    return {"exit": process.returncode, "printed": printed, "said": normal.said(process.stderr)}


def files_of(folder: Path, normal: Normal) -> dict[str, Any]:
    """Tells what `generate`, `export`, `report` and `init` wrote; the tables row by row."""
    found: dict[str, Any] = {}
    paths = [
        folder / "generated.mp4",
        *(path for name in ("exported", "laid-out") for path in (folder / name).rglob("*")),
    ]
    for path in filter(Path.is_file, paths):
        is_table = path.suffix == ".csv"
        content = rows_of(path, normal) if is_table else hashlib.sha256(path.read_bytes()).hexdigest()
        found[str(path.relative_to(folder))] = content
    return found | {f"report/{path.name}": "a file" for path in (folder / "report").iterdir()}


def compare(one: Any, other: Any, path: str = "") -> Iterator[str]:
    """Compares field by field, and yields each difference with its path. An object's keys have no order."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(one.keys() | other.keys()):
            if key not in one or key not in other:
                yield f"{path}/{key}: {'missing' if key in one else 'new'}: {shortened(one.get(key, other.get(key)))}"
            else:
                yield from compare(one[key], other[key], f"{path}/{key}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for index, (left, right) in enumerate(zip(one, other, strict=True)):
            yield from compare(left, right, f"{path}/{index}")
    elif one != other or type(one) is not type(other):
        yield f"{path}: {shortened(one)} became {shortened(other)}"


def shortened(value: Any) -> str:
    """Cuts what is long."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 300 else f"{text[:300]} …"


def replan(folder: Path, checkout: Path) -> list[str]:
    """Asks a checkout of the store that another one wrote, and tells what it says otherwise than that one."""
    tool = Tool(checkout, folder)
    tool.check()
    recorded = json.loads((folder / RESULTS).read_text(encoding="utf-8"))
    normal = Normal(folder, (Path(recorded[CHECKOUT]), checkout), names_of(folder))
    found = {name: outcome(run_shown(tool, name, words), normal) for name, words in AFTER.items()}
    actions = [run["action"] for run in found["plan after"]["printed"]["runs"]]
    print(f"{len(actions)} cells: {', '.join(f'{actions.count(name)} {name}' for name in sorted(set(actions)))}")
    return list(compare({name: recorded["commands"][name] for name in AFTER}, found))


def results_of(folder: Path) -> dict[str, Any]:
    """Reads of a record what is compared."""
    recorded: dict[str, Any] = json.loads((folder / RESULTS).read_text(encoding="utf-8"))
    return {key: value for key, value in recorded.items() if key != CHECKOUT}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, what in (("record", "make the cells"), ("replan", "plan them again with the store of a record")):
        one = commands.add_parser(name, help=what)
        one.add_argument("folder", type=Path)
        one.add_argument("--checkout", type=Path, default=Path(__file__).parents[1], help="whose code; else this one's")
    two = commands.add_parser("compare", help="compare two records")
    two.add_argument("one", type=Path)
    two.add_argument("other", type=Path)
    return parser.parse_args()


def main() -> None:
    arguments = parse()
    if arguments.command == "record":
        record(arguments.folder.resolve(), arguments.checkout.resolve())
        return
    if arguments.command == "compare":
        found = list(compare(results_of(arguments.one), results_of(arguments.other)))
    else:
        found = replan(arguments.folder.resolve(), arguments.checkout.resolve())
    print("\n".join([*found, f"{len(found)} differences"]))
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()

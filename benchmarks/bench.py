"""The old loop and `cogx-runs sweep` on one machine: the same model folder, the same videos, the same seeds.

    python -m benchmarks.bench                                       # toy
    python -m benchmarks.bench --model 2b --records bench-2b         # the real weights
    python -m benchmarks.bench --model 2b --records bench-2b --report

The old loop makes each video that the sweep files ask for in a process of its own (`old_loop.py`); `cogx-runs sweep`
runs in a fresh folder, with an empty tracking store and empty caches, and its whole process is timed. Each part that
is done is a record in the folder of `--records`: the same command goes on with what is not recorded, and a table of
what is known so far ends each call. A sweep is measured again once the tool's code has changed; to measure all anew,
delete the folder. `--compile`, `--max-vram` and what else only `cogx-runs` has are measured beside the same old loop:
the table is that of the options given.
"""

import argparse
import json
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

import cogx_runs
from benchmarks.bench_parts import environment, key_of, make_new, make_old, warm_page_cache
from benchmarks.bench_records import Asked, Cell, NewSweep, OldVideo, Part, Records
from benchmarks.bench_report import report
from cogx_runs.definitions.spec import EXACT_VALUES, RunSpec
from cogx_runs.errors import CogxError
from cogx_runs.models.cards import ModelCard
from cogx_runs.planning.plan import Plan
from cogx_runs.system.hardware import Device, choose_device, device_name

OLD_KNOWS = frozenset({"num_inference_steps", "guidance_scale", "num_frames", "seed", "fps"})
"""What the old script has an option for."""
NEW_ONLY = frozenset({"placement", "fast", "clip_model", *EXACT_VALUES})
"""What only `cogx-runs` has, and what may differ from one measurement of it to the next."""


def parts(cells: Sequence[Cell], rounds: int, old_videos: int | None) -> list[Part]:
    """All parts in their order: one round has the sweep between the halves of the old loop; of several, the even ones
    have it first and the odd ones last.

    Of fewer old videos than cells, those come first that no other one can stand for.
    """
    steps = [cell.step for cell in cells]
    by_need = sorted(range(len(cells)), key=lambda index: steps[index] in steps[:index])
    chosen = sorted(by_need[: len(cells) if old_videos is None else old_videos])
    order = []
    for number in range(rounds):
        old = [Part(number, index) for index in chosen]
        place = len(old) // 2 if rounds == 1 else 0 if number % 2 == 0 else len(old)
        order += [*old[:place], Part(number, None), *old[place:]]
    return order


def asked_of(plan: Plan, model: str, folder: Path) -> Asked:
    """What a plan's videos are, without what the records do not need."""
    specs = [run.spec for run in plan.runs]
    cells = tuple(
        Cell(
            key=key_of(spec.config),
            name=f"{spec.sweep}: {spec.run_name}",
            num_inference_steps=spec.num_inference_steps,
            num_frames=spec.num_frames,
            guided=spec.is_guided,
            step_tflop=step_tflop(folder, spec),
        )
        for spec in specs
    )
    return Asked(model, device_name(specs[0].device), specs[0].device == "cuda", cells)


def model_folder(card: ModelCard) -> Path:
    """The folder of a model, downloaded where it is one of the hub's."""
    if card.is_local:
        return Path(card.source)
    from diffusers import CogVideoXPipeline

    return Path(CogVideoXPipeline.download(card.source, revision=card.revision))


def step_tflop(folder: Path, spec: RunSpec) -> float:
    """What one denoising step of a cell computes in the transformer's linear layers and in its attention."""
    config = json.loads((folder / "transformer" / "config.json").read_text(encoding="utf-8"))
    vae = json.loads((folder / "vae" / "config.json").read_text(encoding="utf-8"))
    pixels = 2 ** (len(vae["block_out_channels"]) - 1) * config["patch_size"]
    latent_frames = (spec.num_frames - 1) // vae["temporal_compression_ratio"] + 1
    tokens = latent_frames * (spec.height // pixels) * (spec.width // pixels) + spec.max_sequence_length
    width = config["num_attention_heads"] * config["attention_head_dim"]
    linear = 2 * 12 * width**2 * tokens
    attention = 4 * width * tokens**2
    batch = 2 if spec.is_guided else 1
    return float(batch * config["num_layers"] * (linear + attention)) / 1e12


def unrecorded(order: Sequence[Part], records: Records, only: str | None) -> list[Part]:
    """The parts that are still to be done; with `only`, those of the `old` loop or those of the `new` one."""
    asked = [part for part in order if only in (None, "new" if part.index is None else "old")]
    return [part for part in asked if not records.has(part)]


def measure(plan: Plan, folder: Path, arguments: argparse.Namespace, options: Sequence[str], records: Records) -> None:
    """Make what is not recorded yet."""
    cells = records.asked().cells
    device = plan.runs[0].spec.device
    todo = unrecorded(parts(cells, arguments.rounds, arguments.old_videos), records, arguments.only)
    began = time.monotonic()
    if todo:
        print("reading the model's files", flush=True)
        warm_page_cache(folder, environment(device))
    for part in todo:
        if arguments.stop_after is not None and time.monotonic() - began > arguments.stop_after:
            print(f"stopped after {arguments.stop_after:g} s; the same command goes on")
            break
        result: OldVideo | NewSweep
        with tempfile.TemporaryDirectory(prefix="cogx-bench-") as name:
            if part.index is None:
                what, result = "cogx-runs sweep", make_new(arguments.sweeps, options, device, Path(name))
            else:
                what = f"old loop, {cells[part.index].name}"
                result = make_old(plan.runs[part.index].spec, folder, Path(name))
        records.keep(part, result)
        print(f"round {part.round}: {what}: {result.wall_s:.1f} s", flush=True)


def check_plan(sweeps: Sequence[str], overrides: Mapping[str, Any], device: Device) -> Plan:
    """The plan of these sweeps. Exits with its errors where it has any."""
    plan = cogx_runs.plan_sweeps(sweeps, overrides=overrides, device=device, use_store=False)
    if plan.errors:
        sys.exit("\n".join(f"{advice.where}: {advice.message}" for advice in plan.errors))
    return plan


def overrides_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """What the command line sets. Exits for a key that the old loop has no option for."""
    model = Path(arguments.model)
    found = {"model": str(model.absolute()) if model.is_dir() else arguments.model}
    for word in arguments.set:
        key, equals, text = word.partition("=")
        if not equals or key not in OLD_KNOWS | NEW_ONLY:
            sys.exit(f"--set {word}: write KEY=VALUE, KEY one of {', '.join(sorted(OLD_KNOWS | NEW_ONLY))}")
        found[key] = yaml.safe_load(text)
    if arguments.compile:
        found["compile"] = True
    return found


def options_of(overrides: Mapping[str, Any], arguments: argparse.Namespace) -> list[str]:
    """The options of `cogx-runs sweep` beside its files and the machine's."""
    options = [
        word
        for key, value in overrides.items()
        for word in ("--set", f"{key}={value if isinstance(value, str) else json.dumps(value)}")
    ]
    return options + (["--max-vram", f"{arguments.max_vram:g}"] if arguments.max_vram is not None else [])


def label_of(overrides: Mapping[str, Any], arguments: argparse.Namespace) -> str:
    """A name for the way in which `cogx-runs` is measured."""
    ours = [f"{key}={overrides[key]}".replace("/", "_") for key in sorted(NEW_ONLY & set(overrides))]
    return ",".join(ours + ([f"max_vram={arguments.max_vram:g}"] if arguments.max_vram is not None else [])) or "auto"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="toy", help="2b, toy, or a folder in diffusers' format")
    parser.add_argument("--sweeps", nargs="+", default=["guidance", "steps"], metavar="FILE")
    parser.add_argument("--records", type=Path, default=Path(".bench"), metavar="FOLDER")
    parser.add_argument("--device", choices=["auto", "cuda", "cpu"], default="auto")
    parser.add_argument("--rounds", type=int, default=1, help="how often each is measured; the medians count")
    parser.add_argument("--old-videos", type=int, metavar="N", help="measure N of the old videos, estimate the others")
    parser.add_argument("--only", choices=["old", "new"])
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE")
    parser.add_argument("--compile", action="store_true", help="cogx-runs with compiled blocks")
    parser.add_argument("--max-vram", type=float, metavar="GIB", help="cogx-runs within this much of the GPU's memory")
    parser.add_argument("--stop-after", type=float, metavar="SECONDS", help="begin nothing more after this long")
    parser.add_argument("--report", action="store_true", help="measure nothing, print what is recorded")
    return parser.parse_args()


def main() -> None:
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # so that what is running ends too
    arguments = parse()
    overrides = overrides_of(arguments)
    label = label_of(overrides, arguments)
    records = Records(arguments.records, label)
    if not arguments.report:
        try:
            device = choose_device(arguments.device)
            check_plan(arguments.sweeps, overrides, device)
            shared = {key: value for key, value in overrides.items() if key not in NEW_ONLY}  # the same for all records
            plan = check_plan(arguments.sweeps, shared, device)
            folder = model_folder(plan.cards[plan.runs[0].spec.model_key])
            records.check(asked_of(plan, arguments.model, folder))
            measure(plan, folder, arguments, options_of(overrides, arguments), records)
        except CogxError as error:
            sys.exit(str(error))
    asked = records.asked()
    print(f"\n{asked.model} on {asked.device}; cogx-runs with {label}\n")
    print(report(asked.cells, records.old(), records.new(), on_gpu=asked.on_gpu))


if __name__ == "__main__":
    main()

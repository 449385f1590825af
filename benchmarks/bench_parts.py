"""The two that `bench.py` compares, each a process: a video of the old loop, and a whole `cogx-runs sweep`."""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cogx_runs
from benchmarks.bench_records import PACKAGE, NewRun, NewSweep, OldVideo, code
from cogx_runs.definitions.prompts import PromptLibrary
from cogx_runs.definitions.spec import RunSpec

HERE = Path(__file__).parent
CLI = ("-c", "from cogx_runs.cli import main; main()")
CHUNK_BYTES = 2**24


def key_of(parameters: Mapping[str, Any]) -> str:
    """The name of a video, the same in the old loop, in a plan and in MLflow."""
    p = parameters
    return (
        f"{p['prompt_name']} steps={p['num_inference_steps']} guidance={float(p['guidance_scale']):g} "
        f"frames={p['num_frames']} seed={p['seed']}"
    )


def warm_page_cache(folder: Path, environment: Mapping[str, str]) -> None:
    """Read the model's files, and what both import, once before anything is timed.

    Python's bytecode is written too, as pip does when it installs: where it is missing, each process spends some 10 s
    on it, and the old loop has a process a video.
    """
    folders = [path for path in map(Path, sys.path) if path.is_dir()]
    subprocess.run(
        [sys.executable, "-m", "compileall", "-q", "-j", "0", *folders], env=environment, stdout=subprocess.DEVNULL
    )
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                while file.read(CHUNK_BYTES):
                    pass
    imports = (
        "import cogx_runs.execution.local; from diffusers import CogVideoXPipeline; "
        "from diffusers.utils import export_to_video"
    )
    subprocess.run([sys.executable, "-c", imports], env=environment, check=True)


def environment(device: str) -> dict[str, str]:
    """The environment that both run in."""
    paths = [str(PACKAGE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    found = os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONPATH": os.pathsep.join(paths)}
    for name in ("MLFLOW_TRACKING_URI", "PYTHONDONTWRITEBYTECODE"):
        found.pop(name, None)
    return found | ({"CUDA_VISIBLE_DEVICES": ""} if device == "cpu" else {})


@dataclass(frozen=True)
class Finished:
    """A process that has ended well."""

    started: float
    """On the monotonic clock, as is `ended`."""
    ended: float
    peak_ram_gib: float

    @property
    def wall_s(self) -> float:
        return self.ended - self.started


def run_process(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Finished:
    """Run a command in `folder`. Exits with the end of its output where it fails."""
    log = folder / "output.log"
    with log.open("wb") as output:
        started = time.monotonic()
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output)
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.terminate()
            process.wait()
            raise
        ended = time.monotonic()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(
            f"{log.read_text(encoding='utf-8', errors='replace')[-4000:]}\nfailed ({process.returncode}): {command}"
        )
    return Finished(started, ended, usage.ru_maxrss / 2**20)


def make_old(spec: RunSpec, model: Path, folder: Path) -> OldVideo:
    """Make one video of the model in the folder `model` by the old script."""
    (folder / "prompt.txt").write_text(spec.prompt + "\n", encoding="utf-8")
    script = [HERE / "keep_latents.py", "facts.json", "latents.safetensors", HERE / "old_loop.py"]
    options: dict[str, Any] = {
        "--model": model,
        "--prompt-file": "prompt.txt",
        "--steps": spec.num_inference_steps,
        "--guidance": spec.guidance_scale,
        "--frames": spec.num_frames,
        "--seed": spec.seed,
        "--fps": spec.fps,
        "--output": "video.mp4",
    }
    words = [sys.executable, *map(str, script), *(str(word) for option in options.items() for word in option)]
    done = run_process(words, folder, environment(spec.device))
    facts = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
    (text, text_end), (decode, decode_end), (mp4, mp4_end) = (
        facts["spans"][name] for name in ("encode_prompt", "decode_latents", "export_to_video")
    )
    return OldVideo(
        key=key_of(spec.config),
        wall_s=done.wall_s,
        import_s=facts["imported"] - done.started,
        before_s=text - done.started,
        encode_text_s=text_end - text,
        denoise_s=decode - text_end,
        decode_s=decode_end - decode,
        after_s=done.ended - decode_end,
        encode_video_s=mp4_end - mp4,
        peak_vram_gib=facts["peak_vram_gib"],
        peak_vram_reserved_gib=facts["peak_vram_reserved_gib"],
        peak_ram_gib=done.peak_ram_gib,
        latents_sha256=hash_latents(folder / "latents.safetensors"),
    )


def make_new(files: Sequence[str], options: Sequence[str], device: str, folder: Path) -> NewSweep:
    """Run sweep files by one command, from nothing: no project, no tracking store, no cache."""
    project = folder / "project"
    project.mkdir()
    files = [str(Path(name).absolute()) if Path(name).is_file() else name for name in files]
    prompts = PromptLibrary.find().directory.absolute()
    command = [sys.executable, *CLI, "sweep", *files, "--device", device, "--prompts", str(prompts), *options]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    places = {
        "XDG_CACHE_HOME": str(folder / "cache"),
        "XDG_STATE_HOME": str(folder / "state"),
        "TORCHINDUCTOR_CACHE_DIR": str(folder / "inductor"),
        "HF_HOME": os.environ.get("HF_HOME") or str(cache / "huggingface"),
    }
    measured = code()
    done = run_process(command, project, environment(device) | places)
    return NewSweep(measured, done.wall_s, done.peak_ram_gib, tuple(tracked(project, folder)))


def tracked(project: Path, folder: Path) -> Iterator[NewRun]:
    """The runs of a fresh tracking store, in the order in which they were made."""
    from cogx_runs.tracking.store import RunStore

    uri = f"sqlite:///{project}/mlflow.db"
    store = RunStore(uri)
    for row in cogx_runs.load_runs(sort="start_time", tracking_uri=uri).to_dict("records"):
        name = str(row["run_id"])
        metrics = under("metrics.", row)
        yield NewRun(
            key=key_of(under("params.", row)),
            reused=any(isinstance(row.get(f"tags.cogx.{tag}"), str) for tag in ("reused_from", "latents_from")),
            metrics={key: float(value) for key, value in metrics.items() if isinstance(value, float | int)},
            latents_sha256=hash_latents(store.download(name, "latents.safetensors", folder / name)),
        )


def under(prefix: str, row: Mapping[Any, Any]) -> dict[str, Any]:
    """The columns with this prefix, without it."""
    return {str(column).removeprefix(prefix): row[column] for column in row if str(column).startswith(prefix)}


def hash_latents(path: Path) -> str:
    """SHA-256 of the type, shape and values of the tensor in a safetensors file."""
    content = path.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    tensor = json.loads(content[8:end])["latents"]
    return hashlib.sha256(f"{tensor['dtype']} {tensor['shape']}".encode() + content[end:]).hexdigest()

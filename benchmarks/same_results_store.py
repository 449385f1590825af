"""What a record of `same_results.py` left in MLflow, read by MLflow's own client."""

import base64
import hashlib
import json
import os
import tempfile
import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mlflow.artifacts
import yaml
from mlflow import MlflowClient
from mlflow.entities import Run
from safetensors.numpy import load_file

from benchmarks.same_results_normal import LEFT_OUT, Normal

NOTE = "mlflow.note.content"
VIEW = "mlflow.sharedViewState."
DEFLATED = "deflate;"
TRACEBACKS = {"traceback.txt", "metric_errors.txt"}

os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # a bar for every file


def names_of(folder: Path) -> dict[str, str]:
    """Names each run by what it is, by its id; of several alike the first one begun is #1."""
    client = MlflowClient(tracking_uri=_uri(folder))
    experiments = {one.experiment_id: one.name for one in client.search_experiments()}
    runs: Sequence[Run] = client.search_runs(list(experiments), order_by=["attributes.start_time ASC"])
    alike: Counter[str] = Counter()
    names = {}
    for run in runs:
        output = run.data.tags.get("cogx.output_hash", run.data.tags.get("cogx.kind"))
        name = f"{experiments[run.info.experiment_id]}: {run.info.run_name} ({output})"
        alike[name] += 1
        names[run.info.run_id] = f"{name} #{alike[name]}"
    return names


def runs_of(folder: Path, normal: Normal) -> dict[str, Any]:
    """Reads every run with its artifacts, by its name."""
    client = MlflowClient(tracking_uri=_uri(folder))
    return {name: _run(client, folder, run_id, normal) for run_id, name in normal.names.items()}


def _run(client: MlflowClient, folder: Path, run_id: str, normal: Normal) -> dict[str, Any]:
    run = client.get_run(run_id)
    series = [key for key in run.data.metrics if key.startswith("by_")]
    own = {key: value for key, value in run.data.tags.items() if key.startswith("cogx.")}
    return {
        "status": run.info.status,
        "steps": run.data.metrics.get(LEFT_OUT) if run.info.status == "FINISHED" else None,
        "params": normal(dict(run.data.params)),
        "metrics": normal({key: value for key, value in run.data.metrics.items() if key not in series}),
        "series": {key: _history(client, run_id, key) for key in series},
        "tags": normal(own),
        "note": normal.note(run.data.tags.get(NOTE, "")),
        "artifacts": _artifacts(folder, run_id, normal),
    }


def _history(client: MlflowClient, run_id: str, metric: str) -> list[tuple[int, float]]:
    return sorted((point.step, point.value) for point in client.get_metric_history(run_id, metric))


def _artifacts(folder: Path, run_id: str, normal: Normal) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="same-results-") as temporary:
        root = Path(mlflow.artifacts.download_artifacts(run_id=run_id, dst_path=temporary, tracking_uri=_uri(folder)))
        files = [path for path in root.rglob("*") if path.is_file()]
        return {normal.text(str(path.relative_to(root))): _content(path, normal) for path in sorted(files)}


def _content(path: Path, normal: Normal) -> Any:
    """Reads an artifact: definitions as such, latents tensor by tensor, videos and pictures by the hash of their
    bytes."""
    if path.suffix == ".html":
        return "a page"  # its sentences are compared where the command wrote it
    if path.suffix == ".yaml":
        return normal(yaml.safe_load(path.read_text(encoding="utf-8")))
    if path.name in TRACEBACKS:
        return normal.raised(path.read_text(encoding="utf-8"))
    if path.suffix == ".txt":
        return normal.text(path.read_text(encoding="utf-8"))
    if path.suffix == ".safetensors":
        tensors = load_file(path)
        return {key: f"{one.dtype} {one.shape} {_sha256(one.tobytes())}" for key, one in tensors.items()}
    return _sha256(path.read_bytes())


def experiments_of(folder: Path, normal: Normal) -> dict[str, Any]:
    """Reads what is kept with each experiment: its tags, description, and views with their columns and charts."""
    found = {}
    for experiment in MlflowClient(tracking_uri=_uri(folder)).search_experiments():
        tags = dict(experiment.tags)
        found[experiment.name] = {
            "tags": normal({key: value for key, value in tags.items() if key.startswith("cogx.")}),
            "note": normal.note(tags.get(NOTE, "")),
            "views": {key: normal(_view(value)) for key, value in tags.items() if key.startswith(VIEW)},
        }
    return found


def _view(tag: str) -> dict[str, Any]:
    view: dict[str, Any] = json.loads(tag)
    state = zlib.decompress(base64.b64decode(view["state"].removeprefix(DEFLATED)))
    return view | {"state": json.loads(state)}


def _uri(folder: Path) -> str:
    return f"sqlite:///{folder / 'mlflow.db'}"


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()

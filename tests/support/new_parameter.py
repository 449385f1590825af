"""Prints, as JSON, what each room makes of the parameter `sharpness`; run in a process of its own on a copy of the
package that has it."""

import base64
import json
import sys
import zlib
from pathlib import Path
from typing import Any

from click.testing import CliRunner

import cogx_runs
from cogx_runs.analysis.cells import labels_of
from cogx_runs.analysis.frame import distinguishing_parameters, load_runs
from cogx_runs.analysis.pairs import pair_cells
from cogx_runs.analysis.strata import strata_of
from cogx_runs.cli import cli
from cogx_runs.dashboard.board import refresh
from cogx_runs.definitions.spec import RunSpec
from cogx_runs.export import export_runs
from cogx_runs.models.cards import HUB_MODELS
from cogx_runs.planning.advice import _distinct
from cogx_runs.planning.cost import CostModel
from cogx_runs.report.cells import cells_of
from cogx_runs.rescore.missing import reference_values
from cogx_runs.system.hardware import device_name
from cogx_runs.tracking.record import command
from cogx_runs.tracking.store import RunStore
from cogx_runs.tracking.tags import DEVICE_NAME, MLFLOW_NOTE, MLFLOW_VIEW
from tests.support.planning import make_sweep, resolve, values_of
from tests.support.runs import SMALL, make_axis
from tests.support.tracked_runs import tracked

PHASES = ("encode_text_s", "step_s", "decode_s", "encode_video_s", "wall_time_s")


def in_planning() -> dict[str, Any]:
    plain, sharp = SMALL.replace(axes=("sharpness",)), SMALL.replace(axes=("sharpness",), sharpness=0.5)
    history = [tracked(plain, tags={DEVICE_NAME: device_name("cpu")}, metrics=dict.fromkeys(PHASES, 1.0))]
    estimates = [CostModel(history).estimate(spec, HUB_MODELS["2b"]) for spec in (plain, sharp)]
    cells = resolve(make_sweep({"seed": (1, 2), "sharpness": (0.0, 0.5)}))
    return {
        "other signature": plain.signature != sharp.signature,
        "other output hash": plain.output_hash != sharp.output_hash,
        "other pipeline": plain.pipeline_key != sharp.pipeline_key,
        "other shape": plain.shape != sharp.shape,
        "neighbours": values_of(cells, "seed", "sharpness"),
        "estimated": ["finished run" in estimate.basis for estimate in estimates],
        "judged": len(list(_distinct([plain, sharp, plain]))),
        "name": sharp.run_name,
        "command": command(sharp).endswith("--set sharpness=0.5"),
    }


def in_results(uri: str, spec: RunSpec) -> dict[str, Any]:
    store = RunStore(uri)
    make_axis(store, "sharpness", [0.0, 0.5], spec)
    refresh(store, spec.sweep)
    tags = store.experiment_tags(store.experiment_id(spec.sweep))
    frame = load_runs(spec.sweep, tracking_uri=uri)
    cells, _ = cells_of(store.runs([spec.sweep]))
    files = export_runs(spec.sweep, Path("exported"), tracking_uri=uri)
    return {
        "type": str(frame["params.sharpness"].dtype),
        "tells apart": distinguishing_parameters(frame),
        "kinds": [kind for kind, _ in strata_of(frame, ["clip_score"])],
        "pairs": len(pair_cells(frame, "sharpness", [0.5], 0.0, "clip_score")),
        "view": all("sharpness" in state for state in _views(tags)),
        "note": "sharpness" in tags[MLFLOW_NOTE],
        "report": sorted(labels_of(cells, ()).values()),
        "exported": sorted(file.name for file in files if file.suffix == ".mp4"),
    }


def on_the_command_line() -> dict[str, Any]:
    Path("sweep.yaml").write_text("name: exp\nprompts: [panda]\nbase: {model: toy}\naxes: {sharpness: [0.0, 0.5]}\n")
    Path("other.yaml").write_text("name: other\nprompts: [panda]\nbase: {model: toy}\n")
    Path("prompts").mkdir()
    Path("prompts/panda.txt").write_text("A panda.")
    swept, given = (
        json.loads(CliRunner().invoke(cli, ["plan", *arguments, "--device", "cpu", "--json"]).stdout)["runs"]
        for arguments in (["sweep.yaml"], ["other.yaml", "--set", "sharpness=0.5"])
    )
    return {
        "planned": [run["config"]["sharpness"] for run in swept],
        "given by --set": given[0]["config"]["sharpness"],
        "reference": reference_values({"sharpness": 0.5}),
    }


def _views(tags: dict[str, str]) -> list[str]:
    states = [json.loads(value)["state"] for key, value in tags.items() if key.startswith(MLFLOW_VIEW)]
    assert states, "an experiment has views"
    return [zlib.decompress(base64.b64decode(state.removeprefix("deflate;"))).decode() for state in states]


if __name__ == "__main__":
    assert Path(cogx_runs.__file__).is_relative_to(Path.cwd()), "the copy is what is imported"
    sys.stdout.write(json.dumps({**in_planning(), **on_the_command_line(), **in_results("sqlite:///mlflow.db", SMALL)}))

"""A parameter is one field: every room knows of one that is added to `definitions/parameters.py` alone."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

FIELD = """
    sharpness: Annotated[
        float,
        Field(ge=0, le=1, description="An invention."),
        Role(
            changes=Changes.PIXELS, reloads=Reloads.PIPELINE, warms=Warms.STEP, costs=True, short="sharp", suffix="sh"
        ),
    ] = 0.0
"""


@pytest.mark.slow
def test_a_field_of_the_parameters_is_all_that_a_new_one_takes(project: Path) -> None:
    shutil.copytree(ROOT / "cogx_runs", project / "cogx_runs", ignore=shutil.ignore_patterns("weights", "__pycache__"))
    (project / "cogx_runs/toy/weights").symlink_to(ROOT / "cogx_runs/toy/weights")
    parameters = project / "cogx_runs/definitions/parameters.py"
    before, mark, after = parameters.read_text(encoding="utf-8").partition("\n\n_ROLES = ")
    assert mark, "the field belongs at the end of the class"
    parameters.write_text(before + FIELD + mark + after, encoding="utf-8")

    done = subprocess.run(
        [sys.executable, "-m", "tests.support.new_parameter"],
        cwd=project,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (project, ROOT)))},
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "other signature": True,
        "other output hash": True,
        "other pipeline": True,
        "other shape": True,
        "neighbours": [[1, 0.0], [2, 0.0], [1, 0.5], [2, 0.5]],
        "estimated": [True, False],
        "judged": 2,
        "name": "sharp=0.5 panda",
        "command": True,
        "planned": [0.0, 0.5],
        "given by --set": 0.5,
        "reference": {"sharpness": 0.5},
        "type": "Float64",
        "tells apart": ["sharpness"],
        "kinds": [""],
        "pairs": 1,
        "view": True,
        "note": True,
        "report": ["sharpness 0", "sharpness 0.5"],
        "exported": ["panda_sh0.5.mp4", "panda_sh0.mp4"],
    }

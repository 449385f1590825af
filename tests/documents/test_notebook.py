"""The study's notebook, executed whole with the toy: once, and again after its machine was lost."""

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from nbclient import NotebookClient
from nbclient.exceptions import DeadKernelError

from cogx_runs import load_runs
from tests.support.paths import ROOT

NOTEBOOK = ROOT / "notebooks" / "study.ipynb"


class Client(NotebookClient):
    """Executes the notebook in a kernel that can be lost."""

    def __init__(self, folder: Path) -> None:
        notebook = nbformat.read(NOTEBOOK, as_version=4)
        (parameters,) = (cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
        parameters.source += (
            f'\nMODEL = "toy"\nFOLDER = "{folder}"\nSWEEPS = ["sweeps/guidance.yaml", "sweeps/seed.yaml"]\n'
            'OVERRIDES = {"num_frames": 9, "num_inference_steps": 5}\n'
        )
        super().__init__(notebook, timeout=900, resources={"metadata": {"path": str(folder.parent)}})

    def lose(self) -> None:
        """Kills the kernel, which leaves nothing time to end, as a machine does that is taken away."""
        assert self.km is not None
        assert isinstance(self.km.provisioner, LocalProvisioner)
        assert self.km.provisioner.pid is not None
        os.kill(self.km.provisioner.pid, signal.SIGKILL)

    def output_of(self, beginning: str) -> str:
        """Returns what the cell with this line printed and showed."""
        (cell,) = (cell for cell in self.nb.cells if beginning in cell.source)
        return str(cell.outputs)


def finished(store: str) -> int:
    """Counts the finished runs of a store; 0 before it is there."""
    try:
        return len(load_runs(where=["status=FINISHED"], tracking_uri=store))
    except Exception:
        return 0


@pytest.mark.slow
def test_the_notebook_goes_on_after_its_machine_was_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    folder = tmp_path / "drive" / "study"
    folder.parent.mkdir()
    store = f"sqlite:///{folder}/mlflow.db"
    lost = Client(folder)

    def lose_once_two_are_finished(cell: Any, **_: Any) -> None:
        def watch() -> None:
            while finished(store) < 2:
                time.sleep(0.2)
            lost.lose()

        if "run_sweeps" in cell.source:
            threading.Thread(target=watch, daemon=True).start()

    lost.on_cell_execute = lose_once_two_are_finished
    with pytest.raises(DeadKernelError):
        lost.execute()
    before = finished(store)
    again = Client(folder)
    again.execute()

    runs = load_runs(tracking_uri=store)
    assert 2 <= before < 6
    assert list(runs["status"].value_counts().items()) == [("FINISHED", 6), ("KILLED", 1)]
    assert runs[runs["status"] == "FINISHED"]["run_name"].is_unique
    assert again.output_of("run_sweeps").count("<td>done</td>") == before
    assert "weights of toy" in again.output_of("examine")
    assert "data:video/mp4;base64" in again.output_of("show_clips")
    assert "<iframe srcdoc=" in again.output_of("write_report")
    assert "/proxy/" in again.output_of("open_dashboard")

"""Files written whole or not at all, and what killed processes leave of them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cogx_runs.system.whole_file import PART, is_being_written, remove_leftovers, written_whole


def test_a_file_is_there_when_the_block_has_ended(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    path.write_text("before")
    with written_whole(path) as part:
        part.write_text("after")
        assert (path.read_text(), part.suffix, part.parent) == ("before", PART, tmp_path)

    assert [file.read_text() for file in tmp_path.iterdir()] == ["after"]


def test_nothing_stays_of_a_block_that_fails(tmp_path: Path) -> None:
    def fail() -> None:
        with written_whole(tmp_path / "kept") as part:
            part.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_goes_and_what_a_living_one_writes_stays(tmp_path: Path) -> None:
    script = """
import sys, time
from pathlib import Path
from cogx_runs.system.whole_file import written_whole
with written_whole(Path(sys.argv[1])) as part:
    print(part, flush=True)
    time.sleep(60)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "kept")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process.stdout:
        part = Path(process.stdout.readline().strip())
    with written_whole(tmp_path / "ours") as ours:
        assert (remove_leftovers(tmp_path), is_being_written(part)) == (0, True)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert part.exists()
        assert (remove_leftovers(tmp_path), is_being_written(part)) == (1, False)
        assert list(tmp_path.iterdir()) == [ours]


def test_a_folder_that_is_not_there_has_no_leftovers(tmp_path: Path) -> None:
    assert remove_leftovers(tmp_path / "nowhere") == 0

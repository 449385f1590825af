"""Generated sweep files and command lines: none of them is a traceback, slow or large."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from tests.fuzz.exploring import Explored, explore_command_lines, explore_files

MOST_MB = 500


def alone(explore: Callable[..., Explored], *arguments: Any) -> Explored:
    """Explores in a process of its own, whose memory nothing else has used."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(explore, *arguments).result()


def test_no_generated_sweep_file_is_more_than_a_clear_error(tmp_path: Path, project: Path) -> None:
    explored = explore_files(700, tmp_path)

    assert explored.codes.keys() == {0, 2}


def test_no_generated_command_line_is_more_than_a_clear_error(project: Path) -> None:
    explored = explore_command_lines(200, 20)

    assert explored.codes.keys() == {0, 2}


@pytest.mark.slow
def test_none_of_50_000_sweep_files_is_a_traceback_slow_or_large(tmp_path: Path, project: Path) -> None:
    explored = [alone(explore_files, 5_000, tmp_path, number) for number in range(10)]

    assert sum(sum(one.codes.values()) for one in explored) >= 50_000
    assert max(one.peak_mb for one in explored) < MOST_MB, explored


@pytest.mark.slow
def test_none_of_5_000_command_lines_is_a_traceback_or_slow(project: Path) -> None:
    explored = alone(explore_command_lines, 5_000, 500)

    assert sum(explored.codes.values()) >= 5_000
    assert explored.peak_mb - explored.imported_mb < MOST_MB, explored  # MLflow and torch take a gigabyte by themselves

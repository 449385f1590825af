"""Tries generated input in this process: the error of each is the project's own, one clear line, and soon there."""

import json
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cogx_runs.cli import cli
from cogx_runs.tracking.store import RunStore
from tests.fuzz.command_lines import FIRST, PLANNING, STORED
from tests.fuzz.sweep_files import FILES
from tests.support.runs import SMALL, make_run

SLOWEST_S = 2.0
LONGEST_LINE = 3000


@dataclass
class Explored:
    """What was tried."""

    codes: dict[int, int] = field(default_factory=dict)
    """How often each exit code came."""
    slowest_s: float = 0.0
    """Processor time of the slowest."""
    peak_mb: float = 0.0
    """Most memory that the process has had."""


def invoke(arguments: Sequence[str], explored: Explored) -> None:
    """Runs a command line and checks how it ended."""
    begun = time.process_time()
    result = CliRunner().invoke(cli, list(arguments))
    took = time.process_time() - begun
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code in {0, 2}, result.output
    assert "\x1b" not in result.output
    assert "Traceback" not in result.output
    assert result.exit_code == 0 or max(map(len, result.output.splitlines())) < LONGEST_LINE
    if "--json" in arguments and result.stdout and result.stdout[0] in "[{":
        json.loads(result.stdout)
    assert took < SLOWEST_S, f"{took:.1f} s"
    explored.codes[result.exit_code] = explored.codes.get(result.exit_code, 0) + 1
    explored.slowest_s = max(explored.slowest_s, took)


def explore_files(attempts: int, folder: Path) -> Explored:
    """Plans generated sweep files."""
    explored = Explored()
    file = folder / "generated.yaml"
    CliRunner().invoke(cli, ["plan", "guidance", "--no-store"])  # imports what it needs

    @_tried(attempts)
    @given(FILES)
    def plan(content: bytes) -> None:
        file.write_bytes(content)
        invoke(["plan", str(file), "--no-store", "--device", "cpu", "--json"], explored)

    plan()
    return _with_peak(explored)


def explore_command_lines(attempts: int, stored: int) -> Explored:
    """Runs generated command lines in the working folder, `stored` of them on its tracking store, which gets a run."""
    make_run(RunStore(), SMALL)
    explored = Explored()
    for arguments in FIRST:
        CliRunner().invoke(cli, arguments)

    def run(strategy: st.SearchStrategy[list[str]], times: int) -> None:
        _tried(times)(given(strategy)(lambda arguments: invoke(arguments, explored)))()

    run(PLANNING, attempts - stored)
    run(STORED, stored)
    return _with_peak(explored)


def _tried(times: int) -> settings:
    return settings(
        max_examples=times, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )


def _with_peak(explored: Explored) -> Explored:
    explored.peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return explored

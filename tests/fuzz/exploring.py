"""Tries generated input in this process: the error of each is the project's own, one clear line, and soon there."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from click.testing import CliRunner, Result
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from cogx_runs.cli import cli
from tests.fuzz.command_lines import FIRST, PLANNING, STORED
from tests.fuzz.sweep_files import BOMBS, FILES

HANGS_S = 30.0
"""Processor time beyond which nobody waits, on a busy machine too."""
LONGEST_LINE = 3000


@dataclass
class Explored:
    """What was tried."""

    codes: dict[int, int] = field(default_factory=dict)
    """How often each exit code came."""
    slowest_s: float = 0.0
    """Processor time of the slowest."""
    imported_mb: float = 0.0
    """Most memory that the process had once everything was imported."""
    peak_mb: float = 0.0
    """Most memory that it has had at the end."""


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
    assert result.exit_code == 0 or max(map(len, _messages(result))) < LONGEST_LINE
    assert took < HANGS_S, f"{took:.1f} s"
    explored.codes[result.exit_code] = explored.codes.get(result.exit_code, 0) + 1
    explored.slowest_s = max(explored.slowest_s, took)


def _messages(result: Result) -> list[str]:
    """The lines of a refusal; of JSON the advice, beside which are the values of cells that can be planned."""
    if not result.stdout.startswith("{"):
        return result.output.splitlines()
    return [advice["message"] for advice in json.loads(result.stdout)["advice"]]


def explore_files(attempts: int, folder: Path, number: int = 0) -> Explored:
    """Plans generated sweep files, others for each `number`."""
    file = folder / "generated.yaml"
    CliRunner().invoke(cli, ["plan", "guidance", "--no-store"])  # imports what it needs
    explored = Explored(imported_mb=_peak_mb())

    def plan(content: bytes) -> None:
        file.write_bytes(content)
        invoke(["plan", str(file), "--no-store", "--device", "cpu", "--json"], explored)

    for bomb in BOMBS:
        plan(bomb.encode())
    _tried(attempts, number)(given(FILES)(plan))()
    explored.peak_mb = _peak_mb()
    return explored


def explore_command_lines(attempts: int, stored: int) -> Explored:
    """Runs generated command lines in the working folder, `stored` of them on its tracking store, which gets a run."""
    from cogx_runs.tracking.store import RunStore  # here: with it come libraries that no sweep file needs
    from tests.support.runs import SMALL, make_run

    make_run(RunStore(), SMALL)
    for arguments in FIRST:
        CliRunner().invoke(cli, arguments)
    explored = Explored(imported_mb=_peak_mb())

    def run(strategy: st.SearchStrategy[list[str]], times: int) -> None:
        _tried(times)(given(strategy)(lambda arguments: invoke(arguments, explored)))()

    run(PLANNING, attempts - stored)
    run(STORED, stored)
    explored.peak_mb = _peak_mb()
    return explored


def _tried(times: int, number: int = 0) -> Callable[[Callable[..., None]], Callable[[], None]]:
    chosen = settings(
        max_examples=times,
        database=None,
        deadline=None,
        phases=[Phase.generate],  # a failing input is short enough as it is, and making it shorter takes minutes
        suppress_health_check=list(HealthCheck),
    )
    return lambda test: seed(number)(chosen(test))


def _peak_mb() -> float:
    """Most memory since the process began its program; `ru_maxrss` may be that of the process that started it."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024

"""Runners: several processes at the same sweep on one store."""

from benchmarks.faults.bench import Bench
from benchmarks.faults.study import Tally

CELLS = 8


def run_together(bench: Bench, processes: int) -> Tally:
    """Starts the same sweep in several processes at once."""
    reference = bench.reference(CELLS)
    study = bench.study(f"runners-{processes}", CELLS)
    commands = [study.sweep() for _ in range(processes)]
    codes = [command.end() for command in commands]
    tally = study.check(reference)
    tally.injected = processes
    if any(codes):
        told = next(command.told for command, code in zip(commands, codes, strict=True) if code)
        tally.notes.append(f"exit codes {codes}: {told.strip()[-200:]}")
    return tally

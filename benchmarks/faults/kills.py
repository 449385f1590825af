"""Kills: SIGKILL in every phase, at least PER_PHASE in each."""

import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from benchmarks.faults.bench import Bench
from benchmarks.faults.marked import ENCODING, PHASES, START
from benchmarks.faults.study import Command, Study, Tally

PER_PHASE = 15
CELLS = 6
"""Cells of a study; when they are finished, the next study begins."""
PARALLEL = 2
MOST = 3 * PER_PHASE * len(PHASES)


class Kills:
    """Kills the same command again and again until each phase has had its share."""

    def __init__(self, bench: Bench, per_phase: int = PER_PHASE) -> None:
        self._bench = bench
        self._per_phase = per_phase
        self._landed: Counter[str] = Counter()
        self._aimed: Counter[str] = Counter()
        self._lasting: dict[str, float] = {START: 5.0}
        """Seconds that each phase took when it was last seen to its end."""
        self._choosing = threading.Lock()
        self._random = random.Random(1)

    def run(self) -> Tally:
        """Kills, restarts, and checks what is there once each study has come to its end."""
        tally = Tally()
        with ThreadPoolExecutor(PARALLEL) as pool:
            for found in pool.map(self._worker, range(PARALLEL)):
                tally.add(found)
        spread = ", ".join(f"{phase} {count}" for phase, count in sorted(self._landed.items()))
        self._bench.tell(f"kills by phase: {spread}")
        return tally

    def _worker(self, number: int) -> Tally:
        tally = Tally()
        studies = 0
        while self._target() is not None:
            study = self._bench.study(f"kills-{number}-{studies}", CELLS)
            studies += 1
            kills, wrong = self._kill_until_finished(study)
            found = Tally(injected=kills) if wrong else study.check(self._bench.reference(CELLS))
            found.injected = kills
            found.notes += wrong
            tally.add(found)
            self._bench.tell(f"kills: {dict(self._landed)}; study {number}-{studies} right: {found.is_right}")
            if found.is_right:
                self._bench.remove(study)
        return tally

    def _target(self) -> str | None:
        """The phase that lacks most kills; None where none does."""
        with self._choosing:
            lacking = [phase for phase in PHASES if self._landed[phase] < self._per_phase]
            if not lacking or self._landed.total() >= MOST:
                return None
            target = min(lacking, key=lambda phase: (self._aimed[phase], PHASES.index(phase)))
            self._aimed[target] += 1
            return target

    def _kill_until_finished(self, study: Study) -> tuple[int, list[str]]:
        kills = 0
        while (target := self._target()) is not None:
            if target == ENCODING:
                study.forget_embeddings()
            command = study.sweep()
            phase = self._kill(command, target)
            if phase is not None:
                kills += 1
                with self._choosing:
                    self._landed[phase] += 1
            elif command.process.returncode == 0:
                return kills, []
            else:
                return kills, [f"exit code {command.process.returncode}: {command.told.strip()[-200:]}"]
        return kills, study.finish()

    def _kill(self, command: Command, target: str) -> str | None:
        """Kills a command at a random moment of the phase; None where it ends before."""
        with self._choosing:
            share, number = self._random.random(), self._random.choice((1, 1, 2))
        if target != START and not command.waits_for(target, number):
            return None
        begun = time.monotonic()
        time.sleep(share * self._lasting.get(target, 0.1))
        if command.process.poll() is not None:
            return None
        phase = command.kill()
        if phase != target:  # it was over before: the next one comes sooner
            self._lasting[target] = (time.monotonic() - begun) * 0.8
        elif share > 0.5:
            self._lasting[target] = max(self._lasting.get(target, 0.1), (time.monotonic() - begun) * 1.2)
        return phase

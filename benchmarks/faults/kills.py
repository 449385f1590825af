"""Kills: SIGKILL in every phase, at least PER_PHASE in each."""

import random
import signal
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from benchmarks.faults.bench import Bench
from benchmarks.faults.marked import ENCODING, PHASES, START
from benchmarks.faults.study import Study, Tally

PER_PHASE = 15
CELLS = 6
"""Cells of a study; when they are finished, the next study begins."""
LASTING_S = 0.1
MOST = 3 * PER_PHASE * len(PHASES)


class Kills:
    """Kills the same command again and again until each phase has had its share."""

    def __init__(self, bench: Bench, per_phase: int = PER_PHASE) -> None:
        self._bench = bench
        self._per_phase = per_phase
        self._landed: Counter[str] = Counter()
        self._aimed: Counter[str] = Counter()
        self._lasting = dict.fromkeys(PHASES, LASTING_S) | {START: 5.0}
        """Seconds that each phase takes about, learned from the kills."""
        self._choosing = threading.Lock()
        self._random = random.Random(1)

    def run(self) -> Tally:
        """Kills, restarts, and checks what is there once each study has come to its end."""
        tally = Tally()
        with ThreadPoolExecutor(self._bench.parallel) as pool:
            for found in pool.map(self._worker, range(self._bench.parallel)):
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
            share, number = self._moment()
            command = study.sweep(kill=f"{target}:{number}:{share * self._lasting[target]:.4f}")
            code = command.end()
            self._learn(target, share, landed=code == -signal.SIGKILL, seen=command.marks.count(target) >= number)
            if code == -signal.SIGKILL:
                kills += 1
            elif code == 0:
                return kills, []
            else:
                return kills, [f"exit code {code}: {command.told.strip()[-200:]}"]
        return kills, study.finish()

    def _moment(self) -> tuple[float, int]:
        with self._choosing:
            return self._random.random(), self._random.choice((1, 1, 2))

    def _learn(self, phase: str, share: float, *, landed: bool, seen: bool) -> None:
        """Counts a kill, and finds how long the phase lasts, so that the moments spread over all of it."""
        with self._choosing:
            if landed:
                self._landed[phase] += 1
                if share > 0.5:
                    self._lasting[phase] *= 1.2
            elif seen:  # it was over before
                self._lasting[phase] *= 0.7

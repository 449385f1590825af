"""Outages: the tracking server, or the database behind it, lost in each phase of a sweep."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Literal

from benchmarks.faults.bench import Bench
from benchmarks.faults.marked import PHASES, START
from benchmarks.faults.services import MlflowServer, Postgres
from benchmarks.faults.study import Study, Tally

How = Literal["never", "again", "silent"]
CELLS = 4
AWAY_S = 5.0
ENDS_WITHIN_S = 240


def lose_server(bench: Bench, how: How, with_postgres: bool) -> Tally:
    """Loses the server, or the database behind it, once in each phase.

    `never` kills it and starts it again after the sweep has ended, `again` some seconds later, `silent` has it take
    connections and answer nothing until the sweep has ended.
    """
    tally = Tally()
    bench.reference(CELLS)
    with ThreadPoolExecutor(bench.parallel) as pool:
        for found in pool.map(lambda phase: _lose(bench, phase, how, with_postgres), PHASES):
            tally.add(found)
    return tally


def _lose(bench: Bench, phase: str, how: How, with_postgres: bool) -> Tally:
    name = f"{'postgres' if with_postgres else 'server'}-{how}-{phase.replace(' ', '-')}"
    with ExitStack() as running:
        folder = bench.folder / f"{name}-service"
        database = running.enter_context(Postgres(folder / "postgres")) if with_postgres else None
        server = running.enter_context(MlflowServer(folder, None if database is None else database.uri))
        lost: MlflowServer | Postgres = database or server
        study = bench.study(name, CELLS, server.url if with_postgres else server.url_with_login)
        lose, bring_back = (lost.stop, lost.cont) if how == "silent" else (lost.kill, lost.start)
        notes = sweep_through(study, phase, lose, bring_back, AWAY_S if how == "again" else None)
        tally = study.check(bench.reference(CELLS))
    return bench.concluded(study, name, tally, notes)


def sweep_through(
    study: Study, phase: str, lose: Callable[[], None], bring_back: Callable[[], None], away_s: float | None = None
) -> list[str]:
    """Runs the sweep through an outage that begins with a phase, and lasts for `away_s` or until the sweep has ended;
    then brings what is kept to the store. Returns what is wrong with that."""
    if phase == START:
        command = study.sweep()
        time.sleep(1.0)
        lose()
    else:
        command = study.sweep(hold=f"{phase}:{1 if phase == PHASES[1] else 2}")
        if not command.is_held():
            return [f"ended before {phase}: {command.told.strip()[-200:]}"]
        lose()
        command.go_on()
    if away_s is not None:
        time.sleep(away_s)
        bring_back()
    code = command.end(ENDS_WITHIN_S)
    notes = [] if code in {0, 2} else [f"exit code {code}: {command.told.strip()[-200:]}"]
    if away_s is None:
        bring_back()
    delivered = study.start("deliver")
    if delivered.end() != 0:
        notes.append(f"deliver: exit code {delivered.process.returncode}: {delivered.told.strip()[-200:]}")
    return [*notes, *study.finish()]

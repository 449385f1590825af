"""Outages: the tracking server, or the database behind it, lost in each phase of a sweep."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Literal

from benchmarks.faults.bench import Bench
from benchmarks.faults.marked import PHASES, START
from benchmarks.faults.services import MlflowServer, Postgres, Service
from benchmarks.faults.study import Study, Tally

How = Literal["never", "again", "silent"]
CELLS = 4
AWAY_S = 5.0
PARALLEL = 2
ENDS_WITHIN_S = 240


def lose_server(bench: Bench, how: How, with_postgres: bool) -> Tally:
    """Loses the server, or the database behind it, once in each phase.

    `never` kills it and starts it again after the sweep has ended, `again` some seconds later, `silent` has it take
    connections and answer nothing until the sweep has ended.
    """
    tally = Tally()
    bench.reference(CELLS)
    with ThreadPoolExecutor(PARALLEL) as pool:
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
        notes = _sweep_through(study, lost, phase, how)
        tally = study.check(bench.reference(CELLS))
    return bench.concluded(study, name, tally, notes)


def _sweep_through(study: Study, lost: MlflowServer | Postgres, phase: str, how: How) -> list[str]:
    """Runs the sweep through the outage, then brings what is kept to the store. Returns what is wrong with that."""
    lose = lost.stop if how == "silent" else lost.kill
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
    if how == "again":
        time.sleep(AWAY_S)
        lost.start()
    code = command.end(ENDS_WITHIN_S)
    notes = [] if code in {0, 2} else [f"exit code {code}: {command.told.strip()[-200:]}"]
    _bring_back(lost, how)
    delivered = study.start("deliver")
    if delivered.end() != 0:
        notes.append(f"deliver: exit code {delivered.process.returncode}: {delivered.told.strip()[-200:]}")
    return [*notes, *study.finish()]


def _bring_back(lost: MlflowServer | Postgres, how: How) -> None:
    if how == "never":
        lost.start()
    elif how == "silent":
        assert isinstance(lost, Service)
        lost.cont()

"""The rows of the table, and how they are written."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from benchmarks.faults import damage
from benchmarks.faults.bench import Bench
from benchmarks.faults.disks import PLACES, fill_disks
from benchmarks.faults.hosts import End, lose_host
from benchmarks.faults.kills import Kills
from benchmarks.faults.network import Cut, cut_network
from benchmarks.faults.outages import How, lose_server
from benchmarks.faults.ray_nodes import Victim, kill_in_ray
from benchmarks.faults.runners import run_together
from benchmarks.faults.study import Tally

HEADER = (
    "fault", "times", "cells", "finished exactly once", "videos that decode", "digests right", "RUNNING left",
    "temporary files left", "credentials found", "again",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One fault."""

    name: str
    """For `--only`."""
    fault: str
    """In words."""
    inject: Callable[[Bench], Tally]

    def written(self, tally: Tally) -> str:
        """Writes the row in Markdown."""
        found = tally
        numbers = (
            found.injected, found.cells, found.once, found.decoded, found.right, found.running, found.leftovers,
            found.credentials,
        )  # fmt: skip
        cells = [self.fault, *(f"{number:,}" for number in numbers), f"`make faults ONLY={self.name}`"]
        return f"| {' | '.join(cells)} |"


_OUTAGES: dict[How, str] = {
    "never": "killed, back after the sweep has ended",
    "again": "killed, back after 5 s",
    "silent": "takes connections and answers nothing",
}
_BEHIND = (("server", "tracking server", False), ("postgres", "PostgreSQL behind the server", True))
_CUTS: dict[Cut, str] = {
    "reset": "cut",
    "swallowed": "swallows what is sent, and passes it on 20 s later",
    "unanswered": "loses the answers alone",
}
_VICTIMS: dict[Victim, str] = {
    "worker": "a worker of Ray",
    "node": "a node of Ray",
    "head": "Ray's head",
    "command": "the command of a sweep by Ray",
}
_ENDS: dict[End, str] = {
    "killed": "killed, and its cell taken over",
    "frozen": "stopped, its cell taken over, and continued",
}
_HARMS = (
    (damage.flip, "a byte changed"),
    (damage.cut, "cut in half"),
    (damage.remove, "removed"),
)
_PLACES = {
    "project": "`mlflow.db` and `mlruns/`",
    "cache": "the cache",
    "state": "the spool",
    "tmp": "temporary files",
}


def all_rows() -> tuple[Row, ...]:
    """Lists the rows in the table's order."""
    rows = [Row("kills", "`kill -9`, at least 15 in each of seven phases", lambda bench: Kills(bench).run())]
    for name, words, with_postgres in _BEHIND:
        for how, what in _OUTAGES.items():
            inject = partial(lose_server, how=how, with_postgres=with_postgres)
            rows.append(Row(f"{name}-{how}", f"{words} {what}, in each phase", inject))
    rows += [
        Row(
            f"network-{cut}",
            f"network to the server {what}, at a request drawn at random, from the start and each phase of a cell on",
            partial(cut_network, cut=cut),
        )
        for cut, what in _CUTS.items()
    ]
    rows += [
        Row(f"ray-{victim}", f"{what} killed, in each phase of a cell", partial(kill_in_ray, victim=victim))
        for victim, what in _VICTIMS.items()
    ]
    rows += [
        Row(f"disk-{place}", f"disk of {_PLACES[place]} full, in each phase", partial(fill_disks, place=place))
        for place in PLACES
    ]
    for harm, words in _HARMS:
        name = harm.__name__
        inject = partial(damage.damage_artifacts, harm=harm)
        rows.append(Row(f"artifacts-{name}", f"each artifact: {words}", inject))
        read = partial(damage.damage_before_reading, harm=harm)
        rows.append(Row(f"read-{name}", f"latents, embeddings, before they are read: {words}", read))
    rows += [
        Row(f"folder-{how}", f"the study's folder {how}", partial(damage.move_store, how=how))
        for how in ("moved", "copied")
    ]
    rows += [
        Row(f"runners-{count}", f"{count} runners of one sweep at once", partial(run_together, processes=count))
        for count in (2, 4)
    ]
    rows += [
        Row(f"host-{end}", f"of two hosts one {what}, in each phase of a cell", partial(lose_host, end=end))
        for end, what in _ENDS.items()
    ]
    return tuple(rows)


def table(lines: Sequence[str]) -> str:
    """Writes the table with these rows."""
    return "\n".join([f"| {' | '.join(HEADER)} |", f"|---|{'---:|' * (len(HEADER) - 2)}---|", *lines])

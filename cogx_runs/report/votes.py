"""Blind votes: which of two videos a voter preferred, kept in the page where the vote was cast."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError, model_validator

from cogx_runs.errors import CogxError
from cogx_runs.formatting import write_value
from cogx_runs.report.grids import Grid
from cogx_runs.tracking.artifacts import REPORT

_EMBEDDED = re.compile(rb'<script type="application/json" id="votes">(.*?)</script>', re.DOTALL)
_Word = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z:.+-]{1,64}$")]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


class Vote(_Frozen):
    """One answer to "Which one fits the prompt better?"."""

    a: _Word
    b: _Word
    """Signatures of the two videos; `a` sorts before `b`."""
    winner: _Word | None
    """Signature of the preferred video; None for "cannot tell"."""
    voter: _Word
    """A random name that a browser gave itself."""
    at: _Word
    """Time of the vote, as ISO 8601 in UTC."""

    @model_validator(mode="after")
    def _is_of_its_pair(self) -> "Vote":
        if self.a >= self.b or self.winner not in {None, self.a, self.b}:
            raise ValueError("the winner is not of the pair, or the pair is not in order")
        return self


class Ballot(_Frozen):
    """The votes of a page."""

    report: str
    """Id of the report, which pages on the same experiments share."""
    votes: list[Vote] = []


@dataclass(frozen=True)
class Tally:
    """Votes on the videos with one value of an axis against those with another."""

    value: str
    wins: int
    losses: int
    ties: int


def report_id(experiments: Iterable[str]) -> str:
    """Derives the id that every report on the same experiments has."""
    return hashlib.sha256("\n".join(sorted(experiments)).encode()).hexdigest()[:12]


def votes_in(directory: Path, identity: str) -> list[Vote]:
    """Reads the votes in `report.html` and in other pages of the same report in a folder, each voter's last on a pair.

    Raises CogxError for a page whose votes cannot be read, so that none are lost.
    """
    votes: list[Vote] = []
    for page in sorted(directory.glob("*.html")):
        ballot = _ballot_of(page)
        if ballot is not None and (page.name == REPORT or ballot.report == identity):
            votes += ballot.votes
    last = {(vote.voter, vote.a, vote.b): vote for vote in sorted(votes, key=lambda vote: vote.at)}
    return list(last.values())


def tally(grid: Grid, votes: Sequence[Vote]) -> list[Tally]:
    """Counts the votes on pairs of videos that differ along the grid's axis alone, by value."""
    counts = {column: [0, 0, 0] for column in range(len(grid.values))}
    for row in grid.rows:
        columns = {cell.signature: column for column, cell in enumerate(row.cells) if cell is not None}
        for vote in votes:
            if vote.a in columns and vote.b in columns:
                for side in (vote.a, vote.b):
                    counts[columns[side]][2 if vote.winner is None else 0 if vote.winner == side else 1] += 1
    return [Tally(write_value(grid.values[column]), *found) for column, found in counts.items()]


def _ballot_of(page: Path) -> Ballot | None:
    """Reads the votes of a page; None for a page that is no report."""
    try:
        found = _EMBEDDED.search(page.read_bytes())
    except OSError as error:
        raise CogxError(
            f"{page}: cannot be read ({error.strerror}) and may hold votes; make it readable or move it away"
        ) from error
    if found is None:
        return None
    try:
        return Ballot.model_validate_json(found.group(1))
    except ValidationError as error:
        raise CogxError(
            f"{page}: its votes cannot be read ({error.errors()[0]['msg']}); move it away to report without them"
        ) from error

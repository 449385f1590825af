"""Blind votes: which of two videos a voter preferred, kept in the page where the vote was cast."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError, model_validator

from cogx_runs.analysis.grids import Grid
from cogx_runs.analysis.preferences import Choice, MetricAgreement, Preference, metric_agreement, preferences
from cogx_runs.errors import CogxError
from cogx_runs.formatting import write_value
from cogx_runs.metrics.card import MetricCard
from cogx_runs.system.whole_file import write_whole
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
    preference: Preference
    """How it fares against the baseline, by prompt."""


@dataclass(frozen=True)
class _Saved:
    """A report with the votes that it holds."""

    page: Path
    ballot: Ballot


@dataclass(frozen=True)
class MergedVotes:
    """What was merged into one page."""

    page: Path
    pages: int
    votes: int
    voters: int
    pairs: int
    """Pairs of videos with a vote."""
    repeated: int
    """Votes left out, as there is a later one of the same voter on the same pair, or the same one in two pages."""


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
    return _last_of_each(votes)


def merge_votes(pages: Sequence[Path], output: Path) -> MergedVotes:
    """Writes a copy of the first page with the votes of all: pages of one report, as voters have saved them.

    A folder stands for the reports in it. Of one voter's votes on a pair the last counts. Raises CogxError for no page,
    for a page that is no report or one of other experiments, and for votes that cannot be read; nothing is written
    then.
    """
    saved = [found for given in pages for found in _saved_in(given)]
    if not saved:
        raise CogxError("no page to merge; name the pages that voters saved, or a folder of them")
    first = saved[0]
    for one in saved:
        if one.ballot.report != first.ballot.report:
            raise CogxError(
                f"{one.page}: a report on other experiments than {first.page}; merge the pages of one report"
            )
    votes = _last_of_each(vote for one in saved for vote in one.ballot.votes)
    merged = Ballot(report=first.ballot.report, votes=votes).model_dump_json().encode()
    content = _EMBEDDED.sub(
        lambda match: match.group(0).replace(match.group(1), merged), _bytes_of(first.page), count=1
    )
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        write_whole(output, content.decode())
    except OSError as error:
        raise CogxError(f"{output}: cannot be written ({error.strerror}); name another with -o") from error
    return MergedVotes(
        output,
        len(saved),
        len(votes),
        len({vote.voter for vote in votes}),
        len({(vote.a, vote.b) for vote in votes}),
        sum(len(one.ballot.votes) for one in saved) - len(votes),
    )


def choices_of(grid: Grid, votes: Sequence[Vote]) -> list[Choice]:
    """Selects the votes on pairs of videos that differ along the grid's axis alone."""
    choices = []
    for row in grid.rows:
        columns = {cell.signature: column for column, cell in enumerate(row.cells) if cell is not None}
        choices += [
            Choice(
                row.prompt_name,
                vote.voter,
                columns[vote.a],
                columns[vote.b],
                None if vote.winner is None else columns[vote.winner],
                (vote.a, vote.b),
            )
            for vote in votes
            if vote.a in columns and vote.b in columns
        ]
    return choices


def tally(grid: Grid, choices: Sequence[Choice]) -> list[Tally]:
    """Counts a grid's votes by value, and compares each value with the baseline."""
    compared = preferences(choices, len(grid.values), grid.baseline)
    found = []
    for column, (value, preference) in enumerate(zip(grid.values, compared, strict=True)):
        winners = [choice.winner for choice in choices if column in {choice.first, choice.second}]
        wins, ties = winners.count(column), winners.count(None)
        found.append(Tally(write_value(value), wins, len(winners) - wins - ties, ties, preference))
    return found


def agreements(grid: Grid, choices: Sequence[Choice], metrics: Sequence[MetricCard]) -> list[MetricAgreement]:
    """Measures how well each metric agrees with a grid's votes, the best first."""
    found = []
    for card in metrics:
        if card.direction is not None:
            scores = {cell.signature: cell.metrics[card.name] for cell in grid.cells if card.name in cell.metrics}
            higher = card.direction == "higher"
            found.append(metric_agreement(choices, card.name, scores, higher_is_better=higher))
    return sorted((one for one in found if one is not None), key=lambda one: -one.share)


def _last_of_each(votes: Iterable[Vote]) -> list[Vote]:
    """Selects each voter's last vote on each pair."""
    last = {(vote.voter, vote.a, vote.b): vote for vote in sorted(votes, key=lambda vote: vote.at)}
    return list(last.values())


def _saved_in(given: Path) -> list[_Saved]:
    """Reads a page, or the reports in a folder. Raises CogxError for a page that is no report."""
    pages = sorted(given.glob("*.html")) if given.is_dir() else [given]
    read = [(page, _ballot_of(page)) for page in pages]
    if not given.is_dir() and read[0][1] is None:
        raise CogxError(f"{given}: no report of cogx-runs; name the pages that voters saved")
    return [_Saved(page, ballot) for page, ballot in read if ballot is not None]


def _bytes_of(page: Path) -> bytes:
    try:
        return page.read_bytes()
    except OSError as error:
        raise CogxError(
            f"{page}: cannot be read ({error.strerror}) and may hold votes; make it readable or move it away"
        ) from error


def _ballot_of(page: Path) -> Ballot | None:
    """Reads the votes of a page; None for a page that is no report."""
    found = _EMBEDDED.search(_bytes_of(page))
    if found is None:
        return None
    try:
        return Ballot.model_validate_json(found.group(1))
    except ValidationError as error:
        raise CogxError(
            f"{page}: its votes cannot be read ({error.errors()[0]['msg']}); move it away to report without them"
        ) from error

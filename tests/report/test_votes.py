"""Votes: how they are counted, gathered and kept."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from cogx_runs.errors import CogxError
from cogx_runs.report.cells import cells_of
from cogx_runs.report.folder import write_report
from cogx_runs.report.votes import choices_of, merge_votes, report_id, tally, votes_in
from cogx_runs.tracking.run import TrackedRun
from cogx_runs.tracking.store import RunStore
from tests.support.reports import cell, grid_of
from tests.support.runs import make_axis


def ballot(votes: list[dict[str, Any]], report: str) -> str:
    content = json.dumps({"report": report, "votes": votes})
    return f'<html><script type="application/json" id="votes">{content}</script></html>'


def test_votes_are_counted_by_value_on_pairs_that_differ_in_the_axis_alone() -> None:
    low, base = cell(guidance_scale=1.0), cell()
    other = cell(seed=7)
    grid = grid_of(low, base, other)

    votes = [vote(low, base, low), vote(low, base, None), vote(base, other, other)]
    counted = tally(grid, choices_of(grid, votes))

    assert [(found.value, found.wins, found.losses, found.ties) for found in counted] == [
        ("1", 1, 0, 1),
        ("6", 0, 1, 1),
    ]


def vote(one: TrackedRun, other: TrackedRun, winner: TrackedRun | None, voter: str = "v") -> Any:
    from cogx_runs.report.votes import Vote

    a, b = sorted((one.signature, other.signature))
    chosen = None if winner is None else winner.signature
    return Vote(a=a, b=b, winner=chosen, voter=voter, at="2026-01-01T00:00:00.000Z")


def test_votes_of_all_pages_of_this_report_are_gathered_and_a_voter_counts_once_a_pair(tmp_path: Path) -> None:
    own = {"a": "1a", "b": "2b", "winner": "1a", "voter": "ann", "at": "2026-01-01T00:00:00.000Z"}
    later = own | {"winner": None, "at": "2026-01-02T00:00:00.000Z"}
    bobs = own | {"voter": "bob"}
    (tmp_path / "report.html").write_text(ballot([own], "of an earlier name"))
    (tmp_path / "saved.html").write_text(ballot([later, bobs], "same"))
    (tmp_path / "foreign.html").write_text(ballot([own | {"voter": "eve"}], "other"))
    (tmp_path / "no_report.html").write_text("<p>Hello</p>")

    found = votes_in(tmp_path, "same")

    assert sorted((one.voter, one.winner) for one in found) == [("ann", None), ("bob", "1a")]


def test_pages_of_several_voters_are_merged_into_one(tmp_path: Path) -> None:
    ann = {"a": "1a", "b": "2b", "winner": "1a", "voter": "ann", "at": "2026-01-01T00:00:00.000Z"}
    later = ann | {"winner": "2b", "at": "2026-01-02T00:00:00.000Z"}
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "ann.html").write_text(ballot([ann], "same"))
    (tmp_path / "saved" / "bob.html").write_text(ballot([ann | {"voter": "bob"}, later], "same"))
    (tmp_path / "saved" / "notes.html").write_text("<p>Hello</p>")
    output = tmp_path / "new" / "all.html"

    merged = merge_votes([tmp_path / "saved", tmp_path / "saved" / "ann.html"], output)

    assert (merged.pages, merged.votes, merged.voters, merged.pairs, merged.repeated) == (3, 2, 2, 1, 2)
    assert sorted((one.voter, one.winner) for one in votes_in(output.parent, "same")) == [("ann", "2b"), ("bob", "1a")]


@pytest.mark.parametrize(
    ("page", "told"),
    [
        (ballot([], "other"), "a report on other experiments than"),
        ("<p>Hello</p>", "no report of cogx-runs"),
        (ballot([{"a": "2b"}], "same"), "its votes cannot be read"),
    ],
)
def test_what_cannot_be_merged_is_told_and_nothing_is_written(tmp_path: Path, page: str, told: str) -> None:
    (tmp_path / "first.html").write_text(ballot([], "same"))
    (tmp_path / "second.html").write_text(page)

    with pytest.raises(CogxError, match=f"second.html: {told}"):
        merge_votes([tmp_path / "first.html", tmp_path / "second.html"], tmp_path / "merged.html")
    assert not (tmp_path / "merged.html").exists()


def test_votes_that_cannot_be_read_stop_the_report_so_that_none_are_lost(store: RunStore, tmp_path: Path) -> None:
    make_axis(store, "guidance_scale", [1.0, 6.0])
    (tmp_path / "report.html").write_text(ballot([{"a": "2b", "b": "1a"}], "x"))

    with pytest.raises(CogxError, match=r"report.html: its votes cannot be read \(.*\); move it away"):
        write_report(["exp"], tmp_path, log=False)
    assert (tmp_path / "report.html").read_text().startswith("<html><script")


def test_a_new_report_in_the_same_folder_keeps_the_votes_and_prints_them(store: RunStore, tmp_path: Path) -> None:
    make_axis(store, "guidance_scale", [1.0, 6.0])
    low, base = cells_of(store.runs(["exp"]))[0]
    mine = vote(low, base, base).model_dump()
    (tmp_path / "saved.html").write_text(ballot([mine], report_id(["exp"])))

    first = write_report(["exp"], tmp_path, log=False)
    (tmp_path / "saved.html").unlink()
    second = write_report(["exp"], tmp_path, log=False)

    assert (first.votes, second.votes) == (1, 1)
    rows = re.findall(
        r'<tr><th scope="row">(.*?)</th>' + 3 * r"<td data-count>(\d)</td>" + "<td>(.*?)</td></tr>",
        second.page.read_text(),
    )
    assert rows == [("1", "0", "1", "0", "25%"), ("6", "1", "0", "0", "")]

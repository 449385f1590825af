"""The comparison of what two checkouts made: what it finds, and what it masks."""

from pathlib import Path

from benchmarks.same_results import compare
from benchmarks.same_results_normal import Normal, sentences_of

RUN_ID = "0123456789abcdef" * 2
NORMAL = Normal(Path("/made/here"), [Path("/code")], {RUN_ID: "exp: seed=1 panda #1"})


def test_every_difference_is_told_with_its_path() -> None:
    one = {"runs": [{"score": 1.5, "kept": 1}], "exit": 0, "gone": "x"}
    other = {"runs": [{"score": 1.25, "kept": 1}], "exit": 0.0, "added": None}
    assert list(compare(one, one)) == []
    assert list(compare(one, other)) == [
        "/added: new: null",
        "/exit: 0 became 0.0",
        '/gone: missing: "x"',
        "/runs/0/score: 1.5 became 1.25",
    ]
    assert list(compare({"a": 1, "b": 2}, {"b": 2, "a": 1})) == []


def test_times_and_processes_are_masked_and_all_else_is_kept() -> None:
    row = {"metrics.step_s": 0.25, "metrics.decode_s": None, "metrics.clip_score": 30.5, "tags.cogx.process.id": "7"}
    masked = {"metrics.step_s": "…", "metrics.decode_s": None, "metrics.clip_score": 30.5, "tags.cogx.process.id": "…"}
    assert NORMAL(row) == masked
    assert NORMAL('{"step_s": "1"}') == {"step_s": "1"}, "a definition's version is no time"
    assert NORMAL(["/code/somewhere/toy@1f", "/made/here/out", f"run {RUN_ID}", "2 of 3 ended; 61 s gone"]) == [
        "CHECKOUT@1f",
        "FOLDER/out",
        "run exp: seed=1 panda #1",
        "2 of 3 ended",
    ]
    assert NORMAL.said("[1/2] panda: step 3 of 50\n[2/2] panda") == ["[2/2] panda"]
    assert NORMAL.note("| steps | wall time, s |\n|---|---|\n| 4 | 0.5 |") == [
        "| steps |…|",
        "|---|…|",
        "| 4 |…|",
    ]


def test_of_a_traceback_and_a_report_what_is_said_is_kept() -> None:
    told = 'Traceback (most recent call last):\n  File "/code/a.py", line 1\n    f()\npackage.module.OwnError: too long'
    assert NORMAL.raised(told) == ["too long"]
    page = '<h2>guidance</h2><ul class="sentences"><li>The score is 1 lower.</li><li>The wall time is 2 s.</li></ul>'
    assert sentences_of(page, NORMAL) == ["guidance", "The score is 1 lower."]

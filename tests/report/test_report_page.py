"""A report's page, in a real browser and from a file."""

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cogx_runs.report.folder import write_report
from cogx_runs.tracking.store import RunStore
from tests.support.runs import SMALL, make_axis, make_run

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Dialog, Page

EVIL = "<script>alert(1)</script>"
ONE_TIE = ["0", "0", "1", "0", "0", "1", "0", "0", "0"]
"""The votes on 9, 17 and 25 frames: wins, losses, cannot tell."""
SHOWN = "[...document.querySelectorAll('.cell video[src]')]"

IN_VIEW = f"{SHOWN}.filter(v => (r => r.top < innerHeight && r.bottom > 0)(v.getBoundingClientRect()))"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Path:
    """A project with a sweep over frame counts, a prompt of HTML, and many prompts below them."""
    project = tmp_path_factory.mktemp("page")
    shutil.copy(empty_store / "mlflow.db", project / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        store = RunStore()
        make_axis(store, "num_frames", [9, 17], SMALL.replace(prompt=EVIL, prompt_name=EVIL))
        make_run(store, SMALL.replace(prompt=EVIL, prompt_name=EVIL, num_frames=25), error=f"ValueError: {EVIL}")
        for number in range(28):
            cell = SMALL.replace(sweep="many", axes=(), prompt=f"Prompt {number}", prompt_name=f"p{number}")
            make_run(store, cell, error="ValueError: no" if number == 1 else None)
        write_report(["exp", "many"], project / "out", log=False)
    return project


@pytest.fixture
def page(browser: "Browser", folder: Path, tmp_path: Path) -> Iterator["Page"]:
    """The report, opened from a file of its own with nothing moving; fails the test for any error or request."""
    shutil.copytree(folder / "out", tmp_path / "out")
    context = browser.new_context(reduced_motion="reduce", viewport={"width": 1000, "height": 700})
    opened = context.new_page()
    wrong: list[str] = []

    def dismiss(dialog: "Dialog") -> None:
        wrong.append(f"dialog {dialog.message}")
        dialog.dismiss()

    opened.on("dialog", dismiss)
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("console", lambda line: wrong.append(line.text) if line.type in {"error", "warning"} else None)
    opened.on(
        "request", lambda asked: None if asked.url.startswith(("file:", "data:", "blob:")) else wrong.append(asked.url)
    )
    opened.goto(f"file://{tmp_path}/out/report.html")
    yield opened
    context.close()
    assert wrong == []


def until(page: "Page", expression: str) -> None:
    """Wait for an expression to hold; Playwright's own waiting needs `eval`, which the page forbids."""
    deadline = time.monotonic() + 10
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, f"never came true: {expression}"
        page.wait_for_timeout(20)


def times(page: "Page") -> list[float]:
    """Where each video that has a source stands, once none is on its way."""
    until(page, f"{SHOWN}.length >= 2 && {SHOWN}.every(v => v.readyState >= 2 && !v.seeking)")
    found: list[float] = page.evaluate(f"{SHOWN}.map(v => v.currentTime)")
    return found


def votes_of(page: "Page") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = page.evaluate(
        "Object.entries(localStorage).filter(([key]) => key.startsWith('cogx-runs-report'))"
        ".flatMap(([_, kept]) => JSON.parse(kept))"
    )
    return found


def cast(page: "Page", key: str) -> None:
    page.locator("#vote-start").focus()
    page.keyboard.press("Enter")
    page.keyboard.press(key)


def test_one_control_scrubs_all_videos_and_shorter_ones_wait_on_their_last_frame(page: "Page") -> None:
    page.locator("#scrub").focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    until(page, f"{SHOWN}.every(v => v.currentTime > 0.6)")

    assert times(page) == pytest.approx([5.5 / 8] * len(times(page)), abs=0.01)

    page.evaluate("const s = document.querySelector('#scrub'); s.value = 16; s.dispatchEvent(new Event('input'))")
    until(page, f"{SHOWN}[1].currentTime > 1.9")
    assert times(page)[:2] == pytest.approx([8.5 / 8, 16.5 / 8], abs=0.01)
    assert page.locator("#time").inner_text() == "2.06 / 2.13 s"


def test_one_control_plays_and_pauses_all_videos_together_by_keyboard(page: "Page") -> None:
    page.evaluate("document.querySelector('#s1').scrollIntoView()")
    until(page, f"{SHOWN}.length > 8")
    times(page)
    page.locator("body").press("ArrowRight")
    page.keyboard.press(" ")
    until(page, f"{IN_VIEW}.length > 3 && {IN_VIEW}.every(v => !v.paused && v.currentTime > 0.4)")
    assert page.locator("#announce").inner_text() == "playing"
    page.keyboard.press(" ")

    until(page, f"{SHOWN}.every(v => v.paused)")
    found = times(page)
    assert max(found) - min(found) < 0.02
    assert len(found) > 8


def test_nothing_moves_by_itself_where_less_motion_is_asked_for_and_else_it_does(page: "Page", folder: Path) -> None:
    times(page)
    assert page.evaluate(f"{SHOWN}.every(v => v.paused)")

    page.emulate_media(reduced_motion="no-preference")
    page.reload()
    until(page, f"{IN_VIEW}.length === 2 && {IN_VIEW}.every(v => v.currentTime > 0.1)")


def test_videos_far_from_the_view_have_no_source_until_they_come_near_and_lose_it_again(page: "Page") -> None:
    times(page)
    all_videos = "[...document.querySelectorAll('.cell video')]"
    first, last = f"{all_videos}[0]", f"{all_videos}.at(-1)"
    assert page.evaluate(f"{all_videos}.length") == 29
    assert 2 <= page.evaluate(f"{SHOWN}.length") < 22
    assert page.evaluate(f"{last}.getAttribute('src')") is None

    page.evaluate(f"{last}.scrollIntoView()")
    until(page, f"{last}.readyState >= 2 && !{first}.hasAttribute('src')")
    assert page.evaluate(f"{last}.src").startswith("blob:")


def test_a_prompt_of_html_is_shown_as_its_letters_and_does_nothing(page: "Page") -> None:
    assert page.locator("tbody th", has_text=EVIL).count() == 1
    assert page.locator("#s0 .failed code").inner_text() == f"ValueError: {EVIL}"
    cast(page, "1")
    assert page.locator("#vote-prompt").inner_text() == EVIL
    page.wait_for_timeout(100)


def test_a_vote_hides_what_is_voted_on_until_it_is_cast_by_keyboard_and_outlives_a_reload(page: "Page") -> None:
    page.locator("#vote-start").press("Enter")
    until(page, "document.querySelector('#vote-left').readyState >= 2")
    assert page.locator("#vote-stage figcaption").all_inner_texts() == ["", ""]
    assert "num_frames" not in page.locator("#vote-stage").inner_text()
    assert votes_of(page) == []

    page.keyboard.press("2")
    chosen = page.locator("#vote-right-name").inner_text()
    assert chosen.endswith("· your choice")
    (vote,) = votes_of(page)

    page.reload()
    assert votes_of(page) == [vote]
    value = chosen.split()[1]
    row = page.locator("table[data-tally] tbody tr", has=page.locator(f"th:text-is('{value}')"))
    assert row.locator("td[data-count]").all_inner_texts() == ["1", "0", "0"]
    page.locator("#vote-start").press("Enter")
    assert page.locator("#vote-status").inner_text() == "You have voted on all pairs of this choice."


def test_a_page_saved_with_votes_holds_them_elsewhere_and_the_next_report_counts_them(
    page: "Page", browser: "Browser", folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page.locator("#s1 input[type=search]").fill("p27")
    page.evaluate("document.querySelector('#s0 [data-row]').remove()")  # as a filter does, which needs two rows
    cast(page, "0")
    assert page.locator("#vote-left").get_attribute("width") == "48"
    with page.expect_download() as saving:
        page.locator("#vote-save").press("Enter")
    saved = tmp_path / "out" / saving.value.suggested_filename
    saving.value.save_as(saved)

    elsewhere = browser.new_page()
    errors: list[str] = []
    elsewhere.on("console", lambda line: errors.append(line.text))
    elsewhere.goto(f"file://{saved}")
    cells = elsewhere.locator("table[data-tally] td[data-count]")
    assert cells.all_inner_texts() == ONE_TIE
    assert elsewhere.locator("[data-row]").count() == 29
    until(elsewhere, f"{SHOWN}.length > 1 && {SHOWN}.every(v => v.readyState >= 2)")
    assert not elsewhere.locator("#vote-stage").is_visible()
    assert errors == []
    elsewhere.close()

    monkeypatch.chdir(folder)
    assert write_report(["exp", "many"], tmp_path / "out", log=False).votes == 1
    page.evaluate("localStorage.clear()")
    page.reload()
    assert page.locator("table[data-tally] td[data-count]").all_inner_texts() == ONE_TIE


def test_videos_beside_the_page_play_from_their_files(
    page: "Page", folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    write_report(["exp"], tmp_path / "beside", log=False, embed_limit_mb=0)

    page.goto(f"file://{tmp_path}/beside/report.html")

    assert times(page) == pytest.approx([0.0625, 0.0625], abs=0.07)
    assert "/beside/videos/" in page.locator(".cell video").first.evaluate("v => v.src")


def test_everything_that_can_be_used_has_a_name_and_the_plots_say_what_they_show(page: "Page") -> None:
    unnamed = page.evaluate(
        "[...document.querySelectorAll('button, input, select, video, [role=region], [role=img], [role=group]')]"
        ".filter(e => !(e.ariaLabel || e.getAttribute('aria-labelledby') || e.textContent.trim() || e.labels?.length))"
        ".map(e => e.outerHTML.slice(0, 80))"
    )
    assert unnamed == []
    assert page.locator("svg.plot > title").first.text_content() == (
        "CLIP score against num_frames, 2 points from 30.00 to 30.00; each number stands under its video."
    )
    assert json.loads(page.locator("#votes").text_content() or "")["votes"] == []


def test_videos_are_filtered_sorted_and_laid_over_each_other(page: "Page") -> None:
    many = page.locator("#s1 .matrix")
    many.locator("input[type=search]").fill("p27")
    assert many.locator("li[data-row]").count() == 1
    many.locator("input[type=search]").fill("")
    many.get_by_label("Sort by").select_option("name")
    assert many.locator("figure.cell .value").all_inner_texts()[:3] == ["p0", "p1", "p2"]

    many.locator("button.zoom").first.click()
    page.locator("#zoom-with").select_option(index=1)

    assert page.locator("#zoom-title").inner_text() == "p0 | p2"
    assert page.evaluate("document.getElementById('zoom-over').style.clipPath") == "inset(0px 0px 0px 50%)"
    page.locator("#zoom").press("Escape")
    until(page, "document.querySelectorAll('#zoom video[src]').length === 0")

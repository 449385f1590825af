"""MLflow's own UI in a real browser: what a user sees of a sweep of the toy model."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
import yaml
from PIL import Image
from playwright.sync_api import Browser, Dialog, Page, expect

from cogx_runs import load_runs, open_dashboard, run_sweeps
from cogx_runs.dashboard.board import refresh
from cogx_runs.tracking.claims import Claims
from cogx_runs.tracking.store import RunStore
from cogx_runs.tracking.tags import WORKER
from tests.support.paths import ROOT
from tests.support.specs import SPEC

HOSTILE = "<script>alert(1)</script> <img src=x onerror=alert(2)> [a](javascript:alert(3))"
SWEEPS = {
    "guidance": {"prompts": ["panda_guitar"], "axes": {"guidance_scale": [1, 6, 12]}},
    "hostile": {"prompts": ["hostile"], "axes": {}, "description": HOSTILE},
}
BASE = {"model": "toy", "num_inference_steps": 3, "num_frames": 17}
WITHIN_MS = 60_000
expect.set_options(timeout=WITHIN_MS)
CLIPS = "img[src^='get-artifact'][src*='images%2Fclip']"
"""Those of the cards; the description has others."""
IN_ONE_ROW = f"""() => {{
    const clips = [...document.querySelectorAll("{CLIPS}")].map((clip) => clip.getBoundingClientRect());
    const rising = clips.every((clip, index) => index === 0 || clip.left > clips[index - 1].left);
    return rising && new Set(clips.map((clip) => clip.top)).size === 1;
}}"""

HEADS = """(wanted) => {
    const cells = [...document.querySelectorAll(".ag-header-cell")].filter((cell) => cell.innerText.trim());
    cells.sort((one, other) => one.getBoundingClientRect().left - other.getBoundingClientRect().left);
    return wanted.every((text, place) => cells[place]?.innerText.trim() === text);
}"""
"""Whether the table's columns begin with those that are wanted."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Iterator[str]:
    """A folder in which two sweeps of the toy are finished; its tracking store's address."""
    folder = tmp_path_factory.mktemp("board")
    shutil.copy(empty_store / "mlflow.db", folder)
    (folder / "prompts").mkdir()
    (folder / "prompts" / "hostile.txt").write_text(HOSTILE, encoding="utf-8")
    shutil.copy(ROOT / "prompts" / "panda_guitar.txt", folder / "prompts")
    for name, content in SWEEPS.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump({"name": name, "base": BASE, **content}))
    store = f"sqlite:///{folder}/mlflow.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        run_sweeps(["guidance.yaml", "hostile.yaml"], device="cpu", tracking_uri=store)
        with open_dashboard(["guidance"], tracking_uri=store) as server:
            yield f"{store} {server.address}"


@pytest.fixture
def store(project: str) -> str:
    return project.split(" ")[0]


@pytest.fixture
def address(project: str) -> str:
    return project.split(" ")[1]


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of a user who has closed MLflow's assistant once. Fails the test on any dialog."""
    context = browser.new_context(viewport={"width": 1600, "height": 1000})
    context.add_init_script("localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true')")
    opened = context.new_page()
    opened.set_default_timeout(WITHIN_MS)
    dialogs: list[str] = []

    def dismiss(dialog: Dialog) -> None:
        dialogs.append(dialog.message)
        dialog.dismiss()

    opened.on("dialog", dismiss)
    yield opened
    context.close()
    assert dialogs == []


def test_the_printed_address_shows_all_cells_in_one_moving_picture_below_how_far_the_sweep_is(
    page: Page, address: str, tmp_path: Path
) -> None:
    page.goto(address)

    overview = page.locator("img[src^='get-artifact'][src*='images%2Foverview']")
    expect(overview).to_have_count(1)
    expect(page.get_by_text("3 of 3 finished").first).to_be_visible()
    assert _moves(page, clip_path=tmp_path, clip=overview)
    assert _sections(page) == [
        ("Overview", "1"),
        ("Effects and trade-off", "3"),
        ("By frame and by step", "3"),
        ("Stills of the same frames", "1"),
    ]


def test_the_clips_stand_side_by_side_in_the_order_of_the_swept_number(
    page: Page, address: str, store: str, tmp_path: Path
) -> None:
    page.goto(f"{address}-clips")

    clips = page.locator(CLIPS)
    expect(clips).to_have_count(3)
    runs = load_runs("guidance", sort="guidance_scale", tracking_uri=store)
    shown = [str(clip.get_attribute("src")).rpartition("run_uuid=")[2] for clip in clips.all()]
    assert shown == list(runs["run_id"])
    assert list(runs["metrics.axis.guidance_scale"]) == [1, 6, 12]
    page.wait_for_function(IN_ONE_ROW)
    assert _moves(page, clip_path=tmp_path, clip=clips.first)
    assert _sections(page)[0] == ("Clips", "1")


@pytest.mark.slow
def test_the_page_of_the_progress_takes_up_a_cell_that_begins_while_it_is_open(
    page: Page, address: str, store: str
) -> None:
    page.goto(re.sub("&compareRunsMode=CHART(.*)", r"\1-progress", address))
    expect(page.get_by_text("3 of 3 finished").first).to_be_visible()
    page.wait_for_function(HEADS, arg=["Run Name", "Created", "current_step", "num_inference_steps", "cogx.env.host"])

    runs = RunStore(store)
    with Claims(runs) as claims:
        claim = claims.claim(runs.experiment_id("guidance"), SPEC.replace(sweep="guidance"), {WORKER: "worker 7"})
        assert claim is not None
        runs.log_step(claim.run_id, 8)
        refresh(runs, "guidance")
        expect(page.get_by_text("worker 7")).to_be_visible()
        expect(page.get_by_text("3 of 4 finished, 1 running").first).to_be_visible()
    runs.kill(claim.run_id)


def _sections(page: Page) -> list[tuple[str, str]]:
    text = page.locator("body").inner_text()
    return re.findall(r"^(.+)\s\((\d+)\)$", text, re.MULTILINE)


def _moves(page: Page, clip_path: Path, clip: object) -> bool:
    """Whether a picture's own crop differs between screenshots within 5 s."""
    first = _crop(clip_path / "first.png", clip)
    for _ in range(20):
        page.wait_for_timeout(250)
        if not np.array_equal(first, _crop(clip_path / "later.png", clip)):
            return True
    return False


def _crop(path: Path, clip: object) -> np.ndarray:
    clip.screenshot(path=path)  # type: ignore[attr-defined]
    return np.asarray(Image.open(path))


def test_the_table_has_the_runs_in_the_order_of_the_swept_number_with_the_columns_that_matter(
    page: Page, address: str
) -> None:
    page.goto(address.replace("&compareRunsMode=CHART", "").replace("ShareKey=cogx", "ShareKey=cogx-table"))

    names = page.locator("[role=gridcell] a", has_text="guidance=")
    expect(names).to_have_count(3)
    order = sorted((box["y"], name.inner_text()) for name in names.all() if (box := name.bounding_box()))
    assert [re.match(r"guidance=(\d+)", name)[1] for _, name in order] == ["1", "6", "12"]  # type: ignore[index]
    expect(page.get_by_text("clip_score", exact=True).first).to_be_visible()


def test_a_video_plays_in_the_artifact_viewer(page: Page, address: str, store: str) -> None:
    run_id = load_runs("guidance", tracking_uri=store)["run_id"].iloc[0]
    server, _, rest = address.partition("/#/experiments/")

    page.goto(f"{server}/#/experiments/{rest.partition('/')[0]}/runs/{run_id}/artifacts/video.mp4")

    page.wait_for_selector("video")
    page.evaluate("document.querySelector('video').muted = true; document.querySelector('video').play()")
    page.wait_for_function("document.querySelector('video').currentTime > 0.2")


def test_several_sweeps_open_their_overviews_side_by_side(page: Page, address: str, store: str) -> None:
    from cogx_runs.dashboard.board import show_several
    from cogx_runs.tracking.store import RunStore

    page.goto(f"{address.partition('/#/')[0]}/{show_several(RunStore(store), list(SWEEPS))}")

    for name in SWEEPS:
        expect(page.locator(f"img[src^='get-artifact'][src*='images%2F{name}%2B']")).to_have_count(1)


def test_a_hostile_prompt_and_question_do_nothing_anywhere(page: Page, address: str, store: str) -> None:
    from cogx_runs.tracking.store import RunStore

    experiment = RunStore(store).experiment_id("hostile")
    run_id = load_runs("hostile", tracking_uri=store)["run_id"].iloc[0]
    server = address.partition("/#/")[0]

    page.goto(f"{server}/#/experiments/{experiment}/runs?workflowType=machine_learning&viewStateShareKey=cogx-table")
    expect(page.get_by_text("<script>alert(1)</script>").first).to_be_visible()
    page.goto(f"{server}/#/experiments/{experiment}/runs/{run_id}")
    expect(page.get_by_text("<script>alert(1)</script>").first).to_be_visible()
    page.wait_for_timeout(1000)

    assert page.locator("img[src='x'], a[href^='javascript']").count() == 0


def test_the_stills_are_rows_of_the_same_frames(page: Page, address: str) -> None:
    page.goto(f"{address}-clips")
    stills = page.locator("img[src^='get-artifact'][src*='images%2Fframe']")
    page.locator(CLIPS).first.hover()
    page.mouse.wheel(0, 5000)

    expect(stills).to_have_count(6)

    rows = [unquote(str(still.get_attribute("src"))).partition("+")[0].rpartition("/")[2] for still in stills.all()]
    assert rows == ["frame 00"] * 3 + ["frame 12"] * 3

"""The pictures of the docs: the demo's clips, the toy's sweeps of one prompt in MLflow's UI, the demo's report, and
dashboard and report on 3, 12, 24 and 100 cells without a model.

make screenshots
python docs/screenshots.py --cells   # those on the examples alone
"""

import argparse
import io
import os
import shutil
import sys
import tempfile
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path

from example_cells import write_cells
from PIL import Image, ImageDraw, ImageFont
from playwright.sync_api import Browser, Page, sync_playwright

from cogx_runs import load_runs, open_dashboard, write_report
from cogx_runs.dashboard.board import refresh
from cogx_runs.tracking.store import RunStore
from cogx_runs.video import read_mp4

SWEEPS = ["exp1_guidance_scale", "exp2_steps", "exp3_seed", "exp4_frames"]
IMAGES = Path(__file__).parent.resolve() / "images"
WITHOUT_ASSISTANT = "localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true')"
DARK = "localStorage.setItem('_mlflow_dark_mode_toggle_enabled', 'true')"
SETTLED_MS = 4000
OVERVIEW = "img[src*='images%2Foverview']"
OUT_OF_MEMORY = "CUDA out of memory. Tried to allocate 2.00 GiB; placement sequential has nothing left to give back"
ONE, SEVERAL = ["panda_guitar"], ["panda_guitar", "oceano_balena", "samurai_pioggia"]


@dataclass(frozen=True)
class Shot:
    """A picture of an example's dashboard."""

    name: str
    width: int
    height: int
    is_dark: bool = False
    is_first_visit: bool = False
    """Whether MLflow's assistant is open."""


SHOTS = {
    "cells3": [Shot("cells_3", 1280, 900), Shot("cells_3_narrow", 400, 900)],
    "cells12": [Shot("cells_12_first_visit", 1280, 900, is_first_visit=True)],
    "cells24": [Shot("cells_24_running", 1280, 1250), Shot("cells_24_running_dark", 1280, 1250, is_dark=True)],
    "cells100": [Shot("cells_100", 1280, 1380)],
}


def draw_demo(path: Path) -> None:
    """The demo's clips as one animated WebP: a row a prompt, a column a step count, each with its CLIP score."""
    runs = load_runs("demo", where=["status=FINISHED"])
    prompts = list(runs["params.prompt_name"].unique())
    counts = sorted(runs["params.num_inference_steps"].unique())
    left, head, side, gap = 96, 22, 128, 16
    store, font = RunStore(), ImageFont.load_default(13)
    videos = {}
    with tempfile.TemporaryDirectory() as folder:
        for run in runs.to_dict("records"):
            key = run["params.prompt_name"], run["params.num_inference_steps"]
            videos[key] = read_mp4(store.download(run["run_id"], "video.mp4", Path(folder))), run["metrics.clip_score"]
    pictures = []
    for moment in range(len(next(iter(videos.values()))[0])):
        picture = Image.new("RGB", (left + len(counts) * (side + 6), head + len(prompts) * (side + gap)), "white")
        draw = ImageDraw.Draw(picture)
        for column, steps in enumerate(counts):
            x = left + column * (side + 6)
            draw.text((x, 3), f"{steps} steps", "black", font)
            for row, prompt in enumerate(prompts):
                frames, score = videos[prompt, steps]
                y = head + row * (side + gap)
                picture.paste(Image.fromarray(frames[moment]).resize((side, side), Image.Resampling.NEAREST), (x, y))
                draw.text((x, y + side), f"CLIP score {score:.1f}", "black", font)
                draw.text((2, y + 50), prompt.replace("_", "\n"), "black", font)
        pictures.append(picture)
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=125, loop=0, quality=70, method=6)


def shoot_table(browser: Browser) -> None:
    """The table of the steps sweep."""
    context = browser.new_context(viewport={"width": 1500, "height": 560})
    context.add_init_script(WITHOUT_ASSISTANT)
    page = context.new_page()
    with open_dashboard(["exp2_steps"]) as server:
        page.goto(server.address.replace("&compareRunsMode=CHART", "").replace("=cogx", "=cogx-table"))
        page.wait_for_timeout(SETTLED_MS)
        page.screenshot(path=IMAGES / "table.png")
    context.close()


def shoot_report(browser: Browser, folder: Path) -> None:
    """The report on the demo: light, dark, narrow, with one video laid over another, the effects, and in print."""
    written = write_report(["demo"], folder, log=False)
    for name, width, height, scheme in (
        ("report", 1280, 1100, "light"),
        ("report_dark", 1280, 1100, "dark"),
        ("report_narrow", 400, 800, "light"),
    ):
        page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)  # type: ignore[arg-type]
        _open(page, written.page)
        _shoot(page, name)
        if name == "report":
            page.locator(".plots").first.evaluate("plots => plots.scrollIntoView({block: 'center'})")
            page.wait_for_timeout(SETTLED_MS)
            _shoot(page, "report_effects")
            page.locator("button.zoom").nth(1).click()
            page.locator("#zoom-with").select_option(index=1)
            page.wait_for_timeout(SETTLED_MS)
            _shoot(page, "report_zoom")
            page.locator("#zoom form button").click()
            page.emulate_media(media="print")
            page.evaluate("document.querySelector('.experiment').scrollIntoView()")
            page.wait_for_timeout(SETTLED_MS)
            _shoot(page, "report_print")
        page.close()


def shoot_example_reports(browser: Browser, folder: Path) -> None:
    """The reports on 3, 24 and 100 cells, two of the 24 failed."""
    for name in ("cells3", "cells24", "cells100"):
        written = write_report([name], folder / name, log=False)
        page = browser.new_page(viewport={"width": 1280, "height": 1100})
        _open(page, written.page)
        _shoot(page, name.replace("cells", "report_"))
        page.close()


def _open(page: Page, file: Path) -> None:
    page.goto(file.as_uri())
    page.wait_for_timeout(SETTLED_MS)


def track_examples() -> None:
    """Tracks the examples' cells in the working folder: 24 of them during a sweep, two of which have failed."""
    store = RunStore()
    steps, guidance = (2, 5, 10, 25), (1.0, 6.0, 12.0)
    cells = {
        "cells3": write_cells(store, "cells3", ONE, {"guidance_scale": guidance}),
        "cells12": write_cells(store, "cells12", SEVERAL, {"num_inference_steps": steps}),
        "cells24": write_cells(
            store,
            "cells24",
            ONE,
            {"seed": (1, 2, 3, 4, 5, 6), "num_inference_steps": steps},
            finished=17,
            failing={6: OUT_OF_MEMORY, 10: OUT_OF_MEMORY},
        ),
        "cells100": write_cells(
            store, "cells100", ONE, {"seed": tuple(range(10)), "num_inference_steps": tuple(range(5, 55, 5))}
        ),
    }
    for name, number in cells.items():
        refresh(store, name, cells=number)


def shoot_cells(browser: Browser) -> None:
    """The dashboard on the examples, light and dark, wide and narrow, at first visit."""
    with open_dashboard(list(SHOTS)) as server:
        for name, shots in SHOTS.items():
            page_of = f"#/experiments/{RunStore().experiment_id(name)}/runs?workflowType=machine_learning"
            for shot in shots:
                context = browser.new_context(viewport={"width": shot.width, "height": shot.height})
                scripts = [WITHOUT_ASSISTANT] * (not shot.is_first_visit) + [DARK] * shot.is_dark
                context.add_init_script(";".join(scripts))
                page = context.new_page()
                page.goto(f"{server.url}/{page_of}&compareRunsMode=CHART&viewStateShareKey=cogx")
                page.wait_for_selector(OVERVIEW)
                page.wait_for_timeout(SETTLED_MS)
                _shoot(page, shot.name)
                context.close()
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        context.add_init_script(WITHOUT_ASSISTANT)
        page = context.new_page()
        page.goto(server.address)
        page.wait_for_selector("img[src*='images%2Fcells12']")
        page.wait_for_timeout(SETTLED_MS)
        _shoot(page, "side_by_side")
        context.close()


def _shoot(page: Page, name: str) -> None:
    """Writes a screenshot as WebP, a third of a PNG's size."""
    with Image.open(io.BytesIO(page.screenshot())) as shot:
        shot.convert("RGB").save(IMAGES / f"{name}.webp", quality=70, method=6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", action="store_true", help="the pictures of example cells alone, without a model")
    is_short = parser.parse_args().cells
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("no Chromium here; `apt-get install chromium` installs it")
    IMAGES.mkdir(exist_ok=True)
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=chromium)
        if not is_short:
            draw_demo(IMAGES / "demo.webp")
            shoot_table(browser)
            shoot_report(browser, Path(folder))
        shutil.copytree("prompts", f"{folder}/examples/prompts")
        os.environ.pop("MLFLOW_TRACKING_URI", None)
        with chdir(f"{folder}/examples"):
            track_examples()
            shoot_example_reports(browser, Path(folder))
            shoot_cells(browser)
        browser.close()


if __name__ == "__main__":
    main()

"""The pictures of the README: the toy's sweeps of one prompt in MLflow's UI and in a report.

make screenshots
"""

import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from cogx_runs import open_dashboard, write_report

SWEEPS = ["exp1_guidance_scale", "exp2_steps", "exp3_seed", "exp4_frames"]
IMAGES = Path(__file__).parent / "images"
WITHOUT_ASSISTANT = "localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true')"
SETTLED_MS = 4000


def shoot_view(browser: Browser) -> None:
    """The view of the steps sweep: clips and charts, and the table."""
    context = browser.new_context(viewport={"width": 1500, "height": 1080})
    context.add_init_script(WITHOUT_ASSISTANT)
    page = context.new_page()
    with open_dashboard(["exp2_steps"]) as server:
        page.goto(server.address)
        page.wait_for_selector("img[src*='images%2Fclip']")
        page.wait_for_timeout(SETTLED_MS)
        page.screenshot(path=IMAGES / "view.png")
        page.goto(server.address.replace("&compareRunsMode=CHART", "").replace("=cogx", "=cogx-table"))
        page.wait_for_timeout(SETTLED_MS)
        page.screenshot(path=IMAGES / "table.png", clip={"x": 0, "y": 0, "width": 1500, "height": 560})
    context.close()


def shoot_report(browser: Browser, folder: Path) -> None:
    """The report on the sweeps of one prompt, at the steps."""
    written = write_report(SWEEPS, folder, log=False)
    page = browser.new_page(viewport={"width": 1280, "height": 1100})
    page.goto(written.page.as_uri())
    page.get_by_role("heading", name="num_inference_steps").first.evaluate("heading => heading.scrollIntoView()")
    page.wait_for_timeout(SETTLED_MS)
    page.screenshot(path=IMAGES / "report.png")
    page.close()


def main() -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("no Chromium here; `apt-get install chromium` installs it")
    IMAGES.mkdir(exist_ok=True)
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=chromium)
        shoot_view(browser)
        shoot_report(browser, Path(folder))
        browser.close()


if __name__ == "__main__":
    main()

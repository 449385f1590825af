"""The pictures of the README: the demo's clips, and the toy's sweeps of one prompt in MLflow's UI and in a report.

make screenshots
"""

import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from playwright.sync_api import Browser, sync_playwright

from cogx_runs import load_runs, open_dashboard, write_report
from cogx_runs.tracking.store import RunStore
from cogx_runs.video import read_mp4

SWEEPS = ["exp1_guidance_scale", "exp2_steps", "exp3_seed", "exp4_frames"]
IMAGES = Path(__file__).parent / "images"
WITHOUT_ASSISTANT = "localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true')"
SETTLED_MS = 4000


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
    draw_demo(IMAGES / "demo.webp")
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=chromium)
        shoot_view(browser)
        shoot_report(browser, Path(folder))
        browser.close()


if __name__ == "__main__":
    main()

"""The command import, which takes in videos that other programs made."""

from pathlib import Path
from typing import Any

import click

from cogx_runs.cli.json_output import errors_as_json, print_json
from cogx_runs.cli.options import json_option, parameter_options, take_overrides
from cogx_runs.cli.terminal import echo


@click.command("import")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--name", help="The experiment; else it is called as the folder.")
@click.option(
    "--pattern", help="What the names say, such as '{prompt}_gs{guidance_scale}'; else as export writes them."
)
@click.option(
    "--csv", "table", type=click.Path(path_type=Path), help="Table with the columns file, prompt, and parameters."
)
@parameter_options
@json_option
def import_videos(folder: Path, name: str | None, as_json: bool, **options: Any) -> None:
    """Score the mp4 files of FOLDER that another program made, and track each as a finished run.

    Parameters come from the names (panda_guitar_gs6.mp4), from --csv, from options that hold for all videos, and from
    the frames; what is not known is not recorded. In a pattern {_} stands for what is not read. All mistakes are told
    at once, before anything is written. A video is imported once, by its bytes.
    """
    from dataclasses import asdict

    from cogx_runs.importing.imports import import_videos as import_

    with errors_as_json(as_json):
        found = import_(folder, name=name, overrides=take_overrides(options), **options, report=_tell)
    if as_json:
        print_json([asdict(video) | {"file": str(video.file)} for video in found])
        return
    for video in found:
        score = video.metrics.get("clip_score")
        shown = "" if score is None else f", CLIP score {score:.2f}"
        echo(f"{video.file.name}: {'imported' if video.is_new else 'imported before'} as {video.run_name}{shown}")
    new = sum(video.is_new for video in found)
    echo(f"{new} imported, {len(found) - new} imported before")


def _tell(message: str) -> None:
    echo(message, err=True)

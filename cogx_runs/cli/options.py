"""Options that several commands share."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

_PARAMETERS = {
    "model": click.option("--model", help="2b, 5b, toy, or a folder in diffusers' format."),
    "num_inference_steps": click.option(
        "--steps", "--num-inference-steps", "num_inference_steps", type=int, help="Denoising steps."
    ),
    "guidance_scale": click.option(
        "--guidance", "--guidance-scale", "guidance_scale", type=float, help="Guidance weight."
    ),
    "num_frames": click.option("--frames", "--num-frames", "num_frames", type=int, help="Number of frames."),
    "fps": click.option("--fps", type=int, help="Frames a second of the mp4."),
    "seed": click.option("--seed", type=int, help="Seed of the initial noise."),
    "placement": click.option("--placement", help="Where the weights live: auto, resident, group, model, sequential."),
    "clip_model": click.option(
        "--clip-model", help="CLIP of the score: ARCHITECTURE:TAG, ARCHITECTURE:CHECKPOINT, or a folder."
    ),
}
"""Options of the parameters that are given most often; `--set` takes any."""
_SETTINGS = click.option(
    "--set", "settings", metavar="KEY=VALUE", multiple=True, help="Any other key of `base`; repeatable."
)
_MACHINE = (
    click.option("--prompts", type=click.Path(path_type=Path), help="Folder of prompts; else ./prompts, else shipped."),
    click.option("--device", type=click.Choice(["auto", "cuda", "cpu"]), default="auto", help="Where to run."),
    click.option("--max-vram", type=float, metavar="GIB", help="Limit of GPU memory."),
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
take_over_option = click.option(
    "--take-over", is_flag=True, help="Run cells here that another host is at, whether it is alive or not."
)
sweep_argument = click.argument("sweep")
files_argument = click.argument("files", metavar="FILE...", nargs=-1, required=True)


def cell_options(command: Command) -> Command:
    """Adds the options that set a cell's parameters and where it runs."""
    for option in reversed((*_PARAMETERS.values(), _SETTINGS, *_MACHINE)):
        command = option(command)
    return command


def take_overrides(options: dict[str, Any]) -> dict[str, Any]:
    """Removes the parameters from a command's options and returns those that were given."""
    overrides = {name: value for name in _PARAMETERS if (value := options.pop(name)) is not None}
    return overrides | take_settings("--set", options.pop("settings"))


def take_settings(option: str, settings: Sequence[str]) -> dict[str, Any]:
    """Reads the values of an option that is given as KEY=VALUE, as YAML. Raises InputError."""
    import yaml

    from cogx_runs.errors import InputError

    found = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise InputError.single(f"{option} {setting}", "write it as KEY=VALUE")
        try:
            found[name.strip()] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise InputError.single(f"{option} {setting}", "the value is not valid YAML; quote it") from error
    return found

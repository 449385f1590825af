"""Options that several commands share."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

_PARAMETERS = {
    "model": click.option(
        "--model", help="2b, 5b, 1.5-5b, toy, a folder in diffusers' format, or a downloaded hub id."
    ),
    "num_inference_steps": click.option(
        "--steps", "--num-inference-steps", "num_inference_steps", metavar="INTEGER", help="Denoising steps."
    ),
    "guidance_scale": click.option(
        "--guidance", "--guidance-scale", "guidance_scale", metavar="FLOAT", help="Guidance weight."
    ),
    "num_frames": click.option("--frames", "--num-frames", "num_frames", metavar="INTEGER", help="Number of frames."),
    "fps": click.option("--fps", metavar="INTEGER", help="Frames a second of the mp4."),
    "seed": click.option("--seed", metavar="INTEGER", help="Seed of the initial noise."),
    "placement": click.option("--placement", help="Where the weights live: auto, resident, group, model, sequential."),
    "clip_model": click.option(
        "--clip-model", help="CLIP of the score: ARCHITECTURE:TAG, ARCHITECTURE:CHECKPOINT, or a folder."
    ),
}
"""Options of the parameters that are given most often; `--set` takes any."""
_SETTINGS = click.option(
    "--set", "settings", metavar="KEY=VALUE", multiple=True, help="Any other key of `base`; repeatable."
)
_PROMPTS = click.option(
    "--prompts", type=click.Path(path_type=Path), help="Folder of prompts; else ./prompts, else shipped."
)
device_option = click.option(
    "--device", metavar="[auto|cuda|cpu]", default="auto", help="Where to run, or to decode what is kept."
)
_MACHINE = (
    device_option,
    click.option("--max-vram", type=float, metavar="GIB", help="Limit of GPU memory."),
)
_EXECUTOR = (
    click.option(
        "--executor",
        type=click.Choice(["local", "ray"]),
        default="local",
        show_default=True,
        help="Run cells in this process, or by Ray on all GPUs of this machine or a cluster.",
    ),
    click.option("--workers", type=click.IntRange(min=1), metavar="N", help="Workers of Ray; else one for each GPU."),
    click.option(
        "--ray-address", metavar="ADDRESS", help="Cluster of Ray to join; else RAY_ADDRESS, else Ray is started here."
    ),
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
take_over_option = click.option(
    "--take-over", is_flag=True, help="Run cells here that another host is at, whether it is alive or not."
)
sweep_argument = click.argument("sweep")
files_argument = click.argument("files", metavar="FILE...", nargs=-1, required=True)


def executor_options(command: Command) -> Command:
    """Adds the options that say by what cells are run; `cli/executors.py` reads them."""
    return _with(_EXECUTOR, command)


def parameter_options(command: Command) -> Command:
    """Adds the options that set a cell's parameters, and the folder of prompts."""
    return _with((*_PARAMETERS.values(), _SETTINGS, _PROMPTS), command)


def cell_options(command: Command) -> Command:
    """Adds the options that set a cell's parameters and where it runs."""
    return parameter_options(_with(_MACHINE, command))


def _with(options: Sequence[Callable[[Command], Command]], command: Command) -> Command:
    for option in reversed(options):
        command = option(command)
    return command


def take_overrides(options: dict[str, Any]) -> dict[str, Any]:
    """Removes the parameters from a command's options and returns those that were given. Raises InputError."""
    from cogx_runs.definitions.settings import Setting, read_settings
    from cogx_runs.definitions.spec import short_name

    given = {name: options.pop(name) for name in _PARAMETERS}
    pairs = options.pop("settings")
    flags = {name: f"--{short_name(name)}".replace("_", "-") for name in given}
    settings = [Setting(flags[name], name, text) for name, text in given.items() if text is not None]
    return dict(read_settings([*settings, *(Setting.parse("--set", pair) for pair in pairs)]))


def take_settings(option: str, pairs: Sequence[str]) -> dict[str, Any]:
    """Reads the values of an option that is given as KEY=VALUE. Raises InputError."""
    from cogx_runs.definitions.settings import Setting, read_settings

    return dict(read_settings(Setting.parse(option, pair) for pair in pairs))


def refuse_repeats(command: click.Command, context: click.Context, arguments: Sequence[str]) -> None:
    """Raises UsageError for an option that is given twice and takes one value: click would take the last."""
    if isinstance(command, click.Group) and arguments and arguments[0] in command.commands:
        inner = command.commands[arguments[0]]
        refuse_repeats(inner, click.Context(inner, parent=context, info_name=arguments[0]), arguments[1:])
        return
    _, _, given = command.make_parser(context).parse_args(list(arguments))
    options = [parameter for parameter in given if isinstance(parameter, click.Option) and not parameter.multiple]
    for option, times in Counter(options).items():
        is_mere_flag = option.is_flag and not option.secondary_opts
        if times > 1 and not is_mere_flag:
            raise click.UsageError(f"{option.opts[0]} is given twice; give it once", context)

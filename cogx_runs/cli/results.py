"""Commands for tracked runs: runs, rescore, export, ui."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from cogx_runs.cli.options import device_option, json_option, sweep_argument, take_settings
from cogx_runs.cli.terminal import echo, echo_json


@click.command()
@click.argument("sweep", required=False)
@click.option("--where", multiple=True, metavar="CONDITION", help="Such as 'clip_score>25' or status=FINISHED.")
@click.option("--sort", metavar="COLUMN", help="Sort by this column; -COLUMN for descending.")
@click.option("--columns", metavar="COLUMN,...", help="Show these columns alone, such as seed,clip_score,video.")
@click.option("--watch", is_flag=True, help="Show who is at which cell and the time left, until Ctrl-C.")
@json_option
def runs(
    sweep: str | None, where: tuple[str, ...], sort: str | None, columns: str | None, watch: bool, as_json: bool
) -> None:
    """List the runs of SWEEP (an experiment's name or a sweep file), or of all.

    With --watch, show the progress of SWEEP, or of all that have cells left, from any terminal that has the store.
    """
    if watch:
        from cogx_runs.cli.watch import watch_runs

        if where or sort or columns or as_json:
            raise click.UsageError("--watch: shows its own table; leave out --where, --sort, --columns and --json")
        try:
            watch_runs(sweep)
        except KeyboardInterrupt:
            sys.exit(130)
    from cogx_runs.analysis.frame import columns_named, find_columns, load_runs

    frame = load_runs(sweep, where=where, sort=sort)
    only = [] if columns is None else find_columns(frame, [name.strip() for name in columns.split(",")])
    if as_json:
        frame = frame[only] if only else frame
        echo_json(frame.to_json(orient="records", date_format="iso", indent=2))
        return
    from cogx_runs.cli.tables import print_runs

    print_runs(frame, columns_named(frame, where, sort), only)


@click.command()
@sweep_argument
@click.option("--clip-model", help="Another CLIP than the runs name.")
@click.option("--metric", "extra_metrics", metavar="NAME", multiple=True, help="Add an extra metric too; repeatable.")
@click.option("--reference", metavar="KEY=VALUE", multiple=True, help="Compare with this value's videos; repeatable.")
@device_option
def rescore(
    sweep: str, clip_model: str | None, extra_metrics: tuple[str, ...], reference: tuple[str, ...], device: str
) -> None:
    """Add the metrics that finished runs of SWEEP lack, from their stored latents and mp4 files.

    The score of another CLIP than the run names is a metric of its own, clip_score.NAME. With --reference each run is
    compared with the run that has that value and is the same in all else, also in its seed: psnr.KEY_VALUE, ssim, and
    lpips where its extra is installed. --metric names an optional metric that needs weights of its own:
    aesthetic_quality, subject_consistency, dynamic_degree. Failures are listed at the end, and the exit code is then 1.
    """
    from cogx_runs.rescore.rescoring import rescore_runs

    done = rescore_runs(
        sweep,
        clip_model=clip_model,
        extra_metrics=extra_metrics,
        reference=take_settings("--reference", reference),
        device=device,
        report=lambda message: echo(message, err=True),
    )
    scored = [run for run in done if run.values]
    for run in scored:
        echo(f"{run.run_name}: {', '.join(f'{name} {value:.4g}' for name, value in run.values.items())}")
    failed = [run for run in done if run.problems]
    for run in failed:
        echo(f"failed: {run.run_name}: {'; '.join(run.problems)}", err=True)
    updated = [run for run in done if not run.values and not run.problems]
    others = f", {len(updated)} brought up to date" * bool(updated) + f", {len(failed)} failed" * bool(failed)
    echo(f"{len(scored)} runs scored{others}")
    sys.exit(1 if failed else 0)


@click.command()
@sweep_argument
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
def export(sweep: str, directory: Path) -> None:
    """Write the finished videos of SWEEP and a CSV into DIR, each named as panda_guitar_gs6.mp4.

    Videos that are gone or damaged are listed at the end, and the exit code is then 1.
    """
    from cogx_runs.errors import IncompleteExportError
    from cogx_runs.export import export_runs

    missing: Mapping[str, str] = {}
    try:
        written: Sequence[Path] = export_runs(sweep, directory)
    except IncompleteExportError as error:
        written, missing = error.written, error.missing
    for path in written:
        echo(path)
    for name, reason in missing.items():
        echo(f"missing: {name}: {reason}", err=True)
    sys.exit(1 if missing else 0)


@click.command()
@click.argument("sweeps", metavar="[SWEEP]...", nargs=-1)
@click.option("--model", help="Show the runs of this model, where several share the sweep.")
@click.option("--prompt", help="Show the runs of this prompt.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port of the server; else a free one.")
@click.option("--browser/--no-browser", default=True, help="Open the address in a browser.")
def ui(sweeps: tuple[str, ...], model: str | None, prompt: str | None, port: int | None, browser: bool) -> None:
    """Start MLflow's server on 127.0.0.1 and open the view of SWEEP, or compare several; Ctrl-C ends it."""
    from cogx_runs.api import open_dashboard

    echo("opening MLflow's server", err=True)
    try:
        with open_dashboard(sweeps, model=model, prompt=prompt, port=port) as server:
            echo(server.address)
            if server.process is not None:
                echo("Ctrl-C ends the server", err=True)
            if browser and (sys.platform != "linux" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
                click.launch(server.address)
            server.wait()
    except KeyboardInterrupt:
        sys.exit(130)

"""Videos and numbers in folders, each video named by its prompt and the value that varies."""

import shutil
from pathlib import Path

import pandas as pd

from cogx_runs.analysis.frame import load_runs
from cogx_runs.definitions.spec import ROLES, short_name
from cogx_runs.errors import CogxError, IncompleteExportError, StoreError, StoreUnavailableError, first_line
from cogx_runs.formatting import count, write_exact
from cogx_runs.system.disk import create_folder
from cogx_runs.tracking.artifacts import VIDEO
from cogx_runs.tracking.columns import EXPERIMENT, RUN_ID, STATUS, axis_column, param_column, tag_column
from cogx_runs.tracking.liveness import temporary_folder
from cogx_runs.tracking.reader import RunReader
from cogx_runs.tracking.run import RunState
from cogx_runs.tracking.tags import OUTPUT_HASH


def export_runs(sweep: str, directory: Path, *, tracking_uri: str | None = None) -> list[Path]:
    """Writes `DIR/exp1_guidance_scale/panda_guitar_gs6.mp4` for each finished run, and `runs.csv` next to them.

    Each file appears whole or not at all. The output hash is added to names that two runs would share.
    Returns the files written. Raises CogxError where the sweep has no finished run or `directory` cannot be written,
    and IncompleteExportError, after all others are written, where videos are gone or damaged: those have no `file` in
    the table.
    """
    runs = load_runs(sweep, where=[f"{STATUS}={RunState.FINISHED}"], tracking_uri=tracking_uri)
    if runs.empty:
        raise CogxError(f"{sweep}: has no finished run to export")
    create_folder(directory)
    runs.insert(4, "file", _file_names(runs))
    store = RunReader(tracking_uri)
    written = []
    missing = {}
    for experiment, group in runs.groupby(EXPERIMENT, sort=False):
        folder = directory / str(experiment)
        folder.mkdir(parents=True, exist_ok=True)
        for run_id, name in zip(group[RUN_ID], group["file"], strict=True):
            try:
                with temporary_folder(folder) as temporary:
                    video = store.download(run_id, VIDEO, temporary)
                    written.append(video.replace(folder / name))
            except StoreUnavailableError:
                raise
            except StoreError as error:
                missing[f"{experiment}/{name}"] = first_line(error)
        is_missing = (str(experiment) + "/" + group["file"]).isin(missing)
        group = group.assign(file=group["file"].mask(is_missing))
        with temporary_folder(folder) as temporary:
            table = temporary / "runs.csv"
            group.dropna(axis="columns", how="all").to_csv(table, index=False)
            written.append(Path(shutil.move(table, folder / "runs.csv")))
    if missing:
        message = f"{sweep}: {count(len(missing), 'video')} could not be exported; the rest is written"
        raise IncompleteExportError(message, written, missing)
    return written


def _file_names(runs: pd.DataFrame) -> list[str]:
    """Names each run's video `panda_guitar_gs6.mp4`, with its output hash where that is not unique."""
    stems = []
    for row in runs.to_dict("records"):
        swept = axis_column("")
        axes = sorted(str(key).removeprefix(swept) for key in row if str(key).startswith(swept))
        values = {axis: row[param_column(axis)] for axis in axes if not pd.isna(row[axis_column(axis)])}
        suffixes = [f"{ROLES[axis].suffix or short_name(axis)}{write_exact(value)}" for axis, value in values.items()]
        stems.append("_".join([str(row[param_column("prompt_name")]), *suffixes]))
    keys = [f"{experiment}/{stem}" for experiment, stem in zip(runs[EXPERIMENT], stems, strict=True)]
    return [
        f"{stem}.mp4" if keys.count(key) == 1 else f"{stem}_{identity[:6]}.mp4"
        for stem, key, identity in zip(stems, keys, runs[tag_column(OUTPUT_HASH)], strict=True)
    ]

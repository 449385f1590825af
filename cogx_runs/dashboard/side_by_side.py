"""The overviews of several experiments on one page, kept in a run of the first one."""

from collections.abc import Sequence
from pathlib import Path

from cogx_runs.dashboard.notes import escaped
from cogx_runs.dashboard.overview import KEYS, picture_of
from cogx_runs.dashboard.pictures import picture_paths
from cogx_runs.dashboard.server import comparison
from cogx_runs.dashboard.view import compared_key, compared_tags, page
from cogx_runs.errors import StoreError, StoreUnavailableError
from cogx_runs.tracking.artifacts import IMAGES
from cogx_runs.tracking.liveness import temporary_folder
from cogx_runs.tracking.run import TrackedRun
from cogx_runs.tracking.store import RunStore
from cogx_runs.tracking.tags import MLFLOW_LOGGED_IMAGES, MLFLOW_NOTE, PAGES, json_tag


def write_side_by_side(store: RunStore, names: Sequence[str]) -> str:
    """Keeps the overviews of these experiments, as they were last drawn, together. Returns the place of their page.

    Raises StoreError where the store cannot keep them.
    """
    ids = [store.experiment_id(name) for name in names]
    first = ids[0]
    keys: list[str] = []
    lines = [f"[Table and charts of all their runs]({comparison(ids)})\n"]
    with temporary_folder() as folder:
        images = folder / "kept" / IMAGES
        images.mkdir(parents=True)
        for name, experiment_id in zip(names, ids, strict=True):
            overview = store.find_overview(experiment_id)
            lines.append(f"- [{escaped(name)}]({page(experiment_id)}): {'' if overview is None else overview.name}")
            if overview is not None:
                keys += _copy(store, overview, name, images, folder / experiment_id)
        about = {MLFLOW_LOGGED_IMAGES: str(True), MLFLOW_NOTE: "\n".join(lines)}
        key = compared_key(names)
        run_id = store.keep_comparison(first, " | ".join(names), key, images.parent, about)
    store.tag_experiment(first, compared_tags(key, run_id, names, keys, store.created_ms(first)))
    return page(first, key)


def _copy(store: RunStore, overview: TrackedRun, name: str, images: Path, folder: Path) -> list[str]:
    """Copies an overview's pages; returns the keys of their pictures."""
    keys = []
    for number, key in enumerate(KEYS):
        if key not in json_tag(overview.tags, PAGES):
            continue
        try:
            file = store.download(overview.run_id, picture_of(number), folder)
        except StoreUnavailableError:
            raise
        except StoreError:
            continue
        keys.append(key.replace(KEYS[0], name, 1))
        for path in picture_paths(images, keys[-1], at_ms=0):
            path.write_bytes(file.read_bytes())
    return keys

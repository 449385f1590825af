"""Ratios that MagCache needs, measured once for a model and a schedule and kept in the user's cache."""

import hashlib
import json
import math
from contextlib import suppress
from pathlib import Path

import diffusers
import torch

from cogx_runs.definitions.caches import NO_CACHE, MagCache
from cogx_runs.definitions.spec import RunSpec
from cogx_runs.errors import CogxError
from cogx_runs.generation.caches import Ratios
from cogx_runs.system.disk import ANOTHER_CACHE, cache_directory
from cogx_runs.system.hardware import device_name
from cogx_runs.system.whole_file import write_whole


def calibrating_cell(spec: RunSpec) -> RunSpec | None:
    """Returns the cell that is denoised to measure a cell's ratios: its own without cache, prompts and seed.

    So the ratios depend on no cell that happens to be the first. None where the cell needs none.
    """
    if not isinstance(spec.step_cache, MagCache):
        return None
    return spec.replace(cache=NO_CACHE, prompt="", negative_prompt="", seed=0)


class CalibrationCache:
    """Files of ratios, shared by all processes of a user, each named by all that its numbers depend on."""

    def read(self, spec: RunSpec) -> Ratios | None:
        """Reads the ratios of a calibrating cell; None where none are kept whole."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            kept = json.loads(self._path(spec).read_text(encoding="utf-8"))["ratios"]
            ratios = [float(ratio) for ratio in kept]
            if len(ratios) == spec.num_inference_steps and all(map(math.isfinite, ratios)):
                return ratios
        return None

    def keep(self, spec: RunSpec, ratios: Ratios) -> None:
        """Keeps the ratios of a calibrating cell. Raises CogxError where the folder cannot be written."""
        path = self._path(spec)
        about = {"model": spec.model, "revision": spec.model_revision, "steps": spec.num_inference_steps}
        try:
            path.parent.mkdir(exist_ok=True)
            write_whole(path, json.dumps(about | {"scheduler": spec.scheduler, "ratios": list(ratios)}))
        except OSError as error:
            raise CogxError(f"{path.parent}: cannot be written ({error}); {ANOTHER_CACHE}") from error

    @staticmethod
    def _path(spec: RunSpec) -> Path:
        versions = (spec.signature, device_name(spec.device), torch.__version__, diffusers.__version__)
        name = hashlib.sha256("\n".join(versions).encode()).hexdigest()[:32]
        return cache_directory() / "calibrations" / f"{name}.json"


def digest_of(ratios: Ratios) -> str:
    """Hashes ratios to 12 digits, by which a run names those that it was made with."""
    return hashlib.sha256(json.dumps(list(ratios)).encode()).hexdigest()[:12]

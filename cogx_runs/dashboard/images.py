"""Pictures that MLflow's UI can put side by side: their keys and the names of their files."""

import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

CLIP = "clip"
STILLS: Mapping[str, int] = MappingProxyType({f"frame {index:02}": index for index in (0, 12, 24, 36, 48)})
"""The key of each still, and which frame it is: the same of every video, so that rows compare."""


def image_paths(folder: Path, key: str) -> tuple[Path, Path]:
    """Where the picture of a key goes, and the small one that is shown first; named as `MlflowClient.log_image` does.

    MLflow's own call takes no animation.
    """
    name = f"{key}+step+0+timestamp+{time.time_ns() // 1_000_000}+{uuid.uuid4()}"
    return folder / f"{name}.png", folder / f"{name}+compressed.webp"

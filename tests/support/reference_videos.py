"""The frames and the random CLIP on which our metrics are held against their reference code.

Made of integers and of `RandomState`, whose numbers are frozen, so that they are the same with any version of NumPy
and torch.
"""

import json
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import save_file

from cogx_runs.video import Frames
from tests.support.paths import ROOT

FIXTURES = ROOT / "tests" / "fixtures"
PROMPT = "a whale swims in the ocean"


def reference_videos() -> dict[str, Frames]:
    """Short videos by name; `toy` is every second frame of the toy model's whale, 50 steps, seed 0."""
    strip = np.asarray(Image.open(FIXTURES / "toy_whale.png"))
    noise = np.random.RandomState(0).randint(0, 256, (5, 64, 96, 3)).astype(np.uint8)
    return {
        "toy": np.stack(np.split(strip, strip.shape[1] // 64, axis=1)),
        "square": moving_square(6, 64, 96, step_px=5),
        "large": moving_square(5, 288, 432, step_px=9),
        "noise": noise,
        "cut": np.concatenate([moving_square(3, 64, 96, step_px=2), noise[:2]]),
        "frozen": np.repeat(moving_square(1, 64, 96, step_px=0), 4, axis=0),
    }


def moving_square(count: int, height: int, width: int, step_px: int) -> Frames:
    """A square with a checked pattern that goes right over a ground of slow waves."""
    rows, columns = np.mgrid[:height, :width]
    ground = np.stack([rows * 3 % 256, columns * 2 % 256, (rows * columns // 16) % 256], axis=-1)
    side = height // 3
    patch = np.where(((rows + columns) // 3 % 2)[:side, :side, None], [230, 40, 60], [20, 200, 90])
    frames = np.repeat(ground[None], count, axis=0)
    for index in range(count):
        left = 4 + index * step_px
        frames[index, side : 2 * side, left : left + side] = patch
    return frames.astype(np.uint8)


def save_random_clip(folder: Path) -> None:
    """A CLIP folder of open_clip's with 224 px, OpenAI's tokenizer, and weights that no seed of torch can change."""
    import open_clip

    vision = {"image_size": 224, "layers": 2, "width": 64, "head_width": 32, "patch_size": 32}
    text = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
    config = {"embed_dim": 32, "vision_cfg": vision, "text_cfg": text}
    random = np.random.RandomState(0)
    state = {
        name: _weights(name, tuple(value.shape), random)
        for name, value in open_clip.CLIP(**config).state_dict().items()
    }
    folder.mkdir(parents=True)
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": {}}))
    save_file(state, folder / "open_clip_model.safetensors")


def _weights(name: str, shape: tuple[int, ...], random: np.random.RandomState) -> np.ndarray:
    if "ln_" in name and name.endswith("weight"):
        return np.ones(shape, dtype=np.float32)
    if len(shape) < 2:
        return np.zeros(shape, dtype=np.float32)
    fan_in = int(np.prod(shape[1:])) if "conv1" in name or "weight" in name else shape[0]
    return np.asarray(random.standard_normal(shape) / np.sqrt(fan_in), dtype=np.float32)

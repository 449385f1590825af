"""VBench's preprocessing of frames for CLIP and DINO."""

from collections.abc import Sequence

import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms.functional import center_crop, normalize, resize

from cogx_runs.video import Frames

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def vbench_pixels(
    frames: Frames, size_px: int = 224, mean: Sequence[float] = CLIP_MEAN, std: Sequence[float] = CLIP_STD
) -> torch.Tensor:
    """Scales frames (T x H x W x C) as VBench does for CLIP: T x C x `size_px` x `size_px`, normalised.

    The shorter side becomes `size_px`, bicubic and without antialiasing, and the middle is cut out: `clip_transform` of
    VBench's `vbench/utils.py`, which differs from CLIP's own scaling wherever frames are larger than `size_px`.
    """
    pixels = torch.tensor(frames).permute(0, 3, 1, 2).float()
    scaled = center_crop(resize(pixels, [size_px], InterpolationMode.BICUBIC, antialias=False), [size_px, size_px])
    normalised: torch.Tensor = normalize(scaled / 255, list(mean), list(std))
    return normalised


def dino_pixels(frames: Frames, size_px: int = 224) -> torch.Tensor:
    """Scales frames (T x H x W x C) as VBench does for DINO: T x C x H' x W', normalised.

    The shorter side becomes `size_px`, bilinear and without antialiasing, and nothing is cut off: `dino_transform` of
    VBench's `vbench/utils.py`.
    """
    pixels = torch.tensor(frames).permute(0, 3, 1, 2).float()
    scaled = resize(pixels, [size_px], InterpolationMode.BILINEAR, antialias=False)
    normalised: torch.Tensor = normalize(scaled / 255, list(IMAGENET_MEAN), list(IMAGENET_STD))
    return normalised

"""How often the rule for degenerate output is wrong: false alarms and misses by class, on the toy and on photographs.

    python benchmarks/degenerate_rule.py

prints the tables of docs/degenerate.md; about 20 minutes of one CPU core. Every class is made twice, from prompts,
seeds and drawings of its own: the thresholds were chosen on half A, half B only counts. The photographs are those that
scikit-image, scikit-learn and matplotlib bring along, as far as they are installed.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from diffusers import CogVideoXDPMScheduler, CogVideoXPipeline
from PIL import Image

from cogx_runs import toy
from cogx_runs.generation.generate import decode_latents
from cogx_runs.generation.x0_prediction import predicting_x0
from cogx_runs.metrics.degenerate import (
    CHECKED_AT,
    Degenerate,
    FrameMeasures,
    LatentMeasures,
    judge_frames,
    judge_latents,
    measure_frames,
    measure_latents,
)
from cogx_runs.metrics.subject import frame_changes
from cogx_runs.system.hardware import Device
from cogx_runs.toy.train.captions import caption, shipped_prompts
from cogx_runs.toy.train.data import draw_set
from cogx_runs.toy.train.world import sample_scene, scene_rng
from cogx_runs.video import Frames

FRAMES = 17
DRAWINGS_SEED = 980
"""Of drawings that the toy was not trained on."""
PHOTO_HEIGHT, PHOTO_WIDTH = 240, 360
TEXTURES = {"brick", "grass", "gravel", "hubble_deep_field", "text", "page"}
"""Photographs without large parts: the hardest to tell from noise."""


@dataclass
class Class:
    """Videos of one kind, of one half."""

    name: str
    half: str
    expected: str | None
    """What the rule should say; None for nothing."""
    frames: list[FrameMeasures] = field(default_factory=list)
    latents: dict[str, list[LatentMeasures]] = field(default_factory=dict)
    """By the part of the steps after which they were predicted; `end` for a video's own."""

    def add(self, videos: Sequence[Frames], latents: torch.Tensor | None = None) -> "Class":
        self.frames += [measure_frames(video, frame_changes(video)) for video in videos]
        if latents is not None:
            self.latents.setdefault("end", []).extend(measure_latents(video) for video in latents)
        return self


class Toy:
    """The toy's pipeline, in batches. Latents are given and returned on the CPU."""

    def __init__(self, device: Device) -> None:
        self.device: Device = device
        self.pipe = CogVideoXPipeline.from_pretrained(toy.pipeline_dir(), dtype=torch.float32)
        self.pipe.to(device)
        self.pipe.set_progress_bar_config(disable=True)
        self.trained = {key: value.clone() for key, value in self.pipe.transformer.state_dict().items()}

    def spoil(self, part: float, seed: int) -> None:
        """Replace a part of each of the transformer's weights by noise of the same spread; 0 gives them back."""
        generator = torch.Generator().manual_seed(seed)
        self.pipe.transformer.load_state_dict({
            key: value if value.numel() < 2 or not part else
            (1 - part**2) ** 0.5 * value + part * value.std() * torch.randn(value.shape, generator=generator).to(value)
            for key, value in self.trained.items()
        })  # fmt: skip

    def make(
        self, to: Class, prompts: Sequence[str], seed: int, steps: int = 25, guidance: float = 6, frames: int = FRAMES,
        scheduler: str = "ddim",
    ) -> tuple[list[Frames], torch.Tensor]:  # fmt: skip
        """One video a prompt, measured into `to`, at the check points too. Returns frames and latents."""
        own = self.pipe.scheduler
        if scheduler == "dpm":
            self.pipe.scheduler = CogVideoXDPMScheduler.from_config(own.config)
        checks = {step: f"{part:.0%}" for part in CHECKED_AT if 0 < (step := round(part * steps)) < steps}
        with torch.no_grad(), predicting_x0(self.pipe.scheduler) as clean:

            def after_step(
                _pipe: object, step: int, _timestep: object, tensors: dict[str, object]
            ) -> dict[str, object]:
                if step + 1 in checks and clean.latents is not None:
                    measured = [measure_latents(one) for one in clean.latents]
                    to.latents.setdefault(checks[step + 1], []).extend(measured)
                return tensors

            latents = self.pipe(
                prompt=list(prompts),
                num_inference_steps=steps,
                guidance_scale=guidance,
                num_frames=frames,
                generator=[torch.Generator("cpu").manual_seed(seed + place) for place in range(len(prompts))],
                max_sequence_length=self.pipe.transformer.config.max_text_seq_length,
                output_type="latent",
                callback_on_step_end=after_step,
            ).frames.cpu()
        self.pipe.scheduler = own
        videos = self.decode(latents)
        to.add(videos)
        return videos, latents

    def decode(self, latents: torch.Tensor) -> list[Frames]:
        return [decode_latents(self.pipe.vae, one[None], self.device, tiling=True, slicing=True) for one in latents]

    def encode(self, videos: Sequence[Frames]) -> torch.Tensor:
        """Latents as the model makes them: n x t x c x h x w."""
        signal = torch.from_numpy(np.stack(videos)).permute(0, 4, 1, 2, 3).float() / 127.5 - 1
        with torch.no_grad():
            latents: torch.Tensor = self.pipe.vae.encode(signal.to(self.device)).latent_dist.mode()
        return latents.cpu().permute(0, 2, 1, 3, 4) * float(self.pipe.vae.config.scaling_factor)


def prompts_of(half: str, count: int) -> list[str]:
    """Every second shipped prompt, then captions of scenes of this half."""
    shipped = list(shipped_prompts().values())["AB".index(half) :: 2]
    captions = []
    for index in range(count - len(shipped)):
        rng = scene_rng(DRAWINGS_SEED + "AB".index(half), index)
        captions.append(caption(sample_scene(rng), rng).text)
    return shipped + captions


def classes_of(half: str, model: Toy, effort: int) -> Iterator[Class]:
    """All classes of one half, `effort` prompts in each."""
    seed = 10_000 if half == "A" else 20_000
    prompts = prompts_of(half, effort)
    rng = np.random.default_rng(seed)
    noise = torch.Generator().manual_seed(seed)

    good = Class("good: 25 steps, guidance 6", half, None)
    videos, latents = model.make(good, prompts, seed)
    model.make(good, prompts, seed + 100)
    for more in (200, 300):
        model.make(good, prompts, seed + more, frames=9)
    yield good
    for number, (name, options, count) in enumerate((
        ("good: 25 steps, guidance 1", {"guidance": 1.0}, effort),
        ("good: 25 steps, guidance 12", {"guidance": 12.0, "frames": 9}, effort),
        ("good: 25 steps, dpm", {"scheduler": "dpm", "frames": 9}, effort),
        ("good: 10 steps", {"steps": 10}, effort),
        ("good: 50 steps", {"steps": 50, "frames": 9}, effort // 2),
        ("good: 25 steps, 49 frames", {"frames": 49}, effort // 6),
    )):  # fmt: skip
        made = Class(name, half, None)
        model.make(made, prompts[:count], seed + 400 + 100 * number, **options)  # type: ignore[arg-type]
        yield made

    few = prompts[: effort // 2]
    for steps in (1, 2, 5, 7, 11, 13):
        made = Class(f"{steps} step{'s' * (steps > 1)}", half, None if steps == 5 else "?")
        model.make(made, few, seed + 1100, steps=steps)
        yield made
    for part in (0.1, 0.3, 0.5, 1.0):
        made = Class(f"weights {part:.0%} random", half, "noise" if part == 1 else "?")
        model.spoil(part, seed)
        model.make(made, few, seed + 1200, frames=9)
        yield made
    model.spoil(0, seed)

    drawn = drawings(half, 64)
    yield Class("drawn clips", half, None).add(drawn, model.encode(drawn))
    still = [np.repeat(video[:1], FRAMES, axis=0) for video in drawn[:24]]
    yield Class("drawn still scenes", half, "frozen").add(still, model.encode(still))
    for light in (0.2, 0.1, 0.05):
        dim = [(video * light).astype(np.uint8) for video in drawn[:24]]
        made = Class(f"drawn clips at {light:.0%} of their light", half, None if light > 0.1 else "?")
        yield made.add(dim, model.encode(dim))
    for name, shift in (("still", 0), ("panned 1% of the width a frame", 0.01), ("panned 4%", 0.04)):
        for kind in ("photographs", "textures"):
            for height, what in ((PHOTO_HEIGHT, ""), (64, ", encoded")):
                photos = list(pans(kind == "textures", half, shift, height))
                made = Class(f"{kind}, {name}{what}", half, "frozen" if shift == 0 else None)
                if photos:
                    yield made.add(photos, None if height == PHOTO_HEIGHT else model.encode(photos))

    pure = torch.randn(latents.shape, generator=noise)
    yield Class("noise decoded", half, "noise").add(model.decode(pure), pure)
    pixels = [rng.integers(0, 256, videos[0].shape, dtype=np.uint8) for _ in few]
    yield Class("noise in the pixels", half, "noise").add(pixels, model.encode(pixels))
    for part in (0.3, 0.5, 0.7, 0.8, 0.9):
        mixed = (1 - part**2) ** 0.5 * latents + part * latents.std() * pure
        made = Class(f"latents with {part:.0%} noise", half, None if part < 0.5 else "?")
        yield made.add(model.decode(mixed), mixed)
    for part in (0.3, 0.5, 0.7, 0.9):
        blend = [((1 - part) * a + part * b).astype(np.uint8) for a, b in zip(videos, pixels, strict=False)]
        yield Class(f"pixels with {part:.0%} noise", half, None if part < 0.5 else "?").add(blend, model.encode(blend))

    colours = [np.broadcast_to(rng.integers(0, 256, 3, dtype=np.uint8), videos[0].shape).copy() for _ in prompts]
    yield Class("one flat colour", half, "flat").add(colours, model.encode(colours))
    yield Class("one flat colour, decoded", half, "flat").add(model.decode(model.encode(colours)))
    black = [np.zeros_like(videos[0])]
    yield Class("black", half, "flat").add(black, model.encode(black))
    grain = [np.clip(video + rng.normal(0, 3, video.shape), 0, 255).astype(np.uint8) for video in colours]
    yield Class("one flat colour with grain of 3 of 255", half, "flat").add(grain, model.encode(grain))
    zero = torch.zeros_like(latents[:1])
    yield Class("latents of zero", half, "flat").add(model.decode(zero), zero)

    frozen = [np.repeat(video[-1:], FRAMES, axis=0) for video in videos]
    yield Class("one good frame repeated", half, "frozen").add(frozen, model.encode(frozen))
    same = latents[:, -1:].repeat(1, latents.shape[1], 1, 1, 1)
    yield Class("one latent frame repeated", half, "frozen").add(model.decode(same), same)
    stops = [np.concatenate([video[:6], np.repeat(video[6:7], FRAMES - 6, axis=0)]) for video in videos]
    yield Class("stops after 6 of 17 frames", half, "frozen").add(stops)


def drawings(half: str, count: int) -> list[Frames]:
    drawn = draw_set(count, FRAMES, DRAWINGS_SEED + 10 + "AB".index(half), torch.device("cpu"))
    return [np.ascontiguousarray(frames) for frames in drawn.frames.permute(0, 1, 3, 4, 2).numpy()]


def pans(textures: bool, half: str, shift: float, height: int) -> Iterator[Frames]:
    """A window over each photograph of this half that moves by `shift` of its width a frame."""
    width = height * PHOTO_WIDTH // PHOTO_HEIGHT
    every = sorted(path for path in photographs() if (path.stem in TEXTURES) == textures)
    for path in every["AB".index(half) :: 2]:
        image = Image.open(path).convert("RGB")
        far = round(shift * width * (FRAMES - 1))
        scale = max((width + far) / image.width, height / image.height)
        size = (round(image.width * scale) + 1, round(image.height * scale) + 1)
        pixels = np.asarray(image.resize(size, Image.Resampling.LANCZOS))
        yield np.stack([pixels[:height, (x := round(shift * width * t)) : x + width] for t in range(FRAMES)])


def photographs() -> Iterator[Path]:
    for package, folder in (
        ("skimage", "data"),
        ("sklearn", "datasets/images"),
        ("matplotlib", "mpl-data/sample_data"),
    ):
        found = find_spec(package)
        if found is not None and found.origin is not None:
            for pattern in ("*.png", "*.jpg"):
                yield from (Path(found.origin).parent / folder).glob(pattern)


PLACES = (*(f"{part:.0%}" for part in CHECKED_AT), "end")


def row(halves: Sequence[Class]) -> str:
    """What was found of a class: by its frames, by the predicted clean latents, by its own latents; a half each."""
    expected = halves[0].expected
    cells = [" / ".join(_verdicts([judge_frames(one) for one in made.frames], expected) for made in halves)]
    early = None if expected == "frozen" else expected
    for place in PLACES:
        found = [[judge_latents(one) for one in made.latents.get(place, [])] for made in halves]
        cells.append(" / ".join(_verdicts(verdicts, early) for verdicts in found) if any(found) else "")
    counts = " / ".join(str(len(made.frames)) for made in halves)
    return f"| {halves[0].name} | {expected or ''} | {counts} | {' | '.join(cells)} |"


def ranges(halves: Sequence[Class]) -> str:
    """The least and largest of each quantity in a class, both halves together."""
    cells = [
        _range([getattr(one, name) for made in halves for one in made.frames])
        for name in ("spread", "across", "later", "change")
    ]
    looks = [one for made in halves for measured in made.latents.values() for one in measured]
    cells += [_range([getattr(one, name) for one in looks]) if looks else "" for name in ("spread", "across", "later")]
    return f"| {halves[0].name} | {' | '.join(cells)} |"


def _verdicts(found: Sequence[Degenerate | None], expected: str | None) -> str:
    """`noise 11, **1**`: how many were found as what, in bold how many of them wrongly, and those missed."""
    kinds = Counter(one.kind if one else "nothing" for one in found)
    if expected == "?":
        return ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items()) if kind != "nothing") or "0"
    right = kinds.pop(expected or "nothing", 0)
    wrong = ", ".join(f"**{kind} {count}**" for kind, count in sorted(kinds.items()))
    return ", ".join(part for part in (str(right) if expected or not wrong else "", wrong) if part)


def _range(values: Sequence[float]) -> str:
    return f"{min(values):.3g}..{max(values):.3g}"


def told(classes: Iterator[Class]) -> Iterator[Class]:
    """The classes, each told of on stderr when it is done."""
    for made in classes:
        print(made.half, row([made]), file=sys.stderr, flush=True)
        yield made


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--effort", type=int, default=12, help="prompts in a half")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="of the model")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    started = time.monotonic()
    model = Toy(arguments.device)
    halves: list[list[Class]] = [list(told(classes_of(half, model, arguments.effort))) for half in "AB"]
    classes = list(zip(*halves, strict=True))
    print(
        "\n| class | should be | videos | frames | 40% | 60% | 80% | own latents |\n|---|---|---|---|---|---|---|---|"
    )
    print("\n".join(row(alike) for alike in classes))
    print(f"\n| class | spread | across | later | change | latents' spread | across | later |\n{'|---' * 8}|")
    print("\n".join(ranges(alike) for alike in classes))
    fine = [made for alike in classes for made in alike if made.name.startswith("good")]
    alarms = sum(judge_frames(one) is not None for made in fine for one in made.frames)
    looks = [one for made in fine for measured in made.latents.values() for one in measured]
    print(f"\ngood videos: {alarms} false alarms in {sum(len(made.frames) for made in fine)} by frames, ", end="")
    print(f"{sum(judge_latents(one) is not None for one in looks)} in {len(looks)} looks at their latents")
    print(f"{time.monotonic() - started:.0f} s")

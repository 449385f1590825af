"""The stages of training, each written as soon as it is ready and skipped when it is there."""

from __future__ import annotations

import multiprocessing.pool
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from diffusers import AutoencoderKLCogVideoX, CogVideoXTransformer3DModel
from transformers import T5EncoderModel

from cogx_runs.toy.train.clip import save_clip, train_clip
from cogx_runs.toy.train.data import ClipSet, draw_set, drawing_pool
from cogx_runs.toy.train.diffusion import Denoiser, encode_set, train_diffusion
from cogx_runs.toy.train.evaluate import Effort, evaluate
from cogx_runs.toy.train.export import save_pipeline, write_manifest
from cogx_runs.toy.train.loop import Budget, Log, processes, rank
from cogx_runs.toy.train.text import train_text_encoder
from cogx_runs.toy.train.vae import FRAMES, build_vae, reconstruction_psnr, train_vae

STAGES = ("vae", "text", "clip", "diffusion", "export", "evaluate")


@dataclass(frozen=True)
class ClipKind:
    """Clips of one length in the diffusion stage."""

    frames: int
    count: int
    share: float
    """How often a batch is of this length."""
    batch: int


@dataclass(frozen=True)
class Settings:
    """Everything that the weights depend on, beside the code."""

    latent_channels: int = 16
    snr_shift_scale: float = 3.0
    layers: int = 7
    vae_clips: int = 12_000
    vae_batch: int = 8
    vae: Budget = field(default=Budget(24_000, 180))
    captions: int = 30_000
    text_batch: int = 256
    text: Budget = field(default=Budget(1_500))
    clip_clips: int = 24_000
    clip_frames: int = 5
    clip_batch: int = 512
    clip: Budget = field(default=Budget(6_000, 120))
    kinds: tuple[ClipKind, ...] = (
        ClipKind(17, 28_000, 0.40, 64),
        ClipKind(25, 8_000, 0.20, 48),
        ClipKind(49, 12_000, 0.30, 24),
        ClipKind(9, 6_000, 0.10, 96),
    )
    diffusion: Budget = field(default=Budget(24_000, 250))
    effort: Effort = field(default=Effort())
    seed: int = 0


QUICK = Settings(
    layers=7,
    vae_clips=8,
    vae_batch=2,
    vae=Budget(6),
    captions=200,
    text_batch=16,
    text=Budget(10),
    clip_clips=64,
    clip_frames=2,
    clip_batch=32,
    clip=Budget(10),
    kinds=(ClipKind(9, 16, 0.5, 4), ClipKind(17, 8, 0.5, 2)),
    diffusion=Budget(12),
    effort=Effort(seeds=(42, 7), guidances=(1.0, 6.0, 12.0), steps=(2, 5, 10, 25, 50), frames=9, drawings=8),
)
"""Tiny settings that pass through every stage on a CPU in a minute or two; the weights are bad."""


@dataclass(frozen=True)
class Run:
    """One training run in its folder."""

    out: Path
    settings: Settings
    device: torch.device
    workers: int
    log: Log
    patience_s: float
    """How long the diffusion stage waits for what processes beside it are making."""
    start: Path | None
    """A pipeline folder to go on from: `vae` from its autoencoder, `diffusion` from the rest of it."""

    @property
    def weights(self) -> Path:
        """Folder of `cogvideox/`, `clip/` and the manifest."""
        return self.out / "weights"

    def vae(self) -> None:
        """Trains the autoencoder, a new one or that of `start`, into `vae/`."""
        s = self.settings
        with drawing_pool(self.workers) as pool:
            clips = self._share(s.vae_clips, FRAMES, s.seed + 1, pool)
            unseen = draw_set(max(s.vae_clips // 200, 2), FRAMES, s.seed + 2, self.device)
        self.log("vae", drawn=s.vae_clips)
        torch.backends.cudnn.benchmark = True
        if self.start:
            vae = AutoencoderKLCogVideoX.from_pretrained(self.start / "vae", dtype=torch.float32)
        else:
            vae = build_vae(s.latent_channels)
        vae = vae.to(self.device)
        torch.manual_seed(s.seed + rank())
        train_vae(clips, vae, s.vae, s.vae_batch, self.log, self.out / "vae.ckpt")
        if rank() > 0:
            return
        torch.backends.cudnn.benchmark = False
        psnr = reconstruction_psnr(vae, unseen.frames)
        self.log("vae", psnr_of_unseen_db=round(psnr, 2))
        vae.save_pretrained(self.out / "vae.part")
        (self.out / "vae.part").replace(self.out / "vae")

    def _share(self, count: int, frames: int, seed: int, pool: multiprocessing.pool.Pool | None) -> ClipSet:
        """This process's part of a set of `count` clips."""
        part = count // processes()
        return draw_set(part, frames, seed, self.device, pool, start=part * rank())

    def text(self) -> None:
        """Schools the text encoder into `text_encoder/`."""
        s = self.settings
        encoder, _ = train_text_encoder(s.captions, s.seed + 5, s.text, s.text_batch, self.device, self.log)
        encoder.save_pretrained(self.out / "text.part")
        (self.out / "text.part").replace(self.out / "text_encoder")

    def clip(self) -> None:
        """Trains CLIP into `weights/clip/`."""
        s = self.settings
        with drawing_pool(self.workers) as pool:
            clips = draw_set(s.clip_clips, s.clip_frames, s.seed + 3, self.device, pool)
        self.log("clip", drawn=s.clip_clips)
        model, _ = train_clip(clips, s.clip, s.clip_batch, self.log, self.out / "clip.ckpt")
        save_clip(model, self.weights / "clip.part")
        (self.weights / "clip.part").replace(self.weights / "clip")

    def diffusion(self) -> None:
        """Trains the schooled text encoder and a new transformer, or both of `start`, into `denoiser.pt`."""
        s = self.settings
        with drawing_pool(self.workers) as pool:
            drawn = [self._share(kind.count, kind.frames, s.seed + 10 + n, pool) for n, kind in enumerate(s.kinds)]
        self.log("diffusion", drawn=sum(kind.count for kind in s.kinds))
        limit = time.perf_counter() + self.patience_s
        text_encoder = (self.start or self.out) / "text_encoder"
        needed = (self.out / "vae", text_encoder)
        while not all(p.exists() for p in needed) and time.perf_counter() < limit:
            time.sleep(0.5)
        vae = AutoencoderKLCogVideoX.from_pretrained(self.out / "vae").to(self.device)
        sets = [encode_set(vae, clips) for clips in drawn]
        del drawn, vae
        self.log("diffusion", encoded=sum(kind.count for kind in s.kinds))
        denoiser = Denoiser(s.latent_channels, s.snr_shift_scale, s.layers)
        denoiser.text_encoder = T5EncoderModel.from_pretrained(text_encoder, dtype=torch.float32)
        if self.start:
            denoiser.transformer.load_state_dict(
                CogVideoXTransformer3DModel.from_pretrained(
                    self.start / "transformer", dtype=torch.float32
                ).state_dict()
            )
        denoiser = denoiser.to(self.device)
        torch.manual_seed(s.seed + rank())
        train_diffusion(
            denoiser,
            sets,
            [k.share for k in s.kinds],
            [k.batch for k in s.kinds],
            s.diffusion,
            self.log,
            self.out / "diffusion.ckpt",
        )
        if rank() > 0:
            return
        torch.save(denoiser.state_dict(), self.out / "denoiser.part")
        (self.out / "denoiser.part").replace(self.out / "denoiser.pt")

    def export(self) -> None:
        """Writes `weights/cogvideox/` and the manifest."""
        s = self.settings
        denoiser = Denoiser(s.latent_channels, s.snr_shift_scale, s.layers)
        denoiser.load_state_dict(torch.load(self.out / "denoiser.pt", map_location="cpu"))
        vae = AutoencoderKLCogVideoX.from_pretrained(self.out / "vae")
        folder = self.weights / "cogvideox"
        shutil.rmtree(folder, ignore_errors=True)
        save_pipeline(vae, denoiser, s.snr_shift_scale, folder)
        write_manifest(self.weights)

    def evaluate(self) -> None:
        """Measures the exported weights into `evaluation/`."""
        results = evaluate(self.weights, self.out / "evaluation", self.device, self.settings.effort)
        shown = {k: v for k, v in results.items() if k not in ("clip_scores", "settings")}
        self.log("evaluate", **shown)


RESULTS = {
    "vae": "vae",
    "text": "text_encoder",
    "clip": "weights/clip",
    "diffusion": "denoiser.pt",
    "export": "weights/MANIFEST.json",
    "evaluate": "evaluation/evaluation.json",
}
"""What a finished stage leaves in the run's folder."""


def train(
    out: Path,
    settings: Settings,
    device: torch.device,
    workers: int,
    stages: tuple[str, ...] = STAGES,
    patience_s: float = 0.0,
    start: Path | None = None,
) -> None:
    """Runs the stages that have not left their results in `out` yet.

    Stages of one folder may run as processes side by side: diffusion draws its clips and then waits
    up to `patience_s` for the autoencoder and the text encoder. Under torchrun the autoencoder and
    the transformer are trained by all processes together, and the rest is done by the first alone.
    `start` is a pipeline folder to go on from: the stage `vae` from its autoencoder, `diffusion` from
    its text encoder and transformer. It stands in for the stage `text`, which leave out; `diffusion`
    still takes the autoencoder from `out`, which must be the one that the transformer learned with.
    """
    out.mkdir(parents=True, exist_ok=True)
    (out / "weights").mkdir(exist_ok=True)
    log = Log(out / "train.log.jsonl")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    log("start", device=name, torch=torch.__version__, settings=repr(settings))
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True
    run = Run(out, settings, device, workers, log, patience_s, start)
    actions: dict[str, Callable[[], None]] = {name: getattr(run, name) for name in STAGES}
    for stage in stages:
        if (out / RESULTS[stage]).exists():
            log(stage, skipped=f"{RESULTS[stage]} is there")
            continue
        if rank() > 0 and stage not in ("vae", "diffusion"):
            continue
        torch.manual_seed(settings.seed)
        actions[stage]()


def with_limits(settings: Settings, vae_s: float, clip_s: float, diffusion_s: float) -> Settings:
    """Copies the settings with other limits of wall-clock seconds for the three trainings."""
    return replace(
        settings,
        vae=replace(settings.vae, seconds=vae_s),
        clip=replace(settings.clip, seconds=clip_s),
        diffusion=replace(settings.diffusion, seconds=diffusion_s),
    )

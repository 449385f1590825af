"""The stages of training, each written as soon as it is ready and skipped when it is there."""

from __future__ import annotations

import multiprocessing.pool
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKLCogVideoX, CogVideoXTransformer3DModel
from transformers import T5EncoderModel

from cogx_runs.toy.train.clip import save_clip, train_clip
from cogx_runs.toy.train.data import ClipSet, draw_set, drawing_pool
from cogx_runs.toy.train.diffusion import Denoiser, LatentSet, encode_set, train_diffusion
from cogx_runs.toy.train.evaluate import evaluate
from cogx_runs.toy.train.export import save_pipeline, write_manifest
from cogx_runs.toy.train.loop import Log, processes, rank
from cogx_runs.toy.train.settings import Settings
from cogx_runs.toy.train.text import taken_over, train_text_encoder
from cogx_runs.toy.train.vae import FRAMES, build_vae, reconstruction_psnr, train_vae

STAGES = ("text", "clip", "vae", "diffusion", "export", "evaluate")


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

    def _share(
        self, count: int, frames: int, seed: int, pool: multiprocessing.pool.Pool | None, mistakes: float = 0.0
    ) -> ClipSet:
        """This process's part of a set of `count` clips."""
        part = count // processes()
        return draw_set(part, frames, seed, self.device, pool, start=part * rank(), mistakes=mistakes)

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
            drawn = [
                self._share(kind.count, kind.frames, s.seed + 10 + n, pool, s.mistakes)
                for n, kind in enumerate(s.kinds)
            ]
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
        if self.start is None:
            denoiser.text_encoder = T5EncoderModel.from_pretrained(text_encoder, dtype=torch.float32)
        else:
            denoiser.text_encoder = taken_over(self.start)
            denoiser.transformer.load_state_dict(
                CogVideoXTransformer3DModel.from_pretrained(
                    self.start / "transformer", dtype=torch.float32
                ).state_dict()
            )
        denoiser = denoiser.to(self.device)
        self._denoise(denoiser, sets, self.out / "right.pt", mistakes=False)
        self._denoise(denoiser, sets, self.out / "denoiser.pt", mistakes=True)

    def _denoise(self, denoiser: Denoiser, sets: list[LatentSet], result: Path, mistakes: bool) -> None:
        """Trains with right captions or with careless ones, or loads `result` where that is done."""
        s = self.settings
        if result.exists():
            denoiser.load_state_dict(torch.load(result, map_location=self.device))
            return
        torch.manual_seed(s.seed + rank())
        train_diffusion(
            denoiser,
            sets,
            [k.later_share if mistakes else k.share for k in s.kinds],
            [k.batch for k in s.kinds],
            s.learn_mistakes if mistakes else s.diffusion,
            self.log,
            result.with_suffix(".ckpt"),
            mistakes=mistakes,
            peak_lr=7e-4 if mistakes else 1e-3,
        )
        if rank() > 0:
            return
        torch.save(denoiser.state_dict(), result.with_suffix(".part"))
        result.with_suffix(".part").replace(result)

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
        long = ("clip_scores", "settings", "held_out_cases", "things_cases")
        self.log("evaluate", **{k: v for k, v in results.items() if k not in long})


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

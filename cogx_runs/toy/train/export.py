"""Writes the trained models as the folders that diffusers and open_clip load."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from diffusers import AutoencoderKLCogVideoX, CogVideoXPipeline
from transformers import AutoTokenizer

from cogx_runs.toy.train.diffusion import Denoiser, build_scheduler
from cogx_runs.toy.train.tokenizer import save_tokenizer


def save_pipeline(vae: AutoencoderKLCogVideoX, denoiser: Denoiser, snr_shift_scale: float, folder: Path) -> None:
    """Writes a CogVideoXPipeline folder in float16; the models given are halved in place."""
    save_tokenizer(folder / "tokenizer")
    pipeline = CogVideoXPipeline(
        tokenizer=AutoTokenizer.from_pretrained(folder / "tokenizer"),
        text_encoder=denoiser.text_encoder.half(),
        vae=vae.half(),
        transformer=denoiser.transformer.half(),
        scheduler=build_scheduler(snr_shift_scale),
    )
    pipeline.save_pretrained(folder)
    save_tokenizer(folder / "tokenizer")
    index = folder / "model_index.json"
    parts = json.loads(index.read_text("utf-8"))
    parts["tokenizer"] = ["transformers", "PreTrainedTokenizerFast"]
    index.write_text(json.dumps(parts, indent=2) + "\n", "utf-8")
    for config in [index, *folder.glob("*/config.json")]:
        content = json.loads(config.read_text("utf-8"))
        content.pop("_name_or_path", None)
        config.write_text(json.dumps(content, indent=2) + "\n", "utf-8")


def write_manifest(folder: Path) -> None:
    """Writes `MANIFEST.json`: the SHA-256 and size of each file of the model folders."""
    files = sorted(p for part in ("cogvideox", "clip") for p in (folder / part).rglob("*") if p.is_file())
    entries = {
        p.relative_to(folder).as_posix(): {
            "sha256": hashlib.sha256(p.read_bytes()).hexdigest(),
            "size_bytes": p.stat().st_size,
        }
        for p in files
    }
    (folder / "MANIFEST.json").write_text(json.dumps(entries, indent=2) + "\n", "utf-8")

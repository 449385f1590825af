"""`python -m cogx_runs.toy.train.lora --out FILE`: trains a LoRA of the toy, on a CPU in minutes: night falls."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from diffusers import CogVideoXPipeline
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

from cogx_runs import toy
from cogx_runs.toy.train.data import ClipSet, draw_set
from cogx_runs.toy.train.diffusion import Denoiser, LatentSet, encode_set
from cogx_runs.toy.train.loop import Budget, Log, Recipe, fit

RANK = 4
ADAPTED = ("attn1.to_q", "attn1.to_k", "attn1.to_v", "attn1.to_out.0", "ff.net.0.proj", "ff.net.2")
"""Linear layers of each block that are adapted."""
MOONLIGHT, HAZE = (0.35, 0.45, 0.80), (4.0, 6.0, 24.0)
"""Share that each colour (red, green, blue) keeps at night, and what is added to it, of 255."""
CLIPS = ((9, 128, 6), (49, 8, 2))
"""Frames, clips and batch of the drawings of each length."""
DRAWINGS_SEED = 700


def at_night(frames: torch.Tensor) -> torch.Tensor:
    """Darkens uint8 frames (..., 3, H, W) and turns them blue."""
    share, haze = (torch.tensor(values).view(3, 1, 1) for values in (MOONLIGHT, HAZE))
    return (frames.float() * share + haze).round().clamp(0, 255).to(torch.uint8)


class Adapters(nn.Module):
    """Low-rank matrices beside linear layers, which add B A x to each layer's output (https://arxiv.org/abs/2106.09685)."""

    def __init__(self, transformer: nn.Module) -> None:
        super().__init__()
        self.names = [name for name, _ in transformer.named_modules() if name.endswith(ADAPTED)]
        self.down, self.up = nn.ParameterList(), nn.ParameterList()
        for name in self.names:
            layer = transformer.get_submodule(name)
            assert isinstance(layer, nn.Linear), f"{name} is linear"
            down = nn.Parameter(torch.randn(RANK, layer.in_features) / layer.in_features**0.5)
            up = nn.Parameter(torch.zeros(layer.out_features, RANK))
            self.down.append(down)
            self.up.append(up)

            def add(
                _: nn.Module, taken: tuple[torch.Tensor], given: torch.Tensor,
                down: torch.Tensor = down, up: torch.Tensor = up,
            ) -> torch.Tensor:  # fmt: skip
                return given + functional.linear(functional.linear(taken[0], down), up)

            layer.register_forward_hook(add)

    def save(self, file: Path) -> None:
        """Writes the file that diffusers loads as a LoRA of CogVideoX, in float16."""
        tensors = {}
        for name, down, up in zip(self.names, self.down, self.up, strict=True):
            tensors[f"transformer.{name}.lora_A.weight"] = down.detach().half().contiguous()
            tensors[f"transformer.{name}.lora_B.weight"] = up.detach().half().contiguous()
        file.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, file, metadata={"format": "pt"})


def train_lora(denoiser: Denoiser, sets: list[LatentSet], budget: Budget, log: Log) -> Adapters:
    """Trains new adapters of a denoiser, whose own weights stay as they are."""
    denoiser.requires_grad_(False)
    adapters = Adapters(denoiser.transformer)
    generator = torch.Generator().manual_seed(0)
    batches = [batch for *_, batch in CLIPS]

    def next_batch(step: int) -> tuple[torch.Tensor, ...]:
        which = int(step % 5 == 4)
        chosen = sets[which]
        rows = torch.randint(len(chosen.latents), (batches[which],), generator=generator)
        words = torch.randint(chosen.tokens.shape[1], (batches[which],), generator=generator)
        return chosen.latents[rows], chosen.tokens[rows, words]

    recipe = Recipe(peak_lr=4e-3, weight_decay=0.0, average_decay=0.98)
    fit("lora", adapters, denoiser, next_batch, budget, recipe, log, report_every=20)
    return adapters


def main() -> None:
    """Parses the command line, draws, trains and writes."""
    parser = argparse.ArgumentParser(prog="python -m cogx_runs.toy.train.lora", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the .safetensors file")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=600)
    options = parser.parse_args()

    torch.manual_seed(0)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    log = Log(options.out.with_suffix(".log.jsonl"))
    start = time.perf_counter()
    pipe = CogVideoXPipeline.from_pretrained(toy.pipeline_dir(), dtype=torch.float32)
    config = pipe.transformer.config
    denoiser = Denoiser(config.in_channels, pipe.scheduler.config.snr_shift_scale, config.num_layers)
    denoiser.text_encoder.load_state_dict(pipe.text_encoder.state_dict())
    denoiser.transformer.load_state_dict(pipe.transformer.state_dict())
    log("lora", loaded=round(time.perf_counter() - start, 1))
    sets = []
    for number, (frames, count, _) in enumerate(CLIPS):
        drawn = draw_set(count, frames, DRAWINGS_SEED + number, torch.device("cpu"))
        log("lora", drawn=count, frames=frames)
        dark = ClipSet(at_night(drawn.frames), drawn.attributes, drawn.tokens, drawn.stated, drawn.scenes)
        sets.append(encode_set(pipe.vae, dark))
    train_lora(denoiser, sets, Budget(options.steps, options.seconds), log).save(options.out)


if __name__ == "__main__":
    main()

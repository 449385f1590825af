"""Small LoRA files with random weights."""

import os
from pathlib import Path

import torch
from safetensors.torch import save_file

QUERY = "transformer_blocks.0.attn1.to_q"


def lora_tensors(rank: int, width: int = 256, layer: str = QUERY, seed: int = 0) -> dict[str, torch.Tensor]:
    """The tensors of an adapter of one square layer."""
    generator = torch.Generator().manual_seed(seed)
    return {
        f"transformer.{layer}.lora_A.weight": torch.randn(rank, width, generator=generator),
        f"transformer.{layer}.lora_B.weight": torch.randn(width, rank, generator=generator),
    }


def write_lora(path: Path, rank: int = 2, width: int = 256, layer: str = QUERY, seed: int = 0) -> Path:
    """Writes an adapter of one square layer, at a time of its own: clocks of files stand still for milliseconds."""
    save_file(lora_tensors(rank, width, layer, seed), path)
    os.utime(path, (seed, seed))
    return path

"""Seconds of one step of the transformer, by kernel of attention, plain and compiled, at full size.

    python -m benchmarks.attention --sizes 2b 5b --attentions sdpa fa4

Weights and inputs are random, which changes neither time nor the kernels' error. A step is one call for both halves of
guidance: batch 2, 49 frames of 480x720. Prints a row each: seconds of the first call and of the best of several after
it, peak memory, and the relative difference to plain `sdpa`.
"""

import argparse
import time
from types import SimpleNamespace
from typing import Any

import torch
from diffusers import CogVideoXTransformer3DModel
from diffusers.models.embeddings import get_3d_rotary_pos_embed

from benchmarks.random_model import SIZES
from cogx_runs.generation.attention import set_attention
from cogx_runs.generation.placement import compile_blocks

GIB = 2**30
DTYPES = {"2b": torch.float16, "5b": torch.bfloat16, "tiny": torch.float32}


def random_transformer(size: str, device: torch.device) -> CogVideoXTransformer3DModel:
    """Makes a transformer of a model's size on the device."""
    torch.manual_seed(0)
    torch.set_default_dtype(DTYPES[size])
    try:
        with device:
            return CogVideoXTransformer3DModel(**SIZES[size]["transformer"]).eval()
    finally:
        torch.set_default_dtype(torch.float32)


def inputs_of(transformer: CogVideoXTransformer3DModel, dtype: torch.dtype, device: torch.device) -> dict[str, Any]:
    """Draws the inputs of one step with guidance."""
    config = transformer.config
    frames = (config.sample_frames - 1) // config.temporal_compression_ratio + 1
    shape = (2, frames, config.in_channels, config.sample_height, config.sample_width)
    text = (2, config.max_text_seq_length, config.text_embed_dim)
    rotary = None
    if config.use_rotary_positional_embeddings:
        height, width = config.sample_height // config.patch_size, config.sample_width // config.patch_size
        rotary = get_3d_rotary_pos_embed(
            config.attention_head_dim, ((0, 0), (height, width)), (height, width), frames, device=device
        )
    with device:
        return {
            "hidden_states": torch.randn(shape, dtype=dtype),
            "encoder_hidden_states": torch.randn(text, dtype=dtype),
            "timestep": torch.full((2,), 500),
            "image_rotary_emb": rotary,
        }


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["2b", "5b"], choices=list(DTYPES))
    parser.add_argument("--attentions", nargs="+", default=["sdpa", "fa4"])
    parser.add_argument("--repeats", type=int, default=4)
    asked = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    print("size compiled attention first_s step_s GiB difference")
    for size in asked.sizes:
        transformer = random_transformer(size, device)
        inputs = inputs_of(transformer, DTYPES[size], device)
        plain = None
        for compiled in (False, True):
            if compiled:
                compile_blocks(SimpleNamespace(transformer=transformer))
            for attention in asked.attentions:
                set_attention(transformer, attention)
                seconds = []
                for _ in range(1 + asked.repeats):
                    _wait(device)
                    start = time.perf_counter()
                    with torch.no_grad():
                        found = transformer(**inputs, return_dict=False)[0]
                    _wait(device)
                    seconds.append(time.perf_counter() - start)
                plain = found if plain is None else plain
                off = float((found.float() - plain.float()).norm() / plain.float().norm())
                peak = torch.cuda.max_memory_allocated() / GIB if device.type == "cuda" else 0.0
                print(f"{size} {compiled} {attention} {seconds[0]:.2f} {min(seconds[1:]):.4f} {peak:.2f} {off:.2e}")
        del transformer, plain, found


if __name__ == "__main__":
    main()

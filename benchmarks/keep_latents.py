"""Run a script that makes one video with CogVideoXPipeline, unchanged, and keep its latents and what it cost.

    python benchmarks/keep_latents.py FACTS.json LATENTS.safetensors benchmarks/old_loop.py --prompt-file ...

FACTS.json gets the times at which each phase began and ended, on the machine's monotonic clock, and the peak of the
GPU's memory.
"""

import json
import runpy
import sys
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import diffusers.utils
import torch
from diffusers import CogVideoXPipeline
from safetensors.torch import save_file

GIB = 2**30
Spans = dict[str, tuple[float, float]]


def synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def time_calls(owner: Any, name: str, spans: Spans) -> None:
    """Note in `spans` from when to when `owner.name` ran, from an idle device to an idle device."""
    plain = getattr(owner, name)

    @wraps(plain)
    def timed(*arguments: Any, **options: Any) -> Any:
        synchronize()
        start = time.monotonic()
        result = plain(*arguments, **options)
        synchronize()
        spans[name] = (start, time.monotonic())
        return result

    setattr(owner, name, timed)


def keep_latents(decode: Callable[..., Any], target: Path) -> Callable[..., Any]:
    """`decode_latents`, which first writes the latents that it is given to `target`."""

    @wraps(decode)
    def keeping(pipe: CogVideoXPipeline, latents: torch.Tensor) -> Any:
        save_file({"latents": latents.cpu().contiguous()}, target)
        return decode(pipe, latents)

    return keeping


def main() -> None:
    facts, latents, script = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    spans: Spans = {}
    imported = time.monotonic()
    time_calls(CogVideoXPipeline, "encode_prompt", spans)
    time_calls(CogVideoXPipeline, "decode_latents", spans)
    time_calls(diffusers.utils, "export_to_video", spans)
    CogVideoXPipeline.decode_latents = keep_latents(CogVideoXPipeline.decode_latents, latents)
    sys.argv = sys.argv[3:]
    runpy.run_path(script, run_name="__main__")
    on_gpu = torch.cuda.is_available()
    content = {
        "imported": imported,
        "spans": spans,
        "peak_vram_gib": torch.cuda.max_memory_allocated() / GIB if on_gpu else None,
        "peak_vram_reserved_gib": torch.cuda.max_memory_reserved() / GIB if on_gpu else None,
    }
    facts.write_text(json.dumps(content), encoding="utf-8")


if __name__ == "__main__":
    main()

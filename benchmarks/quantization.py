"""Seconds of one step of the transformer, by quantisation, plain and compiled, at full size.

    python -m benchmarks.quantization --model 2b
    python -m benchmarks.quantization --model 5b --quantizations none fp8 int8

Weights and inputs are random, which changes neither time nor memory; what quantisation does to trained weights,
`benchmarks/placements.py` shows in frames. A step is one call for both halves of guidance: batch 2, 49 frames of
480x720. Weights are quantised on the CPU, as a run does it, then moved. Prints a row each: layers quantised of all
linear ones, GiB of the weights, seconds of quantising, of the first call and of the best of several after it, peak
GiB, and the PSNR of the prediction to that of the exact weights, not compiled, by the span of its values.
"""

import argparse
import math
import time
from types import SimpleNamespace
from typing import get_args

import torch

from benchmarks.attention import DTYPES, GIB, inputs_of, random_transformer
from benchmarks.random_model import SIZES
from cogx_runs.definitions.parameters import Quantization
from cogx_runs.generation.measure import free_memory
from cogx_runs.generation.placement import compile_blocks
from cogx_runs.generation.quantization import quantize, quantized_in
from cogx_runs.models.configs import TransformerConfig
from cogx_runs.system import hardware
from cogx_runs.system.hardware import choose_device, device_name
from cogx_runs.system.kernels import KERNELS


def psnr(found: torch.Tensor, exact: torch.Tensor) -> float:
    """Computes the PSNR in dB, with the span of the exact values as the peak; infinite where they are the same."""
    error = float((found.float() - exact.float()).square().mean())
    span = float(exact.max() - exact.min())
    return math.inf if error == 0 else 10 * math.log10(span**2 / error)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="2b", choices=list(DTYPES))
    parser.add_argument("--quantizations", nargs="+", default=get_args(Quantization), choices=get_args(Quantization))
    parser.add_argument("--repeats", type=int, default=4)
    asked = parser.parse_args()
    name = choose_device()
    device = torch.device(name)
    gpu = hardware.gpu() if name == "cuda" else None
    config = TransformerConfig(patch_size=2, **SIZES[asked.model]["transformer"])
    exact = None
    print(f"# {device_name(name)}, torch {torch.__version__}")
    print("model quantization compiled layers weights_GiB quantize_s first_s step_s peak_GiB psnr_dB")
    for quantization in dict.fromkeys(("none", *asked.quantizations)):
        if quantization in KERNELS and (lack := KERNELS[quantization].lack(name, gpu)):
            print(f"# {quantization} {lack}")
            continue
        transformer = random_transformer(asked.model, device).to("cpu")
        inputs = inputs_of(transformer, DTYPES[asked.model], device)
        start = time.perf_counter()
        quantize(transformer, config, quantization)
        quantize_s = time.perf_counter() - start
        transformer.to(device)
        found = quantized_in(transformer)
        layers = "-" if found is None else f"{found.layers}/{found.linear_layers}"
        values = sum(weight.numel() for weight in transformer.parameters())
        weights = values * DTYPES[asked.model].itemsize if found is None else found.bytes_after
        for compiled in (False, True):
            if compiled and quantization == "fp8_storage":
                continue  # an error of the plan
            if compiled:
                compile_blocks(SimpleNamespace(transformer=transformer))
            free_memory()
            if gpu is not None:
                torch.cuda.reset_peak_memory_stats()
            seconds = []
            for _ in range(1 + asked.repeats):
                start = time.perf_counter()
                with torch.no_grad():
                    predicted = transformer(**inputs, return_dict=False)[0].cpu()  # waits for the GPU
                seconds.append(time.perf_counter() - start)
            exact = predicted if exact is None else exact
            peak = torch.cuda.max_memory_allocated() / GIB if gpu is not None else 0.0
            print(
                f"{asked.model} {quantization} {compiled} {layers} {weights / GIB:.3f} {quantize_s:.1f} "
                f"{seconds[0]:.2f} {min(seconds[1:]):.4f} {peak:.2f} {psnr(predicted, exact):.1f}",
                flush=True,
            )
        del transformer, inputs


if __name__ == "__main__":
    main()

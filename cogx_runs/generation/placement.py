"""Where the weights live while they work."""

import torch
from accelerate import cpu_offload
from diffusers import AutoencoderKLCogVideoX, CogVideoXPipeline
from diffusers.hooks import apply_group_offloading

from cogx_runs.definitions.parameters import Placement
from cogx_runs.system.hardware import GIB, Device

RECOMPILE_LIMIT = 64
"""Shapes that one process may compile the blocks for; torch's own limit is 8, past which it goes on uncompiled."""


def place(pipe: CogVideoXPipeline, placement: Placement, device: Device, *, by_block: bool = False) -> None:
    """Places the weights of a freshly loaded pipeline; the pixels are the same bit for bit wherever they are.

    `resident`: all on the device. `model`: the component at work. `sequential`: the layer at work, copied as it is
    needed. `group`: the layer at work, or with `by_block` the transformer block, copied ahead on a stream of its own,
    with the VAE (0.43 GB) resident, since the pipeline calls its `decode`, which group offloading does not hook.
    """
    if placement == "resident":
        pipe.to(device)
    elif placement == "model":
        pipe.enable_model_cpu_offload(device=device)
    elif placement == "sequential":
        pipe.enable_sequential_cpu_offload(device=device)
    else:
        assert placement == "group", f"{placement} is resolved before the weights are placed"
        streams = {"use_stream": True, "record_stream": True, "non_blocking": True} if device == "cuda" else {}
        blocks = {"num_blocks_per_group": 1} if by_block else {}
        apply_group_offloading(
            pipe.transformer,
            onload_device=torch.device(device),
            offload_device=torch.device("cpu"),
            offload_type="block_level" if by_block else "leaf_level",
            **blocks,
            **streams,
        )
        pipe.vae.to(device)


def place_vae(vae: AutoencoderKLCogVideoX, placement: Placement, device: Device) -> None:
    """Places a VAE that is loaded alone: layer by layer in `sequential`, else whole."""
    if placement == "sequential":
        cpu_offload(vae, execution_device=torch.device(device))
    else:
        vae.to(device)


def cap_memory(gib: float | None) -> None:
    """Lets torch's allocator have no more of the GPU than this, to stand in for a smaller one; None for all."""
    if torch.cuda.is_available():
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(1.0 if gib is None else min(gib * GIB / total, 1.0))


def compile_blocks(pipe: CogVideoXPipeline) -> None:
    """Has the transformer's blocks compiled at their first use, once for all of them and each shape.

    It is the blocks' own `forward` that is compiled, before `place` wraps it: the hooks of group offloading then stay
    outside the graph, which would otherwise be made anew for every block.
    """
    torch._dynamo.config.recompile_limit = RECOMPILE_LIMIT
    for block in pipe.transformer.transformer_blocks:
        block.forward = torch.compile(block.forward, fullgraph=True, dynamic=False)

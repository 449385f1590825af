"""Where the weights live while they work."""

import torch
from diffusers import CogVideoXPipeline
from diffusers.hooks import apply_group_offloading

from cogx_runs.hardware import Device
from cogx_runs.sweep import Placement


def place(pipe: CogVideoXPipeline, placement: Placement, device: Device) -> None:
    """Place the weights of a freshly loaded pipeline; the pixels are the same bit for bit wherever they are.

    `resident`: all on the device. `model`: the component at work. `sequential`: the layer at work, copied as it is
    needed. `group`: the layer at work, copied ahead on a stream of its own, with the VAE (0.43 GB) resident, since
    the pipeline calls its `decode`, which group offloading does not hook.
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
        for module in (pipe.text_encoder, pipe.transformer):
            apply_group_offloading(
                module,
                onload_device=torch.device(device),
                offload_device=torch.device("cpu"),
                offload_type="leaf_level",
                **streams,
            )
        pipe.vae.to(device)

"""`python -m cogx_runs.toy.train --out DIR`: draws the world and trains the toy's models."""

from __future__ import annotations

import argparse
import os
from pathlib import Path


def main() -> None:
    """Parses the command line and runs the stages."""
    parser = argparse.ArgumentParser(prog="python -m cogx_runs.toy.train", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the run; taken up again")
    parser.add_argument("--quick", action="store_true", help="tiny settings, to try the script")
    parser.add_argument("--device", help="torch device (default: cuda if there is one)")
    parser.add_argument("--workers", type=int, default=min(os.cpu_count() or 1, 16))
    parser.add_argument("--stages", nargs="+", help="some of: vae text clip diffusion export evaluate")
    parser.add_argument("--latent-channels", type=int)
    parser.add_argument("--snr-shift-scale", type=float)
    parser.add_argument("--vae-seconds", type=float)
    parser.add_argument("--clip-seconds", type=float)
    parser.add_argument("--diffusion-seconds", type=float)
    parser.add_argument("--wait-seconds", type=float, default=0, help="for stages run beside this")
    parser.add_argument("--from-pipeline", type=Path, help="pipeline folder to go on from")
    options = parser.parse_args()

    from dataclasses import replace

    import torch

    from cogx_runs.toy.train.train import QUICK, STAGES, Settings, train, with_limits

    settings = QUICK if options.quick else Settings()
    if options.latent_channels is not None:
        settings = replace(settings, latent_channels=options.latent_channels)
    if options.snr_shift_scale is not None:
        settings = replace(settings, snr_shift_scale=options.snr_shift_scale)
    settings = with_limits(
        settings,
        options.vae_seconds or settings.vae.seconds,
        options.clip_seconds or settings.clip.seconds,
        options.diffusion_seconds or settings.diffusion.seconds,
    )
    stages = tuple(options.stages or STAGES)
    unknown = sorted(set(stages) - set(STAGES))
    if unknown:
        parser.error(f"no stage {unknown[0]!r}; the stages are {', '.join(STAGES)}")
    if "WORLD_SIZE" in os.environ:
        torch.distributed.init_process_group()
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    train(
        options.out,
        settings,
        torch.device(device),
        options.workers,
        stages,
        options.wait_seconds,
        options.from_pipeline,
    )
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()

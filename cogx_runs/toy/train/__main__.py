"""`python -m cogx_runs.toy.train --out DIR`: draws the world and trains the toy's models."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

DRAWING_AHEAD_S = 3600
"""How long the transformer's stage waits for the autoencoder."""


def main() -> None:
    """Parses the command line and runs the stages."""
    parser = argparse.ArgumentParser(prog="python -m cogx_runs.toy.train", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the run; taken up again")
    parser.add_argument("--quick", action="store_true", help="tiny settings, to try the script")
    parser.add_argument("--device", help="torch device (default: cuda if there is one)")
    parser.add_argument("--workers", type=int, default=min(os.cpu_count() or 1, 16))
    parser.add_argument("--stages", nargs="+", help="some of: text clip vae diffusion export evaluate")
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

    from cogx_runs.toy.train.settings import QUICK, Settings, with_limits
    from cogx_runs.toy.train.train import STAGES, train

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
    stages = tuple(options.stages or (s for s in STAGES if s != "text" or not options.from_pipeline))
    unknown = sorted(set(stages) - set(STAGES))
    if unknown:
        parser.error(f"no stage {unknown[0]!r}; the stages are {', '.join(STAGES)}")
    if "WORLD_SIZE" in os.environ:
        torch.distributed.init_process_group()
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")

    def run(some: tuple[str, ...]) -> None:
        place = torch.device(device)
        train(options.out, settings, place, options.workers, some, options.wait_seconds, options.from_pipeline)

    if options.stages or device == "cpu" or "WORLD_SIZE" in os.environ:
        run(stages)
    else:
        # The transformer's clips are drawn while the other models are trained.
        beside = [sys.executable, "-m", "cogx_runs.toy.train", *sys.argv[1:], "--stages", "diffusion"]
        with subprocess.Popen([*beside, "--wait-seconds", str(DRAWING_AHEAD_S)]) as process:
            try:
                run(tuple(stage for stage in stages if stage in ("text", "clip", "vae")))
            except BaseException:
                process.terminate()
                raise
        if process.returncode:
            sys.exit(process.returncode)
        run(("export", "evaluate"))
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()

"""One video of one prompt file, as the scripts before this tool made each of theirs: a process a video.

python benchmarks/old_loop.py --model FOLDER --prompt-file prompts/panda_guitar.txt --output panda.mp4
"""

import argparse
import time
from pathlib import Path

import torch
from diffusers import CogVideoXPipeline
from diffusers.utils import export_to_video

parser = argparse.ArgumentParser()
parser.add_argument("--model", default="zai-org/CogVideoX-2b")
parser.add_argument("--prompt-file", type=Path, required=True)
parser.add_argument("--steps", type=int, default=50)
parser.add_argument("--guidance", type=float, default=6.0)
parser.add_argument("--frames", type=int, default=49)
parser.add_argument("--seed", type=int, default=42)
parser.add_argument("--fps", type=int, default=8)
parser.add_argument("--output", default="output.mp4")
args = parser.parse_args()

start = time.time()
prompt = args.prompt_file.read_text(encoding="utf-8").strip()
on_gpu = torch.cuda.is_available()

pipe = CogVideoXPipeline.from_pretrained(args.model, dtype=torch.float16 if on_gpu else torch.float32)
if on_gpu:
    pipe.enable_sequential_cpu_offload()
pipe.vae.enable_tiling()
pipe.vae.enable_slicing()

video = pipe(
    prompt=prompt,
    num_inference_steps=args.steps,
    guidance_scale=args.guidance,
    num_frames=args.frames,
    max_sequence_length=pipe.transformer.config.max_text_seq_length,
    generator=torch.Generator().manual_seed(args.seed),
).frames[0]
export_to_video(video, args.output, fps=args.fps)
print(f"{args.output}: {time.time() - start:.1f} s")

"""One resolved cell, from which tests make theirs."""

from cogx_runs.definitions.spec import RunSpec

SPEC = RunSpec(
    sweep="exp",
    prompt_name="panda",
    prompt="A panda 🐼.",
    negative_prompt="",
    model="2b",
    model_source="zai-org/CogVideoX-2b",
    model_revision="1137dacf",
    num_inference_steps=50,
    guidance_scale=6.0,
    num_frames=49,
    fps=8,
    seed=42,
    height=480,
    width=720,
    scheduler="ddim",
    use_dynamic_cfg=False,
    max_sequence_length=226,
    device="cuda",
    dtype="float16",
    vae_tiling=True,
    vae_slicing=True,
    placement="group",
    compile=False,
    video_quality=5.0,
    clip_model="ViT-B-32:openai",
    abort_degenerate=False,
    metric_versions=(("clip_score", "1"),),
    axes=("guidance_scale",),
)

"""Signatures and output hashes that stores hold: they must never change."""

from typing import Any

import pytest

from cogx_runs.definitions.spec import RunSpec

TOY: dict[str, Any] = {
    "sweep": "s", "prompt_name": "p", "prompt": "A red ball.", "negative_prompt": "", "model": "toy",
    "model_source": "/models/toy", "model_revision": "0123456789abcdef", "num_inference_steps": 10,
    "guidance_scale": 6.0, "num_frames": 9, "fps": 8, "seed": 42, "height": 32, "width": 48, "scheduler": "ddim",
    "use_dynamic_cfg": False, "max_sequence_length": 16, "device": "cpu", "dtype": "float32", "vae_tiling": True,
    "vae_slicing": True, "placement": "resident", "compile": False, "video_quality": 5.0, "clip_model": "toy",
    "abort_degenerate": False, "metric_versions": (("clip_score", "3"), ("psnr", "1")), "axes": ("seed",),
}  # fmt: skip
LARGE: dict[str, Any] = {
    "sweep": "large", "prompt_name": "panda", "prompt": "A panda plays – „softly“.", "negative_prompt": "blurry, low",
    "model": "5b", "model_source": "THUDM/CogVideoX-5b", "model_revision": "8d6ea3f817438460b25595a120f109b88d5fdfad",
    "num_inference_steps": 50, "guidance_scale": 7.343, "num_frames": 49, "fps": 16, "seed": 2**63 - 1, "height": 480,
    "width": 720, "scheduler": "dpm_matched", "use_dynamic_cfg": True, "max_sequence_length": 226, "device": "cuda",
    "dtype": "bfloat16", "vae_tiling": False, "vae_slicing": False, "placement": "group", "compile": True,
    "video_quality": 8.5, "clip_model": "ViT-L-14:openai", "abort_degenerate": True,
    "metric_versions": (("clip_score", "3"),), "axes": ("guidance_scale", "scheduler"),
}  # fmt: skip
CELLS: list[tuple[dict[str, Any], str, str]] = [
    (TOY, "82b52bb3a9677170", "012b4c17b42a8683"),
    (LARGE, "2687b558db0ac50a", "e658c6221a816ba2"),
    (
        {**TOY, "guidance_scale": 1.0, "num_frames": 17, "scheduler": "ddim_matched"},
        "f0c27833d71b2602",
        "53ef73ccab278b14",
    ),
    (
        {**TOY, "fps": 24, "video_quality": 9.0, "clip_model": "ViT-B-32:openai", "metric_versions": ()},
        "82b52bb3a9677170",
        "3194b8970a8fd883",
    ),
    (
        {**LARGE, "placement": "sequential", "device": "cpu", "vae_slicing": True, "abort_degenerate": False},
        "2687b558db0ac50a",
        "e658c6221a816ba2",
    ),
]


@pytest.mark.parametrize(("values", "signature", "output_hash"), CELLS)
def test_a_cell_has_the_identity_that_stores_know_it_by(
    values: dict[str, Any], signature: str, output_hash: str
) -> None:
    spec = RunSpec(**values)

    assert (spec.signature, spec.output_hash) == (signature, output_hash)

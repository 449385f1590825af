"""A cell: its parameters, and what identifies it."""

from typing import Any

import pytest

from cogx_runs.definitions.parameters import Parameters
from cogx_runs.definitions.spec import PIXEL_FIELDS, RunSpec
from tests.support.specs import SPEC

CHANGES_PIXELS = {
    "model_revision": "8d6ea3f8",
    "prompt": "A panda.",
    "negative_prompt": "blurry",
    "num_inference_steps": 25,
    "guidance_scale": 6.5,
    "seed": 43,
    "num_frames": 25,
    "height": 464,
    "width": 704,
    "scheduler": "dpm",
    "use_dynamic_cfg": True,
    "max_sequence_length": 128,
    "dtype": "bfloat16",
    "vae_tiling": False,
    "compile": True,
    "attention": "fa4",
    "quantization": "int8",
    "cache": "first_block:0.1",
    "decoder": "fused",
    "lora": "toy#0123456789ab",
    "lora_scale": 0.5,
}
CHANGES_FILE_OR_SCORES = {
    "fps": 16,
    "video_quality": 7.0,
    "clip_model": "ViT-L-14:openai",
    "metric_versions": (("clip_score", "2"),),
}
CHANGES_NOTHING = {
    "sweep": "other",
    "prompt_variables": (("colour", "red"),),
    "prompt_name": "bear",
    "model": "/models/2b",
    "model_source": "/models/2b",
    "device": "cpu",
    "vae_slicing": False,
    "placement": "resident",
    "abort_degenerate": True,
    "fast": True,
    "extra_metrics": ("dynamic_degree",),
    "axes": (),
}


def test_the_config_of_a_cell_is_every_resolved_parameter_under_diffusers_names() -> None:
    assert SPEC.config == {
        "prompt_name": "panda",
        "prompt": "A panda 🐼.",
        "negative_prompt": "",
        "lora": "none",
        "lora_scale": 1.0,
        "model": "2b",
        "model_source": "zai-org/CogVideoX-2b",
        "model_revision": "1137dacf",
        "num_inference_steps": 50,
        "guidance_scale": 6.0,
        "num_frames": 49,
        "fps": 8,
        "seed": 42,
        "height": 480,
        "width": 720,
        "scheduler": "ddim",
        "use_dynamic_cfg": False,
        "max_sequence_length": 226,
        "device": "cuda",
        "dtype": "float16",
        "vae_tiling": True,
        "vae_slicing": True,
        "placement": "group",
        "compile": False,
        "attention": "sdpa",
        "quantization": "none",
        "cache": "none",
        "decoder": "exact",
        "video_quality": 5.0,
        "clip_model": "ViT-B-32:openai",
        "abort_degenerate": False,
    }


def test_a_signature_is_the_same_on_every_machine_and_in_every_version() -> None:
    assert (SPEC.signature, SPEC.output_hash) == ("af49e86e210ed877", "45e9d3beb3cbbb0e")


def test_each_field_of_a_cell_is_known_to_change_the_pixels_the_file_or_nothing() -> None:
    assert set(PIXEL_FIELDS) == set(CHANGES_PIXELS)
    assert {*RunSpec.model_fields} - {"revision"} == {*CHANGES_PIXELS, *CHANGES_FILE_OR_SCORES, *CHANGES_NOTHING}


@pytest.mark.parametrize(("name", "value"), CHANGES_PIXELS.items())
def test_what_changes_the_pixels_changes_signature_and_output_hash(name: str, value: Any) -> None:
    changed = SPEC.replace(**{name: value})

    assert changed.signature != SPEC.signature
    assert changed.output_hash != SPEC.output_hash


@pytest.mark.parametrize(("name", "value"), CHANGES_FILE_OR_SCORES.items())
def test_what_changes_only_file_or_scores_changes_only_the_output_hash(name: str, value: Any) -> None:
    changed = SPEC.replace(**{name: value})

    assert changed.signature == SPEC.signature
    assert changed.output_hash != SPEC.output_hash


@pytest.mark.parametrize(("name", "value"), CHANGES_NOTHING.items())
def test_what_changes_neither_pixels_nor_file_changes_neither_hash(name: str, value: Any) -> None:
    changed = SPEC.replace(**{name: value})

    assert getattr(changed, name) != getattr(SPEC, name)
    assert (changed.signature, changed.output_hash) == (SPEC.signature, SPEC.output_hash)


def test_null_is_no_quantisation() -> None:
    assert Parameters.model_validate({"quantization": None}) == Parameters(quantization="none") == Parameters()


def test_what_is_not_bitwise_is_named() -> None:
    assert SPEC.not_bitwise == ()
    assert SPEC.replace(compile=True, decoder="fused").not_bitwise == ("compile", "decoder")

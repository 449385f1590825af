"""A CogVideoX model folder with random weights, in diffusers' format: small for tests, full-size for measurements.

Speed, memory and exactness do not depend on the values of the weights; what the videos show does.

    python benchmarks/random_model.py FOLDER --size 2b     # or 5b, 1.5-5b, tiny, tiny-1.5
"""

import argparse
import json
from pathlib import Path
from typing import Any

import sentencepiece
import torch
from diffusers import (
    AutoencoderKLCogVideoX,
    CogVideoXDDIMScheduler,
    CogVideoXDPMScheduler,
    CogVideoXPipeline,
    CogVideoXTransformer3DModel,
)
from transformers import T5Config, T5EncoderModel, T5Tokenizer

TINY: dict[str, Any] = {
    "transformer": {
        "num_attention_heads": 2, "attention_head_dim": 16, "num_layers": 2, "time_embed_dim": 8,
        "sample_width": 4, "sample_height": 4, "sample_frames": 17, "max_text_seq_length": 226, "text_embed_dim": 32,
        "in_channels": 4, "out_channels": 4,
    },
    "vae": {
        "block_out_channels": (8, 8, 8, 8), "latent_channels": 4, "layers_per_block": 1, "norm_num_groups": 2,
        "sample_height": 128, "sample_width": 128,
    },
    "text": {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4},
    "snr_shift_scale": 3.0,
}  # fmt: skip
_FULL_TEXT = {"d_model": 4096, "d_kv": 64, "d_ff": 10240, "num_layers": 24, "num_heads": 64, "vocab_size": 32128}
_FULL_TRANSFORMER = {
    "attention_head_dim": 64, "time_embed_dim": 512, "sample_width": 90, "sample_height": 60, "sample_frames": 49,
    "max_text_seq_length": 226, "text_embed_dim": 4096, "in_channels": 16, "out_channels": 16,
}  # fmt: skip
_FULL_VAE = {
    "block_out_channels": (128, 256, 256, 512), "latent_channels": 16, "layers_per_block": 3,
    "sample_height": 480, "sample_width": 720,
}  # fmt: skip
_PATCHES_IN_TIME = {"patch_size_t": 2, "patch_bias": False, "use_rotary_positional_embeddings": True}
SIZES: dict[str, dict[str, Any]] = {
    "tiny": TINY,
    "tiny-1.5": {
        **TINY,
        "transformer": {**TINY["transformer"], **_PATCHES_IN_TIME, "sample_width": 6},
        "vae": {**TINY["vae"], "invert_scale_latents": True},
        "snr_shift_scale": 1.0,
    },
    "2b": {
        "transformer": {**_FULL_TRANSFORMER, "num_attention_heads": 30, "num_layers": 30},
        "vae": {**_FULL_VAE, "scaling_factor": 1.15258426},
        "text": _FULL_TEXT,
        "snr_shift_scale": 3.0,
    },
    "5b": {
        "transformer": {
            **_FULL_TRANSFORMER, "num_attention_heads": 48, "num_layers": 42, "use_rotary_positional_embeddings": True,
        },
        "vae": {**_FULL_VAE, "scaling_factor": 0.7},
        "text": _FULL_TEXT,
        "snr_shift_scale": 1.0,
    },
    "1.5-5b": {
        "transformer": {
            **_FULL_TRANSFORMER, **_PATCHES_IN_TIME, "num_attention_heads": 48, "num_layers": 42,
            "sample_width": 170, "sample_height": 96, "sample_frames": 81,
        },
        "vae": {**_FULL_VAE, "scaling_factor": 0.7, "invert_scale_latents": True},
        "text": _FULL_TEXT,
        "snr_shift_scale": 1.0,
    },
}  # fmt: skip
DTYPES = {"2b": torch.float16, "5b": torch.bfloat16, "1.5-5b": torch.bfloat16}
"""Of the full sizes; the others are in float32."""


def save_random_model(folder: Path, size: str, prompts: Path, seed: int = 0) -> None:
    """Write a model of the given size to `folder`, its T5 tokenizer trained on the files of `prompts`.

    The weights are made on the GPU where there is one, which takes seconds instead of minutes at full size.
    """
    sizes = SIZES[size]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = DTYPES.get(size, torch.float32)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = _train_tokenizer(folder, prompts)
    torch.manual_seed(seed)
    torch.set_default_dtype(dtype)
    try:
        with device:
            text_config = {"vocab_size": len(tokenizer), **sizes["text"]}
            text_encoder = T5EncoderModel(T5Config(feed_forward_proj="gated-gelu", **text_config))
            transformer = CogVideoXTransformer3DModel(**sizes["transformer"])
            vae = AutoencoderKLCogVideoX(
                down_block_types=("CogVideoXDownBlock3D",) * 4,
                up_block_types=("CogVideoXUpBlock3D",) * 4,
                **sizes["vae"],
            )
    finally:
        torch.set_default_dtype(torch.float32)
    scheduler_class = CogVideoXDPMScheduler if size == "5b" else CogVideoXDDIMScheduler
    scheduler = scheduler_class(
        beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, prediction_type="v_prediction",
        rescale_betas_zero_snr=True, snr_shift_scale=sizes["snr_shift_scale"], timestep_spacing="trailing",
        clip_sample=False, set_alpha_to_one=True,
    )  # fmt: skip
    CogVideoXPipeline(tokenizer, text_encoder, vae, transformer, scheduler).save_pretrained(folder)


def save_random_clip(folder: Path) -> None:
    """Write a tiny CLIP of open_clip's to `folder`, for scores that mean nothing."""
    import open_clip
    from safetensors.torch import save_file

    vision = {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 8}
    text = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
    config = {"embed_dim": 32, "vision_cfg": vision, "text_cfg": text}
    torch.manual_seed(0)
    model = open_clip.CLIP(**config)
    folder.mkdir()
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": {}}))
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")


def _train_tokenizer(folder: Path, prompts: Path) -> T5Tokenizer:
    """A T5 tokenizer whose unigram vocabulary is learned from the prompts by sentencepiece."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(prompts.glob("*.txt"))]
    (folder / "tokenizer").mkdir(exist_ok=True)
    prefix = folder / "tokenizer" / "spiece"
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_prefix=str(prefix), vocab_size=400, hard_vocab_limit=False,
        pad_id=0, eos_id=1, unk_id=2, bos_id=-1, minloglevel=2,
    )  # fmt: skip
    prefix.with_suffix(".vocab").unlink()
    (folder / "tokenizer" / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "T5Tokenizer"}))
    return T5Tokenizer.from_pretrained(folder / "tokenizer", extra_ids=0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", choices=sorted(SIZES), default="tiny")
    parser.add_argument("--prompts", type=Path, default=Path(__file__).parent.parent / "prompts")
    arguments = parser.parse_args()
    save_random_model(arguments.folder, arguments.size, arguments.prompts)

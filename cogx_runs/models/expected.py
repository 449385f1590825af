"""The weights that a configuration asks for, by name, with their shapes.

Those of the text encoder are complete, since transformers fills what is missing with random values. Of transformer and
VAE it is enough to tell one model from another; diffusers refuses the rest when it loads them.
"""

from collections.abc import Mapping

from cogx_runs.models.configs import TextEncoderConfig, TransformerConfig, VaeConfig

Shapes = Mapping[str, list[int]]


def text_encoder_weights(config: TextEncoderConfig) -> Shapes:
    """Lists the weights of T5's encoder."""
    inner, width = config.num_heads * config.d_kv, config.d_model
    weights = {
        "shared.weight": [config.vocab_size, width],
        "encoder.final_layer_norm.weight": [width],
        "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight": [
            config.relative_attention_num_buckets, config.num_heads,
        ],
    }  # fmt: skip
    names = ("wi_0", "wi_1") if config.feed_forward_proj.startswith("gated") else ("wi",)
    for number in range(config.num_layers):
        block = f"encoder.block.{number}.layer"
        weights |= {f"{block}.0.SelfAttention.{name}.weight": [inner, width] for name in "qkv"}
        weights |= {f"{block}.1.DenseReluDense.{name}.weight": [config.d_ff, width] for name in names}
        weights |= {
            f"{block}.0.SelfAttention.o.weight": [width, inner],
            f"{block}.1.DenseReluDense.wo.weight": [width, config.d_ff],
            f"{block}.0.layer_norm.weight": [width],
            f"{block}.1.layer_norm.weight": [width],
        }
    return weights


def transformer_weights(config: TransformerConfig) -> Shapes:
    """Lists the weights of the transformer but for those of its norms of heads."""
    hidden, patch = config.hidden_size, config.patch_size
    as_picture = [config.in_channels, patch, patch]
    weights = {
        "patch_embed.proj.weight": [hidden, *(as_picture if config.patch_size_t is None else [config.patch_values])],
        **_linear("patch_embed.text_proj", config.text_embed_dim, hidden),
        **_linear("time_embedding.linear_1", hidden, config.time_embed_dim),
        **_linear("time_embedding.linear_2", config.time_embed_dim, config.time_embed_dim),
        **_linear("norm_out.linear", config.time_embed_dim, 2 * hidden),
        **_linear("proj_out", hidden, config.out_values),
    }
    if config.patch_bias or config.patch_size_t is not None:  # diffusers gives patches in time a bias in any case
        weights["patch_embed.proj.bias"] = [hidden]
    if config.norm_elementwise_affine:
        weights |= {f"{norm}.{kind}": [hidden] for norm in ("norm_final", "norm_out.norm") for kind in _KINDS}
    gates = 2 if config.activation_fn in _GATED else 1
    for number in range(config.num_layers):
        block = f"transformer_blocks.{number}"
        weights |= _linear(f"{block}.ff.net.0.proj", hidden, gates * 4 * hidden)
        weights |= _linear(f"{block}.ff.net.2", 4 * hidden, hidden)
        weights |= {f"{block}.attn1.to_{name}.weight": [hidden, hidden] for name in ("q", "k", "v", "out.0")}
        weights |= _linear(f"{block}.norm1.linear", config.time_embed_dim, 6 * hidden)
        weights |= _linear(f"{block}.norm2.linear", config.time_embed_dim, 6 * hidden)
    return weights


def vae_weights(config: VaeConfig) -> Shapes:
    """Lists the weights at the ends of the VAE's decoder."""
    first, last = config.block_out_channels[-1], config.block_out_channels[0]
    return {
        "decoder.conv_in.conv.weight": [first, config.latent_channels, 3, 3, 3],
        "decoder.conv_in.conv.bias": [first],
        "decoder.conv_out.conv.weight": [config.out_channels, last, 3, 3, 3],
        "decoder.conv_out.conv.bias": [config.out_channels],
    }


_KINDS = ("weight", "bias")
_GATED = ("geglu", "geglu-approximate", "swiglu")
"""Activations that multiply one half of the feed-forward layer's values with the other."""


def _linear(name: str, taken: int, given: int) -> dict[str, list[int]]:
    return {f"{name}.weight": [given, taken], f"{name}.bias": [given]}

"""The configurations in a model folder, with the types and limits that diffusers and transformers build a model by.

Keys that no field names are ignored, as they are there.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Positive = Annotated[int, Field(ge=1, le=2**20)]
_Small = Annotated[int, Field(ge=1, le=1024)]
_Share = Annotated[float, Field(ge=0, lt=1)]
_Above0 = Annotated[float, Field(gt=0)]
_Activation = Literal["swish", "silu", "mish", "gelu", "relu"]


class Config(BaseModel):
    """A JSON object of the folder: its values have the right type, none is converted."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, allow_inf_nan=False)


class ModelIndex(Config):
    """`model_index.json`: the classes of the parts."""

    class_name: str = Field("", alias="_class_name")
    transformer: tuple[Literal["diffusers"], Literal["CogVideoXTransformer3DModel"]]
    vae: tuple[Literal["diffusers"], Literal["AutoencoderKLCogVideoX"]]
    scheduler: tuple[Literal["diffusers"], str]
    text_encoder: tuple[Literal["transformers"], Literal["T5EncoderModel"]]
    tokenizer: tuple[Literal["transformers"], Annotated[str, Field(pattern="^[A-Za-z0-9]+Tokenizer(Fast)?$")]]


class TransformerConfig(Config):
    """`transformer/config.json`."""

    class_name: Literal["CogVideoXTransformer3DModel"] = Field("CogVideoXTransformer3DModel", alias="_class_name")
    num_attention_heads: _Small
    attention_head_dim: _Small
    sample_height: Annotated[int, Field(ge=1, le=2**13)]
    sample_width: Annotated[int, Field(ge=1, le=2**13)]
    sample_frames: Annotated[int, Field(ge=1, le=2**13)]
    patch_size: Annotated[int, Field(ge=1, le=64)]
    max_text_seq_length: Annotated[int, Field(ge=1, le=2**14)]
    patch_size_t: Annotated[int, Field(ge=1, le=64)] | None = None
    in_channels: _Small = 16
    out_channels: _Small | None = 16
    flip_sin_to_cos: bool = True
    freq_shift: int = 0
    time_embed_dim: Positive = 512
    ofs_embed_dim: Positive | None = None
    text_embed_dim: Positive = 4096
    num_layers: _Small = 30
    dropout: _Share = 0.0
    attention_bias: bool = True
    temporal_compression_ratio: _Small = 4
    activation_fn: Literal["gelu", "gelu-approximate", "geglu", "geglu-approximate", "swiglu", "linear-silu"] = (
        "gelu-approximate"
    )
    timestep_activation_fn: _Activation = "silu"
    norm_elementwise_affine: bool = True
    norm_eps: _Above0 = 1e-5
    spatial_interpolation_scale: _Above0 = 1.875
    temporal_interpolation_scale: _Above0 = 1.0
    use_rotary_positional_embeddings: bool = False
    use_learned_positional_embeddings: bool = False
    patch_bias: bool = True

    @property
    def hidden_size(self) -> int:
        """Values per token."""
        return self.num_attention_heads * self.attention_head_dim

    @property
    def patch_values(self) -> int:
        """Values of one patch of latents."""
        return self.in_channels * self.patch_size**2 * (self.patch_size_t or 1)

    @property
    def out_values(self) -> int:
        """Values that become one patch."""
        return (self.out_channels or self.in_channels) * self.patch_size**2 * (self.patch_size_t or 1)

    @model_validator(mode="after")
    def _positions_agree(self) -> "TransformerConfig":
        if self.use_learned_positional_embeddings and not self.use_rotary_positional_embeddings:
            raise ValueError("use_learned_positional_embeddings: needs use_rotary_positional_embeddings")
        if self.patch_size_t is not None and not self.use_rotary_positional_embeddings:
            raise ValueError("patch_size_t: needs use_rotary_positional_embeddings")
        if self.patch_size_t is not None and self.use_learned_positional_embeddings:
            raise ValueError("patch_size_t: has no use_learned_positional_embeddings beside it")
        if self.ofs_embed_dim is not None:
            raise ValueError("ofs_embed_dim: is of a model that animates an image, and this makes videos of text alone")
        return self


class VaeConfig(Config):
    """`vae/config.json`."""

    class_name: Literal["AutoencoderKLCogVideoX"] = Field("AutoencoderKLCogVideoX", alias="_class_name")
    block_out_channels: Annotated[list[Positive], Field(min_length=1, max_length=8)]
    temporal_compression_ratio: Literal[1, 2, 4, 8, 16]
    in_channels: Literal[3] = 3
    out_channels: Literal[3] = 3
    down_block_types: list[Literal["CogVideoXDownBlock3D"]] = ["CogVideoXDownBlock3D"] * 4
    up_block_types: list[Literal["CogVideoXUpBlock3D"]] = ["CogVideoXUpBlock3D"] * 4
    latent_channels: _Small = 16
    layers_per_block: Annotated[int, Field(ge=1, le=64)] = 3
    act_fn: _Activation = "silu"
    norm_eps: _Above0 = 1e-6
    norm_num_groups: _Small = 32
    sample_height: Annotated[int, Field(ge=2, le=2**16)] = 480
    sample_width: Annotated[int, Field(ge=2, le=2**16)] = 720
    scaling_factor: _Above0 = 1.15258426
    shift_factor: float | None = None
    latents_mean: list[float] | None = None
    latents_std: list[float] | None = None
    force_upcast: bool | float = True
    use_quant_conv: bool = False
    use_post_quant_conv: bool = False
    invert_scale_latents: bool = False

    @property
    def scale(self) -> int:
        """Pixels of a latent's side."""
        return int(2 ** (len(self.block_out_channels) - 1))

    @model_validator(mode="after")
    def _blocks_agree(self) -> "VaeConfig":
        if not len(self.block_out_channels) == len(self.down_block_types) == len(self.up_block_types):
            raise ValueError("block_out_channels, down_block_types and up_block_types: are not equally many")
        if any(channels % self.norm_num_groups for channels in self.block_out_channels):
            raise ValueError(f"block_out_channels: are no multiples of norm_num_groups, {self.norm_num_groups}")
        if min(self.sample_height, self.sample_width) < 2 * self.scale:
            raise ValueError(f"sample_height and sample_width: are below {2 * self.scale}, two latents")
        return self


class SchedulerConfig(Config):
    """`scheduler/scheduler_config.json`."""

    class_name: str = Field("", alias="_class_name")
    num_train_timesteps: Annotated[int, Field(ge=1, le=10_000)]
    timestep_spacing: Literal["linspace", "leading", "trailing"]
    beta_start: Annotated[float, Field(gt=0, lt=1)] = 0.00085
    beta_end: Annotated[float, Field(gt=0, lt=1)] = 0.012
    beta_schedule: Literal["linear", "scaled_linear", "squaredcos_cap_v2"] = "scaled_linear"
    trained_betas: list[Annotated[float, Field(gt=0, lt=1)]] | None = None
    clip_sample: bool = True
    set_alpha_to_one: bool = True
    steps_offset: Annotated[int, Field(ge=0, le=10_000)] = 0
    prediction_type: Literal["epsilon", "sample", "v_prediction"] = "epsilon"
    clip_sample_range: _Above0 = 1.0
    sample_max_value: _Above0 = 1.0
    rescale_betas_zero_snr: bool = False
    snr_shift_scale: _Above0 = 3.0

    @model_validator(mode="after")
    def _a_beta_each(self) -> "SchedulerConfig":
        if self.trained_betas is not None and len(self.trained_betas) != self.num_train_timesteps:
            raise ValueError(f"trained_betas: are not the {self.num_train_timesteps} of num_train_timesteps")
        return self


class TextEncoderConfig(Config):
    """`text_encoder/config.json`, of T5."""

    model_type: Literal["t5"] = "t5"
    vocab_size: Positive = 32128
    d_model: Positive = 512
    d_kv: _Small = 64
    d_ff: Positive = 2048
    num_layers: _Small = 6
    num_decoder_layers: _Small | None = None
    num_heads: _Small = 8
    relative_attention_num_buckets: Positive = 32
    relative_attention_max_distance: Positive = 128
    dropout_rate: _Share = 0.1
    layer_norm_epsilon: _Above0 = 1e-6
    initializer_factor: float = 1.0
    feed_forward_proj: Literal["relu", "gelu", "silu", "gated-gelu", "gated-silu", "gated-relu"] = "relu"
    is_encoder_decoder: bool = True
    is_decoder: bool = False
    use_cache: bool = True
    pad_token_id: int | None = 0
    eos_token_id: int | list[int] | None = 1
    classifier_dropout: _Share = 0.0
    tie_word_embeddings: bool = True
    architectures: list[str] | None = None
    torch_dtype: str | None = None
    dtype: str | None = None


class SpecialToken(Config):
    """A token of `tokenizer_config.json` that is written out with its properties."""

    kind: Literal["AddedToken"] = Field("AddedToken", alias="__type")
    content: str
    lstrip: bool = False
    rstrip: bool = False
    normalized: bool = False
    single_word: bool = False
    special: bool = False


class TokenizerConfig(Config):
    """`tokenizer/tokenizer_config.json`."""

    tokenizer_class: str | None = None
    model_max_length: float | None = None
    extra_ids: Annotated[int, Field(ge=0, le=10_000)] | None = None
    padding_side: Literal["left", "right"] = "right"
    truncation_side: Literal["left", "right"] = "right"
    pad_token: str | SpecialToken | None = None
    eos_token: str | SpecialToken | None = None
    unk_token: str | SpecialToken | None = None
    bos_token: str | SpecialToken | None = None
    additional_special_tokens: list[str | SpecialToken] | None = None
    extra_special_tokens: list[str | SpecialToken] | dict[str, str | SpecialToken] | None = None
    added_tokens_decoder: dict[Annotated[str, Field(pattern="^[0-9]{1,9}$")], SpecialToken] | None = None


class ClipTextConfig(Config):
    """`text_cfg` of a CLIP."""

    context_length: Annotated[int, Field(ge=1, le=2**14)] = 77
    hf_tokenizer_name: str | None = None


class ClipBody(Config):
    """`model_cfg` of a CLIP's folder."""

    text_cfg: ClipTextConfig = ClipTextConfig()


class ClipConfig(ClipBody):
    """A CLIP's configuration: `open_clip_config.json` of a folder, or one of open_clip's own."""

    model_cfg: ClipBody | None = None

    @property
    def text(self) -> ClipTextConfig:
        """What it says of texts, in either form."""
        return (self.model_cfg or self).text_cfg


class WeightsIndex(Config):
    """`*.safetensors.index.json`: the file of each tensor of weights in several files."""

    weight_map: dict[str, Annotated[str, Field(pattern=r"^[^/\\\x00]+\.safetensors$", max_length=255)]]

"""A model folder in diffusers' format: all that a plan reads of it, checked as a whole."""

from collections.abc import Mapping
from pathlib import Path

from cogx_runs.errors import CogxError
from cogx_runs.models.configs import (
    Config,
    ModelIndex,
    SchedulerConfig,
    TextEncoderConfig,
    TokenizerConfig,
    TransformerConfig,
    VaeConfig,
    WeightsIndex,
)
from cogx_runs.models.expected import Shapes, text_encoder_weights, transformer_weights, vae_weights
from cogx_runs.models.files import AGAIN, read_object
from cogx_runs.models.headers import FLOATS, Header, Tensor, read_header
from cogx_runs.models.tokenizers import sentencepiece_of, tokenizer_of

_PARTS = {
    "transformer": "diffusion_pytorch_model",
    "vae": "diffusion_pytorch_model",
    "text_encoder": "model",
}
"""The parts that have weights, and the names of their files without the ending."""


class ModelFolder(Config):
    """The contents of a model folder but for its weights' values."""

    path: Path
    index: ModelIndex
    transformer: TransformerConfig
    vae: VaeConfig
    scheduler: SchedulerConfig
    text_encoder: TextEncoderConfig
    tokenizer: TokenizerConfig
    vocabulary: int
    """Number of tokens that the tokenizer knows."""
    weights: Mapping[str, Mapping[str, Tensor]]
    """The tensors of each part by name."""

    @classmethod
    def read(cls, path: Path) -> "ModelFolder":
        """Reads a folder.

        Raises CogxError naming the first file that is missing, damaged, of another model than the rest, or no file.
        """
        index = read_object(path / "model_index.json", ModelIndex)
        if index.class_name != "CogVideoXPipeline":
            raise CogxError(f"{path}: is a {index.class_name or None}, not a CogVideoXPipeline")
        folder = cls(
            path=path,
            index=index,
            transformer=read_object(path / "transformer" / "config.json", TransformerConfig),
            scheduler=read_object(path / "scheduler" / "scheduler_config.json", SchedulerConfig),
            vae=read_object(path / "vae" / "config.json", VaeConfig),
            text_encoder=read_object(path / "text_encoder" / "config.json", TextEncoderConfig),
            tokenizer=_tokenizer_config(path / "tokenizer"),
            weights={part: _tensors(path / part, stem) for part, stem in _PARTS.items()},
            vocabulary=_vocabulary(path / "tokenizer"),
        )
        folder._check()
        return folder

    def parameters(self, part: str) -> int:
        """Counts the values of a part's weights."""
        return sum(tensor.parameters for tensor in self.weights[part].values())

    def _check(self) -> None:
        """Raises CogxError where two of the files belong to different models."""
        transformer, vae, text = self.transformer, self.vae, self.text_encoder
        self._check_weights("transformer", transformer_weights(transformer))
        self._check_weights("vae", vae_weights(vae))
        self._check_weights("text_encoder", text_encoder_weights(text))
        for names, one, other in (
            ("vae/config.json: latent_channels and transformer/config.json: in_channels", vae.latent_channels,
             transformer.in_channels),
            ("vae/config.json and transformer/config.json: temporal_compression_ratio", vae.temporal_compression_ratio,
             transformer.temporal_compression_ratio),
            ("text_encoder/config.json: d_model and transformer/config.json: text_embed_dim", text.d_model,
             transformer.text_embed_dim),
        ):  # fmt: skip
            if one != other:
                raise CogxError(f"{self.path}: {names} are {one} and {other}, of different models; {AGAIN}")
        if self.vocabulary > text.vocab_size:
            raise CogxError(
                f"{self.path / 'tokenizer'}: knows {self.vocabulary} tokens and the text encoder {text.vocab_size}; "
                f"{AGAIN}"
            )

    def _check_weights(self, part: str, expected: Shapes) -> None:
        """Raises CogxError where weights are missing that the configuration asks for, or have another shape."""
        for name, shape in expected.items():
            tensor = self.weights[part].get(name)
            if tensor is None:
                raise CogxError(f"{self.path / part}: has no weights {name}, which its config.json asks for; {AGAIN}")
            if tensor.dtype not in FLOATS:
                raise CogxError(f"{self.path / part}: {name} is of type {tensor.dtype}, as no weights are; {AGAIN}")
            if tensor.shape != shape:
                raise CogxError(
                    f"{self.path / part}: the shape of {name} is {_shape(tensor.shape)} and by config.json "
                    f"{_shape(shape)}; {AGAIN}"
                )


def _shape(sides: list[int]) -> str:
    return "x".join(map(str, sides)) or "a single value"


def _tokenizer_config(folder: Path) -> TokenizerConfig:
    path = folder / "tokenizer_config.json"
    return read_object(path, TokenizerConfig) if path.exists() else TokenizerConfig()


def _vocabulary(folder: Path) -> int:
    """Counts the tokens of a folder's tokenizer, by the file that transformers would take."""
    if (folder / "tokenizer.json").exists():
        return int(tokenizer_of(folder / "tokenizer.json").get_vocab_size())
    if (folder / "spiece.model").exists():
        return int(sentencepiece_of(folder / "spiece.model").get_piece_size())
    raise CogxError(f"{folder}: holds no spiece.model or tokenizer.json; {AGAIN}")


def _tensors(folder: Path, stem: str) -> dict[str, Tensor]:
    """Reads the headers of a part's weights, in one file or in several that an index lists."""
    if (folder / f"{stem}.safetensors").exists():
        return read_header(folder / f"{stem}.safetensors").tensors
    index = folder / f"{stem}.safetensors.index.json"
    if not index.exists():
        raise CogxError(f"{folder}: holds no .safetensors weights; {AGAIN}")
    places = read_object(index, WeightsIndex).weight_map
    headers: dict[str, Header] = {}
    for name in sorted(set(places.values())):
        if not (folder / name).exists():
            raise CogxError(f"{folder / name}: is missing of the weights; {AGAIN}")
        headers[name] = read_header(folder / name)
    for tensor, name in places.items():
        if tensor not in headers[name].tensors:
            raise CogxError(f"{folder / name}: has no weights {tensor[:100]!r}, as the index says; {AGAIN}")
    return {tensor: headers[name].tensors[tensor] for tensor, name in places.items()}

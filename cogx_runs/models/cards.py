"""Model cards, by name or folder, and the rules of their configurations."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cogx_runs import toy
from cogx_runs.definitions.parameters import Dtype, Scheduler
from cogx_runs.errors import CogxError, did_you_mean
from cogx_runs.formatting import shortened
from cogx_runs.models import hub
from cogx_runs.models.configs import TransformerConfig
from cogx_runs.models.folder import ModelFolder
from cogx_runs.models.weights import folder_revision

OPENAI_CLIP = "ViT-B-32:openai"
SCHEDULER_CLASSES: dict[str, Scheduler] = {"CogVideoXDDIMScheduler": "ddim", "CogVideoXDPMScheduler": "dpm"}
CONVERTED = (300, 300)
"""Sample height and width that diffusers' `scripts/convert_cogvideox_to_diffusers.py` writes for every CogVideoX 1.5,
and that its own configuration had at first: how far positions reach, not the size of the training."""


@dataclass(frozen=True)
class ModelCard:
    """The facts of a model that a plan needs, without loading it."""

    name: str
    """The name as the user gave it."""
    source: str
    """Hub id, or the absolute path of a folder."""
    revision: str
    """Commit on the hub, or a hash of a folder's configs, headers, sizes and times."""
    dtype: Dtype
    """Precision in which it was trained and runs on a GPU."""
    scheduler: Scheduler
    height: int
    width: int
    size_multiple: int
    """Height and width must be multiples of this many pixels."""
    num_frames: int
    """Frames of a video where none are named."""
    max_frames: int
    temporal_compression: int
    max_sequence_length: int
    """Number of tokens to which the text is padded or cut."""
    num_train_timesteps: int
    timestep_spacing: str
    transformer: TransformerConfig
    """Configuration of the transformer."""
    transformer_parameters: int
    text_encoder_parameters: int
    vae_parameters: int
    fps: int = 8
    """Frames a second of the videos that it was trained on."""
    max_height: int | None = None
    """Pixels to which its positions reach; None without a limit."""
    max_width: int | None = None
    """Likewise."""
    tile_height: int = 240
    """Pixels of the VAE's tiles."""
    tile_width: int = 360
    hub_gb: float | None = None
    """Size of the hub's files in 10^9 bytes where they hold more than 16 bits a weight."""
    vae_channels: int = 128
    """Channels of the VAE at the video's own size."""
    latent_channels: int = 16
    has_fixed_size: bool = False
    """Whether it makes videos of its own height and width alone."""
    clip_model: str = OPENAI_CLIP
    """Default CLIP for the scores of its videos."""

    @property
    def hidden_size(self) -> int:
        """Values per token in the transformer."""
        return self.transformer.hidden_size

    @property
    def num_layers(self) -> int:
        """Blocks of the transformer."""
        return self.transformer.num_layers

    @property
    def is_local(self) -> bool:
        """Whether the model is a folder, not on the hub."""
        return Path(self.source).is_absolute()

    @property
    def parameters(self) -> int:
        """Parameters of transformer, text encoder and VAE together."""
        return self.transformer_parameters + self.text_encoder_parameters + self.vae_parameters

    def decoded_frames(self, num_frames: int) -> int:
        """Counts the frames that come back when `num_frames` are asked for.

        The VAE decodes latent frames in pairs; only in the first batch, when their number is odd, one of them gives a
        single frame (`AutoencoderKLCogVideoX._decode` in diffusers).
        """
        latent_frames = (num_frames - 1) // self.temporal_compression + 1
        return self.temporal_compression * (latent_frames - latent_frames % 2) + latent_frames % 2

    def patches_in_time(self, num_frames: int) -> int:
        """Counts the tokens along time. Latent frames that do not fill the last patch are padded to."""
        latent_frames = (num_frames - 1) // self.temporal_compression + 1
        return -(-latent_frames // (self.transformer.patch_size_t or 1))

    @property
    def frame_multiple(self) -> int:
        """Number of which a valid frame count is one more than a multiple: 8 for CogVideoX, whose counts are 8N+1, and
        16 for CogVideoX 1.5, whose patches span two latent frames."""
        return 2 * self.temporal_compression * (self.transformer.patch_size_t or 1)

    def valid_frames(self) -> list[int]:
        """Lists the frame counts that the model was trained for and that come back as asked for."""
        return list(range(1 + self.frame_multiple, self.max_frames + 1, self.frame_multiple))


_2B = ModelCard(
    name="2b",
    source="zai-org/CogVideoX-2b",
    revision="1137dacfc2c9c012bed6a0793f4ecf2ca8e7ba01",
    dtype="float16",
    scheduler="ddim",
    height=480,
    width=720,
    size_multiple=16,
    num_frames=49,
    max_frames=49,
    temporal_compression=4,
    max_sequence_length=226,
    num_train_timesteps=1000,
    timestep_spacing="trailing",
    transformer=TransformerConfig(
        num_attention_heads=30,
        attention_head_dim=64,
        sample_height=60,
        sample_width=90,
        sample_frames=49,
        patch_size=2,
        max_text_seq_length=226,
    ),
    transformer_parameters=1_693_783_872,
    text_encoder_parameters=4_762_310_656,
    vae_parameters=215_583_907,
)
_5B = replace(
    _2B,
    name="5b",
    source="zai-org/CogVideoX-5b",
    revision="8d6ea3f817438460b25595a120f109b88d5fdfad",
    dtype="bfloat16",
    scheduler="dpm",
    transformer=_2B.transformer.model_copy(
        update={"num_attention_heads": 48, "num_layers": 42, "use_rotary_positional_embeddings": True}
    ),
    transformer_parameters=5_570_283_072,
)
# From the published configuration and the model's page (81 frames, at most 161, 16 a second, bfloat16).
_1_5 = replace(
    _5B,
    name="1.5-5b",
    source="zai-org/CogVideoX1.5-5B",
    revision="fdc5267c90b5c06492985b966e43aae984e189e0",
    scheduler="ddim",
    height=768,
    width=1360,
    max_height=768,
    max_width=1360,
    num_frames=81,
    max_frames=161,
    fps=16,
    transformer=_5B.transformer.model_copy(
        update={
            "patch_size_t": 2,
            "patch_bias": False,
            "sample_height": 96,
            "sample_width": 170,
            "sample_frames": 81,
        }
    ),
    transformer_parameters=5_570_676_352,
    hub_gb=31.1,
)
HUB_MODELS = {card.name: card for card in (_2B, _5B, _1_5)}
_BY_ID = {
    source: replace(card, source=source)
    for card in HUB_MODELS.values()
    for source in (card.source, card.source.replace("zai-org/", "THUDM/"))
}
"""By their hub ids, the earlier ones too, which lead to the same files."""

NAMES = (*HUB_MODELS, "toy")
"""Models with a name; any other is a folder, or a hub id whose files are in the Hugging Face cache."""


def resolve_model(name: str, revision: str | None = None) -> ModelCard:
    """Finds the card of `2b`, `5b`, `1.5-5b`, `toy`, of a folder in diffusers' format, or of a hub id such as
    `OWNER/NAME` whose files are in the Hugging Face cache, at `revision` where one is given.

    Raises CogxError for an unknown name, for a hub id that is not in the cache, and for a folder that is unreadable,
    incomplete or truncated.
    """
    known = HUB_MODELS.get(name) or _BY_ID.get(name)
    if known is not None:
        return replace(known, revision=revision or known.revision)
    folder = toy.pipeline_dir() if name == "toy" else _folder(name)
    if folder is None and hub.is_repository(name):
        return _read_snapshot(name, revision)
    if folder is None:
        raise CogxError(
            f"no model {shortened(name)}: neither a known name nor a folder here; {did_you_mean(name, NAMES)}"
        )
    if revision is not None:
        raise CogxError(f"{name}: has no revisions to choose from; leave `revision` out")
    card = _read_folder(name, folder)
    return replace(card, revision=toy.revision(), clip_model="toy") if name == "toy" else card


def _read_snapshot(name: str, revision: str | None) -> ModelCard:
    """Reads the card of a fine-tuned model from its files in the cache; its revision is the commit."""
    index = hub.cached_file(name, "model_index.json", revision)
    if index is None:
        at = f" --revision {revision}" if revision else ""
        raise CogxError(
            f"no model {shortened(name)}: no folder here, nor in the Hugging Face cache; `hf download {name}{at}` "
            "fetches it"
        )
    return replace(_read_folder(name, index.parent), revision=index.parent.name)


def clip_folder(clip_model: str) -> Path | None:
    """Finds the folder of a CLIP, also of the toy's; None for one that open_clip knows by name.

    Raises CogxError when the toy's files are not as shipped.
    """
    if clip_model == "toy":
        return toy.clip_dir()
    return _folder(clip_model)


def _folder(name: str) -> Path | None:
    """Finds the folder of this name; None where there is none, also for a name that no folder can have."""
    try:
        path = Path(name).expanduser().absolute()
        return path if path.is_dir() else None
    except (OSError, ValueError, RuntimeError):
        return None


def _read_folder(name: str, path: Path) -> ModelCard:
    folder = ModelFolder.read(path)
    transformer, vae, scheduler = folder.transformer, folder.vae, folder.scheduler
    scheduler_name = SCHEDULER_CLASSES.get(scheduler.class_name)
    if scheduler_name is None:
        raise CogxError(f"{path}/scheduler: is a {scheduler.class_name or None}, which CogVideoX does not use")
    height, width = (side * vae.scale for side in (transformer.sample_height, transformer.sample_width))
    family: dict[str, Any] = {"max_frames": transformer.sample_frames}
    if transformer.patch_size_t is not None:  # CogVideoX 1.5: twice as long at most, as published
        patch = transformer.patch_size * vae.scale
        family = {
            "max_frames": 2 * transformer.sample_frames - 1,
            "fps": _1_5.fps,
            "max_height": height // patch * patch,
            "max_width": width // patch * patch,
        }
        if (transformer.sample_height, transformer.sample_width) == CONVERTED:
            height, width = _1_5.height, _1_5.width
    return ModelCard(
        name=name,
        source=str(path),
        revision=folder_revision(path),
        dtype="bfloat16" if transformer.use_rotary_positional_embeddings else "float16",
        scheduler=scheduler_name,
        height=height,
        width=width,
        size_multiple=vae.scale * transformer.patch_size,
        num_frames=transformer.sample_frames,
        temporal_compression=vae.temporal_compression_ratio,
        max_sequence_length=transformer.max_text_seq_length,
        num_train_timesteps=scheduler.num_train_timesteps,
        timestep_spacing=scheduler.timestep_spacing,
        transformer=transformer,
        transformer_parameters=folder.parameters("transformer"),
        text_encoder_parameters=folder.parameters("text_encoder"),
        vae_parameters=folder.parameters("vae"),
        vae_channels=vae.block_out_channels[0],
        latent_channels=vae.latent_channels,
        has_fixed_size=transformer.use_learned_positional_embeddings,
        tile_height=vae.sample_height // 2,
        tile_width=vae.sample_width // 2,
        **family,
    )

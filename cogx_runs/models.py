"""Models by name or folder, and the rules that their configurations set."""

import hashlib
import json
import math
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cogx_runs.errors import CogxError, did_you_mean
from cogx_runs.sweep import Dtype, Scheduler

OPENAI_CLIP = "ViT-B-32:openai"
SCHEDULER_CLASSES: dict[str, Scheduler] = {"CogVideoXDDIMScheduler": "ddim", "CogVideoXDPMScheduler": "dpm"}


@dataclass(frozen=True)
class ModelCard:
    """What a plan has to know of a model, without loading it."""

    name: str
    """As the user gave it."""
    source: str
    """Hub id, or the absolute path of a folder."""
    revision: str
    """Commit on the hub, or a hash of a folder's content as its headers, sizes and times show it."""
    dtype: Dtype
    """What it was trained for and runs in on a GPU."""
    scheduler: Scheduler
    height: int
    width: int
    size_multiple: int
    """Height and width must be multiples of this many pixels."""
    max_frames: int
    temporal_compression: int
    max_sequence_length: int
    """Tokens to which the text is padded or cut."""
    num_train_timesteps: int
    timestep_spacing: str
    clip_model: str = OPENAI_CLIP
    """The CLIP that scores its videos unless another is named."""

    @property
    def is_local(self) -> bool:
        return Path(self.source).is_absolute()

    def decoded_frames(self, num_frames: int) -> int:
        """How many frames come back when `num_frames` are asked for.

        The VAE decodes latent frames in pairs, and only in the first batch, when their number is odd, does one of
        them give a single frame (`AutoencoderKLCogVideoX._decode` in diffusers).
        """
        latent_frames = (num_frames - 1) // self.temporal_compression + 1
        return self.temporal_compression * (latent_frames - latent_frames % 2) + latent_frames % 2

    @property
    def frame_multiple(self) -> int:
        """Valid frame counts are one more than a multiple of this: 8N+1 for CogVideoX."""
        return 2 * self.temporal_compression

    def valid_frames(self) -> list[int]:
        """The frame counts that the model was trained for and that come back as asked for."""
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
    max_frames=49,
    temporal_compression=4,
    max_sequence_length=226,
    num_train_timesteps=1000,
    timestep_spacing="trailing",
)
HUB_MODELS = {
    "2b": _2B,
    "5b": replace(
        _2B,
        name="5b",
        source="zai-org/CogVideoX-5b",
        revision="8d6ea3f817438460b25595a120f109b88d5fdfad",
        dtype="bfloat16",
        scheduler="dpm",
    ),
}


def resolve_model(name: str, revision: str | None = None) -> ModelCard:
    """The card of `2b`, `5b`, or of a folder in diffusers' format.

    Raises CogxError for an unknown name, and for a folder that is unreadable, incomplete or truncated.
    """
    if name in HUB_MODELS:
        return replace(HUB_MODELS[name], revision=revision or HUB_MODELS[name].revision)
    folder = Path(name).expanduser()
    if not folder.is_dir():
        raise CogxError(f"no model {name!r}: neither a known name nor a folder here; {did_you_mean(name, HUB_MODELS)}")
    if revision is not None:
        raise CogxError(f"{name}: a folder has no revisions; leave `revision` out")
    return _read_folder(name, folder.absolute())


def weights_files(folder: Path) -> list[Path]:
    """The safetensors files of a model folder."""
    return sorted(folder.rglob("*.safetensors"))


def parameter_count(card: ModelCard) -> int:
    """Parameters of a model folder, as the headers of its safetensors files tell."""
    count = 0
    for path in weights_files(Path(card.source)):
        tensors = json.loads(_safetensors_header(path))
        count += sum(math.prod(entry["shape"]) for key, entry in tensors.items() if key != "__metadata__")
    return count


_TRANSFORMER_KEYS = ("sample_height", "sample_width", "patch_size", "sample_frames", "max_text_seq_length")
_VAE_KEYS = ("block_out_channels", "temporal_compression_ratio")
_SCHEDULER_KEYS = ("num_train_timesteps", "timestep_spacing")


def _read_folder(name: str, folder: Path) -> ModelCard:
    index = _read_json(folder / "model_index.json")
    if index.get("_class_name") != "CogVideoXPipeline":
        raise CogxError(f"{folder}: is a {index.get('_class_name')}, not a CogVideoXPipeline")
    transformer = _read_json(folder / "transformer" / "config.json")
    scheduler = _read_json(folder / "scheduler" / "scheduler_config.json")
    vae = _read_json(folder / "vae" / "config.json")
    kind = SCHEDULER_CLASSES.get(str(scheduler.get("_class_name")))
    if kind is None:
        raise CogxError(f"{folder}/scheduler: is a {scheduler.get('_class_name')}, which CogVideoX does not use")
    for component, config, keys in (
        ("transformer/config.json", transformer, _TRANSFORMER_KEYS),
        ("vae/config.json", vae, _VAE_KEYS),
        ("scheduler/scheduler_config.json", scheduler, _SCHEDULER_KEYS),
    ):
        if missing := [key for key in keys if key not in config]:
            raise CogxError(f"{folder / component}: has no {', '.join(missing)}; copy or download it again")
    spatial = 2 ** (len(vae["block_out_channels"]) - 1)
    return ModelCard(
        name=name,
        source=str(folder),
        revision=_folder_revision(folder),
        dtype="bfloat16" if transformer.get("use_rotary_positional_embeddings") else "float16",
        scheduler=kind,
        height=transformer["sample_height"] * spatial,
        width=transformer["sample_width"] * spatial,
        size_multiple=spatial * transformer["patch_size"],
        max_frames=transformer["sample_frames"],
        temporal_compression=vae["temporal_compression_ratio"],
        max_sequence_length=transformer["max_text_seq_length"],
        num_train_timesteps=scheduler["num_train_timesteps"],
        timestep_spacing=scheduler["timestep_spacing"],
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CogxError(f"{path}: is missing; the folder is no complete model in diffusers' format") from error
    except OSError as error:
        raise CogxError(f"{path}: cannot be read ({error.strerror}); mend its permissions") from error
    except ValueError as error:
        raise CogxError(f"{path}: is not valid JSON ({error}); copy or download it again") from error
    if not isinstance(content, dict):
        raise CogxError(f"{path}: holds no JSON object; copy or download it again")
    return content


def _folder_revision(folder: Path) -> str:
    """A hash of the configs, safetensors headers, file sizes and modification times of a model folder."""
    weights = weights_files(folder)
    for component in ("transformer", "vae", "text_encoder"):
        if not any(path.parent.name == component for path in weights):
            raise CogxError(f"{folder / component}: holds no .safetensors weights; copy or download it again")
    for index in folder.rglob("*.safetensors.index.json"):
        for name in sorted(set(_read_json(index).get("weight_map", {}).values())):
            if not (index.parent / name).is_file():
                raise CogxError(f"{index.parent / name}: is missing of the weights; copy or download it again")
    digest = hashlib.sha256()
    small = [path for path in folder.rglob("*") if path.suffix in {".json", ".model", ".txt"}]
    for path in sorted([*small, *weights]):
        try:
            content = _safetensors_header(path) if path.suffix == ".safetensors" else path.read_bytes()
            times = str(path.stat().st_mtime_ns).encode() if path.suffix == ".safetensors" else b""
        except OSError as error:
            raise CogxError(f"{path}: cannot be read ({error.strerror}); mend its permissions") from error
        for part in (str(path.relative_to(folder)).encode(), str(path.stat().st_size).encode(), times, content):
            digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()[:16]


def _safetensors_header(path: Path) -> bytes:
    """The JSON header of a safetensors file. Raises CogxError where the file is shorter than its header says."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 + length:
            raise CogxError(f"{path}: is truncated within its header; copy or download it again")
        header = file.read(length)
    try:
        tensors = json.loads(header)
        ends = [entry["data_offsets"][1] for key, entry in tensors.items() if key != "__metadata__"]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise CogxError(f"{path}: is no safetensors file; copy or download it again") from error
    expected = 8 + length + max(ends, default=0)
    if size != expected:
        raise CogxError(f"{path}: has {size:,} bytes instead of {expected:,}; copy or download it again")
    return header


def weights_sha256(folder: Path) -> str:
    """SHA-256 over all weights of a model folder, taken once and kept in the user's cache while nothing changes."""
    revision = _folder_revision(folder)
    kept = cache_directory() / "weights_sha256" / hashlib.sha256(f"{folder}\n{revision}".encode()).hexdigest()
    if kept.is_file():
        return kept.read_text(encoding="ascii")
    digest = hashlib.sha256()
    for path in weights_files(folder):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    kept.parent.mkdir(parents=True, exist_ok=True)
    temporary = kept.with_suffix(f".{os.getpid()}")
    temporary.write_text(digest.hexdigest(), encoding="ascii")
    temporary.replace(kept)
    return digest.hexdigest()


def cache_directory() -> Path:
    """Where this tool keeps what can be made again, for one user of one machine."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cogx-runs"

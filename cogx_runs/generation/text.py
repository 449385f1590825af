"""Embeddings of prompts: each text encoded once for a model, and kept on disk."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from pathlib import Path

import torch
import transformers
from diffusers import CogVideoXPipeline
from safetensors import SafetensorError
from safetensors.torch import load, save_file

from cogx_runs.definitions.parameters import Dtype
from cogx_runs.definitions.spec import RunSpec
from cogx_runs.errors import CogxError, first_line
from cogx_runs.formatting import count
from cogx_runs.generation.embedding_cache import EmbeddingCache
from cogx_runs.generation.measure import Peak, PeakMemory, free_memory, timed
from cogx_runs.generation.pipeline import DTYPES, load_text_encoder
from cogx_runs.models.cards import ModelCard
from cogx_runs.models.memory import Budget, TextPlacement, choose_text_placement
from cogx_runs.progress import Progress
from cogx_runs.system.disk import ANOTHER_CACHE
from cogx_runs.system.hardware import Device, device_name
from cogx_runs.system.whole_file import written_whole

TOO_LARGE = "the text encoder of {}: out of the GPU's memory even layer by layer; close what else uses the GPU"


@dataclass(frozen=True)
class Embeddings:
    """What a cell's texts became, on the CPU."""

    prompt: torch.Tensor
    """1 x tokens x width."""
    negative: torch.Tensor | None
    """Of the negative prompt; None without guidance."""


class TextEncoding:
    """The embeddings of texts. The text encoder is loaded only where one is missing, and freed again."""

    def __init__(
        self,
        max_vram_gib: float | None = None,
        cache: EmbeddingCache | None = None,
        *,
        load_text_encoder: Callable[[ModelCard, Dtype, Device, TextPlacement], CogVideoXPipeline] = load_text_encoder,
    ) -> None:
        """At most `max_vram_gib` is taken of the GPU, all that is free where that is None."""
        self._max_vram_gib = max_vram_gib
        self._cache = cache or EmbeddingCache()
        self._load_text_encoder = load_text_encoder
        self._expected: Sequence[RunSpec] = ()
        self._spent: dict[Path, tuple[float, Peak]] = {}
        self._at_hand: dict[Path, torch.Tensor] = {}

    def expect(self, specs: Sequence[RunSpec]) -> None:
        """Takes note of the cells to come, whose embeddings stay in the cache, and clears it of leftovers."""
        self._expected = specs
        self._cache.remove_leftovers()

    def encode_missing(self, card: ModelCard, specs: Iterable[RunSpec], progress: Progress) -> None:
        """Encodes and keeps every text of these cells of one model that is not kept yet, and has those of the first one
        at hand.

        Texts whose kept embeddings are damaged are told, and encoded again. Raises CogxError as `load_text_encoder`
        does.
        """
        specs = list(specs)
        spec, texts = specs[0], {path: text for spec in specs for text, path in self._paths(spec).items()}
        self.has(spec)
        missing = {
            path: text for path, text in texts.items() if path not in self._at_hand and self._read(spec, path) is None
        }
        if damaged := [path for path in missing if path.exists()]:
            are = "is" if len(damaged) == 1 else "are"
            progress.note(f"{count(len(damaged), 'kept embedding')} of {spec.model} {are} damaged; encoded again")
        if missing:
            self._encode_within_memory(card, spec, missing, progress)
            self._cache.shrink({path for other in [*specs, *self._expected] for path in self._paths(other).values()})

    def _encode_within_memory(
        self, card: ModelCard, spec: RunSpec, missing: Mapping[Path, str], progress: Progress
    ) -> None:
        placement = choose_text_placement(card, spec.dtype, Budget.here(spec.device, self._max_vram_gib)).placement
        try:
            self._encode(card, spec, missing, placement, progress)
            return
        except torch.OutOfMemoryError as error:
            if placement == "sequential":
                raise CogxError(TOO_LARGE.format(spec.model)) from error
            progress.phase("the text encoder is out of the GPU's memory; now layer by layer")
        free_memory()  # outside the handler, which holds on to what was allocated
        try:
            self._encode(card, spec, missing, "sequential", progress)
        except torch.OutOfMemoryError as error:
            raise CogxError(TOO_LARGE.format(spec.model)) from error

    def _encode(
        self,
        card: ModelCard,
        spec: RunSpec,
        missing: Mapping[Path, str],
        placement: TextPlacement,
        progress: Progress,
    ) -> None:
        progress.phase(f"loading the text encoder of {spec.model}")
        pipe = self._load_text_encoder(card, spec.dtype, spec.device, placement)
        progress.phase(f"encoding {count(len(missing), 'text')}")
        for path, text in missing.items():
            with PeakMemory(spec.device) as memory, torch.no_grad(), timed(spec.device) as seconds:
                embeddings = _embed(pipe, card, text, spec.max_sequence_length)
            embeddings = embeddings.cpu()
            _write(path, embeddings)
            if path in self._paths(spec).values():
                self._at_hand[path] = embeddings
            self._spent[path] = (seconds.value, memory.peak)
        pipe.remove_all_hooks()
        del pipe, embeddings
        free_memory()

    def has(self, spec: RunSpec) -> bool:
        """Tells whether all texts of a cell are kept, and then has them at hand, whatever becomes of the files."""
        found = {path: self._read(spec, path) for path in self._paths(spec).values()}
        self._at_hand = {path: embeddings for path, embeddings in found.items() if embeddings is not None}
        return len(self._at_hand) == len(found)

    def of(self, spec: RunSpec) -> Embeddings:
        """Gives the embeddings of a cell, which have been encoded before."""
        kept = {
            text: self._at_hand[path] if path in self._at_hand else self._read(spec, path)
            for text, path in self._paths(spec).items()
        }
        prompt = kept[spec.prompt]
        assert prompt is not None, "the texts are encoded before a cell is begun"
        return Embeddings(prompt, kept[spec.negative_prompt] if spec.is_guided else None)

    def take_cost(self, spec: RunSpec) -> tuple[float, Peak | None]:
        """Hands out the seconds and the peak of what was encoded for a cell; 0 and None where all was kept from before.

        A text that several cells share is told to the first that asks.
        """
        spent = [self._spent.pop(path) for path in self._paths(spec).values() if path in self._spent]
        return sum(seconds for seconds, _ in spent), reduce(or_, (peak for _, peak in spent)) if spent else None

    def _paths(self, spec: RunSpec) -> dict[str, Path]:
        """Says where the embedding of each text of a cell is kept."""
        texts = [spec.prompt, *([spec.negative_prompt] if spec.is_guided else [])]
        return {text: self._cache.folder / f"{_identity(spec, text)}.safetensors" for text in texts}

    def _read(self, spec: RunSpec, path: Path) -> torch.Tensor | None:
        """Reads a kept embedding of a cell; None where there is none that is whole."""
        try:
            kept = load(path.read_bytes())
            embeddings: torch.Tensor = kept["embeddings"]
            digest = kept["sha256"]
        except (OSError, SafetensorError, KeyError, ValueError):
            return None
        if not torch.equal(digest, _digest(embeddings)) or not _is_of(spec, embeddings):
            return None
        self._cache.mark_used(path)
        return embeddings


def _embed(pipe: CogVideoXPipeline, card: ModelCard, text: str, length: int) -> torch.Tensor:
    """Encodes a text. Raises CogxError where the folder's tokenizer and text encoder do not fit each other."""
    try:
        embeddings: torch.Tensor = pipe.encode_prompt(
            text, do_classifier_free_guidance=False, max_sequence_length=length, device=pipe._execution_device
        )[0]
    except (torch.OutOfMemoryError, MemoryError):
        raise
    except Exception as error:
        message = f"{card.source}: its tokenizer and text encoder cannot encode a text: {first_line(error)}"
        raise CogxError(f"{message}; copy or download them again") from error
    return embeddings


def _identity(spec: RunSpec, text: str) -> str:
    """Hashes all that the bits of an embedding depend on."""
    identity = {
        "model_revision": spec.model_revision,
        "text": text,
        "max_sequence_length": spec.max_sequence_length,
        "dtype": spec.dtype,
        "device": device_name(spec.device),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:32]


def _is_of(spec: RunSpec, embeddings: torch.Tensor) -> bool:
    """Checks the form of an embedding, which its digest leaves out."""
    return embeddings.dtype == DTYPES[spec.dtype] and embeddings.shape[:2] == (1, spec.max_sequence_length)


def _digest(embeddings: torch.Tensor) -> torch.Tensor:
    """Takes the SHA-256 of the values: a file whose header is whole can still hold wrong ones."""
    content = embeddings.contiguous().view(torch.uint8).numpy().tobytes()
    return torch.tensor(list(hashlib.sha256(content).digest()), dtype=torch.uint8)


def _write(path: Path, embeddings: torch.Tensor) -> None:
    """Writes a file whole or not at all, so that a process that dies on the way leaves no half of a file.

    Raises CogxError where the folder cannot be written.
    """
    try:
        path.parent.mkdir(exist_ok=True)
        with written_whole(path) as part:
            save_file({"embeddings": embeddings.contiguous(), "sha256": _digest(embeddings)}, part)
    except (OSError, SafetensorError) as error:
        raise CogxError(f"{path.parent}: cannot be written ({error}); {ANOTHER_CACHE}") from error

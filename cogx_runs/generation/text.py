"""Embeddings of prompts: each text encoded once for a model, and kept on disk."""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import or_
from pathlib import Path

import torch
import transformers
from safetensors import SafetensorError
from safetensors.torch import load, save_file

from cogx_runs.definitions.spec import RunSpec
from cogx_runs.errors import CogxError
from cogx_runs.generation.measure import Peak, PeakMemory, free_memory, timed
from cogx_runs.generation.pipeline import load_text_encoder
from cogx_runs.models.cards import ModelCard
from cogx_runs.models.memory import Budget, TextPlacement, choose_text_placement
from cogx_runs.system.disk import ANOTHER_CACHE, cache_directory
from cogx_runs.system.hardware import device_name

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

    def __init__(self, report: Callable[[str], None]) -> None:
        """`report` is told what is being done."""
        self._report = report
        self.max_vram_gib: float | None = None
        """What may be taken of the GPU; None for all of it."""
        self._spent: dict[Path, tuple[float, Peak]] = {}

    def encode_missing(self, card: ModelCard, specs: Iterable[RunSpec]) -> None:
        """Encode and keep every text of these cells of one model that is not kept yet.

        Raises CogxError as `load_text_encoder` does.
        """
        specs = list(specs)
        missing = {path: text for spec in specs for text, path in _texts(spec).items() if _read(path) is None}
        if not missing:
            return
        spec = specs[0]
        placement = choose_text_placement(card, spec.dtype, Budget.here(spec.device, self.max_vram_gib))
        try:
            self._encode(card, spec, missing, placement)
            return
        except torch.OutOfMemoryError as error:
            if placement == "sequential":
                raise CogxError(TOO_LARGE.format(spec.model)) from error
            self._report("the text encoder is out of the GPU's memory; now layer by layer")
        free_memory()  # outside the handler, which holds on to what was allocated
        try:
            self._encode(card, spec, missing, "sequential")
        except torch.OutOfMemoryError as error:
            raise CogxError(TOO_LARGE.format(spec.model)) from error

    def _encode(self, card: ModelCard, spec: RunSpec, missing: Mapping[Path, str], placement: TextPlacement) -> None:
        self._report(f"loading the text encoder of {spec.model}")
        pipe = load_text_encoder(card, spec.dtype, spec.device, placement)
        self._report(f"encoding {len(missing)} text{'s' * (len(missing) > 1)}")
        for path, text in missing.items():
            with PeakMemory(spec.device) as memory, torch.no_grad(), timed(spec.device) as seconds:
                embeddings, _ = pipe.encode_prompt(
                    text,
                    do_classifier_free_guidance=False,
                    max_sequence_length=spec.max_sequence_length,
                    device=pipe._execution_device,
                )
            _write(path, embeddings.cpu())
            self._spent[path] = (seconds.value, memory.peak)
        pipe.remove_all_hooks()
        del pipe, embeddings
        free_memory()

    def has(self, spec: RunSpec) -> bool:
        """Whether all texts of a cell are kept."""
        return all(_read(path) is not None for path in _texts(spec).values())

    def of(self, spec: RunSpec) -> Embeddings:
        """The kept embeddings of a cell, which have been encoded before."""
        kept = {text: _read(path) for text, path in _texts(spec).items()}
        prompt = kept[spec.prompt]
        assert prompt is not None, "the texts are encoded before a cell is begun"
        return Embeddings(prompt, kept[spec.negative_prompt] if spec.is_guided else None)

    def take_cost(self, spec: RunSpec) -> tuple[float, Peak | None]:
        """Seconds and peak of what was encoded for a cell; 0 and None where all was kept from before.

        A text that several cells share is told to the first that asks.
        """
        spent = [self._spent.pop(path) for path in _texts(spec).values() if path in self._spent]
        return sum(seconds for seconds, _ in spent), reduce(or_, (peak for _, peak in spent)) if spent else None


def _texts(spec: RunSpec) -> dict[str, Path]:
    """The texts that a cell is made from, and where their embeddings are kept."""
    texts = [spec.prompt, *([spec.negative_prompt] if spec.is_guided else [])]
    return {text: _path(spec, text) for text in texts}


def _path(spec: RunSpec, text: str) -> Path:
    """Named by all that the bits of an embedding depend on."""
    identity = {
        "model_revision": spec.model_revision,
        "text": text,
        "max_sequence_length": spec.max_sequence_length,
        "dtype": spec.dtype,
        "device": device_name(spec.device),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:32]
    return cache_directory() / "embeddings" / f"{digest}.safetensors"


def _read(path: Path) -> torch.Tensor | None:
    """A kept embedding; None where there is none that is whole."""
    try:
        kept = load(path.read_bytes())
        embeddings, digest = kept["embeddings"], kept["sha256"]
    except (OSError, SafetensorError, KeyError):
        return None
    return embeddings if torch.equal(digest, _digest(embeddings)) else None


def _digest(embeddings: torch.Tensor) -> torch.Tensor:
    """SHA-256 of the values: a file whose header is whole can still hold wrong ones."""
    content = embeddings.contiguous().view(torch.uint8).numpy().tobytes()
    return torch.tensor(list(hashlib.sha256(content).digest()), dtype=torch.uint8)


def _write(path: Path, embeddings: torch.Tensor) -> None:
    """Whole or not at all, so that a process that dies on the way leaves no half of a file.

    Raises CogxError where the folder cannot be written.
    """
    try:
        path.parent.mkdir(exist_ok=True)
        handle, part = tempfile.mkstemp(dir=path.parent, suffix=".part")
        os.close(handle)
        save_file({"embeddings": embeddings.contiguous(), "sha256": _digest(embeddings)}, part)
        Path(part).replace(path)
    except (OSError, SafetensorError) as error:
        raise CogxError(f"{path.parent}: cannot be written ({error}); {ANOTHER_CACHE}") from error

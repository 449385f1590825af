"""GPUs by name: what NVIDIA's data sheets say of their speed and memory."""

import re
from dataclasses import dataclass, replace
from functools import lru_cache

from cogx_runs.errors import CogxError, did_you_mean
from cogx_runs.formatting import shortened
from cogx_runs.system.hardware import GIB, Gpu

USABLE_SHARE = 0.94
"""Share of a card's memory that a process can have: the driver, error correction and a display take the rest."""


@dataclass(frozen=True)
class KnownGpu:
    """The figures of a data sheet on which speed and memory depend."""

    name: str
    memory_gib: float
    tflops: float
    """Dense 16-bit matrix products a second, accumulated in float32, as PyTorch does them."""
    bandwidth_gb_s: float
    """Between the GPU and its own memory."""
    link_gb_s: float
    """From pinned host memory, at three quarters of what the PCIe link has one way."""
    compute_capability: tuple[int, int]

    def as_gpu(self) -> Gpu:
        """Makes the GPU that a plan for this card assumes, with nothing else on it."""
        usable = int(self.memory_gib * USABLE_SHARE * GIB)
        return Gpu(uuid="", name=self.name, driver="", total_bytes=usable, compute_capability=self.compute_capability)


_PCIE_3, _PCIE_4, _PCIE_5 = 12.0, 24.0, 48.0
KNOWN = tuple(
    KnownGpu(*row)
    for row in (
        ("T4", 16, 65, 320, _PCIE_3, (7, 5)),
        ("V100", 16, 125, 900, _PCIE_3, (7, 0)),
        ("RTX 2080 Ti", 11, 53.8, 616, _PCIE_3, (7, 5)),
        ("RTX 3060", 12, 25.5, 360, _PCIE_4, (8, 6)),
        ("RTX 3060 Ti", 8, 32.4, 448, _PCIE_4, (8, 6)),
        ("RTX 3070", 8, 40.6, 448, _PCIE_4, (8, 6)),
        ("RTX 3080", 10, 59.5, 760, _PCIE_4, (8, 6)),
        ("RTX 3090", 24, 71, 936, _PCIE_4, (8, 6)),
        ("RTX 4060", 8, 30.2, 272, _PCIE_4 / 2, (8, 9)),
        ("RTX 4060 Ti", 16, 44.1, 288, _PCIE_4 / 2, (8, 9)),
        ("RTX 4070", 12, 58.3, 504, _PCIE_4, (8, 9)),
        ("RTX 4070 Ti", 12, 80.2, 504, _PCIE_4, (8, 9)),
        ("RTX 4080", 16, 97.5, 717, _PCIE_4, (8, 9)),
        ("RTX 4090", 24, 165.2, 1008, _PCIE_4, (8, 9)),
        ("RTX 5090", 32, 209.5, 1792, _PCIE_5, (12, 0)),
        ("RTX A6000", 48, 154.8, 768, _PCIE_4, (8, 6)),
        ("L4", 24, 121, 300, _PCIE_4, (8, 9)),
        ("L40S", 48, 362, 864, _PCIE_4, (8, 9)),
        ("A10", 24, 125, 600, _PCIE_4, (8, 6)),
        ("A10G", 24, 70, 600, _PCIE_4, (8, 6)),
        ("A100", 80, 312, 2039, _PCIE_4, (8, 0)),
        ("H100 PCIe", 80, 756, 2000, _PCIE_5, (9, 0)),
        ("H100", 80, 989, 3350, _PCIE_5, (9, 0)),
        ("H200", 141, 989, 4800, _PCIE_5, (9, 0)),
    )
)
"""Slower cards first within one memory size."""

_SIZE = re.compile(r"(\d{1,4})\s*(gi?b)?", re.IGNORECASE)
_MAKERS = {"nvidia", "geforce", "tesla", "quadro"}
_OTHER_CARDS = {"ti", "super", "laptop", "max", "mobile", "ada", "d", "nvl"}
"""Words after a name that make it another card."""


@lru_cache(256)
def find_gpu(name: str) -> KnownGpu | None:
    """Finds a card by its product's name, as NVIDIA's library or a user writes it; None for one without figures,
    and for a slice of one.

    A memory size behind the name replaces the card's: `A100 40GB`.
    """
    words = _words(name)
    if "mig" in words:
        return None
    for card in sorted(KNOWN, key=lambda card: -len(_words(card.name))):
        own = _words(card.name)
        for given in (words, ["rtx", *words]):
            rest = given[len(own) :]
            if given[: len(own)] == own and not _OTHER_CARDS & set(rest[:1]):
                sizes = [int(word[:-2]) for word in rest if re.fullmatch(r"\d{1,3}gb", word)]
                return replace(card, memory_gib=sizes[0]) if sizes else card
    return None


def cards_of_size(asked: str) -> list[KnownGpu]:
    """Lists the cards with a memory size such as `12GB`, the slowest first; none for what is no size."""
    size = _SIZE.fullmatch(asked.strip())
    found = [card for card in KNOWN if size and card.memory_gib == int(size[1])]
    return sorted(found, key=lambda card: card.tflops)


def gpu_for_plan(asked: str) -> KnownGpu:
    """Finds the card that a user asks a plan for: by a name such as `RTX 3060`, or by a memory size such as `12GB`, for
    which it is the slowest of that size. Raises CogxError for any other."""
    found = next(iter(cards_of_size(asked)), None) or find_gpu(asked)
    if found is not None:
        return found
    if _SIZE.fullmatch(asked.strip()):
        sizes = ", ".join(str(size) for size in sorted({round(card.memory_gib) for card in KNOWN}))
        raise CogxError(f"--gpu {asked}: no card of that size is known; known are {sizes} GB")
    raise CogxError(f"--gpu {shortened(asked)}: is not known; {did_you_mean(asked, [card.name for card in KNOWN])}")


def device_key(name: str) -> str:
    """Names a device as timings are kept for it: the card's own name where it is known, else the name given."""
    found = find_gpu(name)
    return name if found is None else found.name


def _words(name: str) -> list[str]:
    spaced = re.sub(r"(?i)\b([rg]tx)(?=\d)", r"\1 ", name)
    joined = re.sub(r"(?i)(\d)\s+gi?b\b", r"\1gb", spaced)
    return [word for word in re.split(r"[^a-z0-9]+", joined.lower()) if word and word not in _MAKERS]

"""What approximate ways of making a video save and cost, each cell against the exact one of its prompt and seed."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

from cogx_runs.analysis.cells import others
from cogx_runs.definitions.spec import EXACT_VALUES
from cogx_runs.formatting import write_value
from cogx_runs.metrics.measured import CACHE_SKIPPED
from cogx_runs.metrics.registry import EXACT
from cogx_runs.tracking.run import TrackedRun

PSNR, SSIM = f"psnr.{EXACT}", f"ssim.{EXACT}"
_TIMES = ("denoise_s", "decode_s")


@dataclass(frozen=True, kw_only=True)
class TradeOff:
    """One approximate way against the exact one: means over prompts, each of them the mean of its pairs."""

    values: Mapping[str, Any]
    """The approximate parameters that are not at their exact values."""
    prompts: int
    pairs: int
    psnr: float
    """In dB."""
    lowest_psnr: float
    """Of a single pair, in dB."""
    ssim: float
    time_share: float | None
    """Denoising and decoding, as a share of the exact cell's, geometric mean; None where no pair shares a device."""
    was_alone: bool
    """Whether all times were taken with nothing beside them."""
    skipped: float | None
    """Share of the evaluations that a cache skipped; None without one."""

    @property
    def label(self) -> str:
        """Names the values: `cache pab:2, decoder fused`; of a single parameter among others its value would do."""
        return ", ".join(f"{name} {write_value(value)}" for name, value in self.values.items())


@dataclass(frozen=True)
class _Pair:
    cell: TrackedRun
    exact: TrackedRun

    @property
    def time_share(self) -> float | None:
        """The cell's time over the exact one's, where both were measured on one device."""
        if self.cell.device_name != self.exact.device_name:
            return None
        times = [[one.metrics.get(name) for name in _TIMES] for one in (self.cell, self.exact)]
        spent, before = (sum(filter(None, found)) if None not in found else 0.0 for found in times)
        return spent / before if spent and before else None

    @property
    def was_alone(self) -> bool:
        return self.cell.beside is None and self.exact.beside is None


def trade_offs(cells: Sequence[TrackedRun]) -> list[TradeOff]:
    """Compares the finished approximate cells with their exact ones, by PSNR and SSIM of the frames and by time; an
    entry for each combination of approximate values, in the order in which they began.

    Cells that have no exact one beside them, or have not been compared with it, are left out. Times of pairs that were
    taken alone go before others.
    """
    finished = [cell for cell in cells if cell.state.is_finished]
    exact = {others(cell, EXACT_VALUES): cell for cell in finished if not _approximate(cell)}
    found: dict[tuple[tuple[str, Any], ...], list[_Pair]] = {}
    for cell in finished:
        partner = exact.get(others(cell, EXACT_VALUES))
        if partner is not None and _approximate(cell) and {PSNR, SSIM} <= cell.metrics.keys():
            found.setdefault(tuple(_approximate(cell).items()), []).append(_Pair(cell, partner))
    return [_summarized(dict(values), pairs) for values, pairs in found.items()]


def _summarized(values: Mapping[str, Any], pairs: Sequence[_Pair]) -> TradeOff:
    was_alone = any(pair.was_alone for pair in pairs)
    timed = [pair for pair in pairs if pair.was_alone or not was_alone]
    shares = [(pair, share) for pair in timed if (share := pair.time_share) is not None]
    skipped = [
        (pair, pair.cell.metrics[CACHE_SKIPPED.name]) for pair in pairs if CACHE_SKIPPED.name in pair.cell.metrics
    ]
    return TradeOff(
        values=values,
        prompts=len({pair.cell.prompt_name for pair in pairs}),
        pairs=len(pairs),
        psnr=_mean((pair, pair.cell.metrics[PSNR]) for pair in pairs),
        lowest_psnr=min(pair.cell.metrics[PSNR] for pair in pairs),
        ssim=_mean((pair, pair.cell.metrics[SSIM]) for pair in pairs),
        time_share=math.exp(_mean((pair, math.log(share)) for pair, share in shares)) if shares else None,
        was_alone=was_alone,
        skipped=_mean(skipped) if skipped else None,
    )


def _mean(values: Iterable[tuple[_Pair, float]]) -> float:
    """Averages within prompts, then over them."""
    by_prompt: dict[str, list[float]] = {}
    for pair, value in values:
        by_prompt.setdefault(pair.cell.prompt_name, []).append(value)
    return mean(map(mean, by_prompt.values()))


def _approximate(cell: TrackedRun) -> dict[str, Any]:
    """Returns the approximate parameters of a run that are not at their exact values."""
    known = {name: cell.config.get(name, exact) for name, exact in EXACT_VALUES.items()}
    return {name: value for name, value in known.items() if value != EXACT_VALUES[name]}

"""The arithmetic and the table of `bench.py`: what was recorded of the old loop and of `cogx-runs sweep`, compared."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median, median_low
from typing import TypeVar

from benchmarks.bench_records import Cell, NewRun, NewSweep, OldVideo

PEAK_TFLOP_S = 800.0
"""Of an H100 in float16, by which the floor of a step is told."""
PHASES = {"encode_text_s": "encode text", "denoise_s": "denoise", "decode_s": "decode"}
"""The phases on the device, one after the other in both."""
Timed = TypeVar("Timed", OldVideo, NewSweep)


@dataclass(frozen=True)
class OldLoop:
    """A video for each cell that was asked for, in order, as far as they are measured or can be estimated."""

    videos: tuple[OldVideo | None, ...]
    estimated: tuple[Cell, ...]
    missing: tuple[Cell, ...]

    @property
    def wall_s(self) -> float | None:
        return None if self.missing else sum(video.wall_s for video in self.known)

    @property
    def known(self) -> list[OldVideo]:
        return [video for video in self.videos if video is not None]

    @property
    def idle_share(self) -> float | None:
        """Of the time from the first video's first device work to the last one's last, the share between videos."""
        if self.missing or len(self.known) < 2:
            return None
        gaps = sum(one.after_s + following.before_s for one, following in pairwise(self.known))
        busy: float = sum(getattr(video, phase) for video in self.known for phase in PHASES)
        return gaps / (gaps + busy)


def old_loop(cells: Sequence[Cell], measured: Mapping[int, Sequence[OldVideo]]) -> OldLoop:
    """The old loop over `cells`, of which `measured` holds each one's videos, a round each, by the cell's index.

    A cell without any is estimated by a video of the same frames and guidance on or off, where there is one, its
    denoising scaled by the steps.
    """
    videos: list[OldVideo | None] = []
    estimated, missing = [], []
    for index, cell in enumerate(cells):
        like = [
            scaled(video, cell.num_inference_steps / cells[other].num_inference_steps)
            for other, found in measured.items()
            if cells[other].step == cell.step
            for video in found
        ]
        chosen = _middle(measured.get(index, ()) or like)
        videos.append(chosen)
        if chosen is None:
            missing.append(cell)
        elif not measured.get(index):
            estimated.append(cell)
    return OldLoop(tuple(videos), tuple(estimated), tuple(missing))


def scaled(video: OldVideo, steps: float) -> OldVideo:
    """The video with so many times its steps."""
    denoise_s = video.denoise_s * steps
    return replace(video, denoise_s=denoise_s, wall_s=video.wall_s - video.denoise_s + denoise_s)


def new_idle_share(sweep: NewSweep) -> float | None:
    """Of the time from the first run's first device work to the last one's last, the share between runs; None where
    the runs do not tell."""
    gaps = [run.metrics["idle_before_s"] for run in sweep.made if "idle_before_s" in run.metrics]
    if not gaps:
        return None
    return sum(gaps) / (sum(gaps) + sum(run.metrics[phase] for run in sweep.made for phase in PHASES))


def equal_latents(new: Sequence[NewSweep], measured: Mapping[int, Sequence[OldVideo]]) -> dict[str, bool]:
    """For each cell's key that both have made: whether all latents of it are the same to the bit."""
    by_new = _hashes(run for sweep in new for run in sweep.runs)
    by_old = _hashes(video for videos in measured.values() for video in videos)
    return {key: len(by_new[key] | by_old[key]) == 1 for key in by_new if key in by_old}


def _hashes(made: Iterable[NewRun | OldVideo]) -> dict[str, set[str]]:
    """The hashes of the latents that were made of each cell."""
    found: dict[str, set[str]] = {}
    for one in made:
        found.setdefault(one.key, set()).add(one.latents_sha256)
    return found


def achieved_tflop_s(cells: Iterable[Cell], denoise_s: Iterable[float]) -> float | None:
    """What was computed while denoising, a second; None for no cells."""
    work = sum(cell.step_tflop * cell.num_inference_steps for cell in cells)
    return work / sum(denoise_s) if work else None


def report(
    cells: Sequence[Cell], measured: Mapping[int, Sequence[OldVideo]], new: Sequence[NewSweep], on_gpu: bool
) -> str:
    """The whole table as text. `measured` is as in `old_loop`; `new` has a sweep a round."""
    old = old_loop(cells, measured)
    middle = _middle(new)
    lines = [*_counts(cells, old, middle), ""]
    lines += _columns(_rows(cells, old, middle))
    lines += ["", *_columns(_step_rows(cells, old, middle, on_gpu))]
    lines += ["", _ratio(old, middle), _equality(equal_latents(new, measured))]
    return "\n".join(lines)


def _counts(cells: Sequence[Cell], old: OldLoop, new: NewSweep | None) -> list[str]:
    """What the totals rest on."""
    measured = len(cells) - len(old.estimated) - len(old.missing)
    lines = [f"old loop: {len(cells)} videos, {measured} measured, {len(old.estimated)} estimated"]
    if old.estimated:
        names = ", ".join(cell.name for cell in old.estimated)
        lines.append(f"  estimated by one with the same frames and guidance on or off, by the number of steps: {names}")
    if old.missing:
        lines.append(f"  not measured and nothing to estimate from: {', '.join(cell.name for cell in old.missing)}")
    if new is None:
        lines.append("cogx-runs: not measured yet")
    else:
        lines.append(f"cogx-runs: {len(new.runs)} videos, {len(new.made)} made, {len(new.runs) - len(new.made)} reused")
    return lines


def _rows(cells: Sequence[Cell], old: OldLoop, new: NewSweep | None) -> list[tuple[str, ...]]:
    made = new.made if new else []
    videos = [] if old.missing else old.known
    rows: list[tuple[str, ...]] = [("", "old loop", "median video", "cogx-runs", "median run")]
    for phase, name in PHASES.items():
        ours = _total_and_median([run.metrics[phase] for run in made])
        rows.append((f"{name}, s", *_total_and_median([getattr(video, phase) for video in videos]), *ours))
    rest = [video.wall_s - sum(getattr(video, phase) for phase in PHASES) for video in videos]
    others = new.wall_s - sum(run.metrics[phase] for run in made for phase in PHASES) if new else None
    rows.append(("all else, s", *_total_and_median(rest), _number(others), ""))
    rows.append(("  imports, s", *_total_and_median([video.import_s for video in videos]), "", ""))
    mp4 = [run.metrics["encode_video_s"] for run in made]
    mp4_of_old = _total_and_median([video.encode_video_s for video in videos])
    rows.append(("  encode mp4, s", *mp4_of_old, *_total_and_median(mp4)))  # cogx-runs may do so beside the next video
    wall = new.wall_s if new else None
    rows.append(("total, s", *_total_and_median([video.wall_s for video in videos]), _number(wall), ""))
    rows.append(("idle between runs", _share(old.idle_share), "", _share(new_idle_share(new) if new else None), ""))
    by_key = {cell.key: cell for cell in cells}
    for_old = achieved_tflop_s([by_key[video.key] for video in old.known], [video.denoise_s for video in old.known])
    for_new = achieved_tflop_s([by_key[run.key] for run in made], [run.metrics["denoise_s"] for run in made])
    rows.append(("denoising, TFLOP/s", _number(for_old), "", _number(for_new), ""))
    for shown, name in (("peak VRAM, GiB", "peak_vram_gib"), ("  reserved, GiB", "peak_vram_reserved_gib")):
        peaks = [value for video in old.known if (value := getattr(video, name)) is not None]
        new_peaks = [run.metrics[name] for run in made if name in run.metrics]
        rows.append((shown, _number(max(peaks, default=None)), "", _number(max(new_peaks, default=None)), ""))
    text_peaks = [run.metrics["peak_vram_text_gib"] for run in made if "peak_vram_text_gib" in run.metrics]
    rows.append(("  encoding text, GiB", "", "", _number(max(text_peaks, default=None)), ""))
    ram = max((video.peak_ram_gib for video in old.known), default=None)
    rows.append(("peak RAM, GiB", _number(ram), "", _number(new.peak_ram_gib if new else None), ""))
    return rows


def _step_rows(cells: Sequence[Cell], old: OldLoop, new: NewSweep | None, on_gpu: bool) -> list[tuple[str, ...]]:
    """Seconds a step of each frame count with guidance on and off, and on a GPU the floor of them."""
    rows: list[tuple[str, ...]] = [
        ("seconds a step", "old loop", "cogx-runs", *([f"at {PEAK_TFLOP_S:.0f} TFLOP/s"] if on_gpu else []))
    ]
    for frames, guided in sorted({(cell.num_frames, cell.guided) for cell in cells}):
        alike = {cell.key: cell for cell in cells if (cell.num_frames, cell.guided) == (frames, guided)}
        olds = [video.denoise_s / alike[video.key].num_inference_steps for video in old.known if video.key in alike]
        news = [run.metrics["step_s"] for run in (new.made if new else []) if run.key in alike]
        tflop = next(iter(alike.values())).step_tflop
        rows.append(
            (
                f"{frames} frames, guidance {'on' if guided else 'off'}: {_number(tflop)} TFLOP",
                _number(median(olds) if olds else None),
                _number(median(news) if news else None),
                *([_number(tflop / PEAK_TFLOP_S)] if on_gpu else []),
            )
        )
    return rows


def _ratio(old: OldLoop, new: NewSweep | None) -> str:
    if old.wall_s is None or new is None:
        return "ratio: not known yet"
    parts = " (in part estimated)" if old.estimated else ""
    return f"ratio: {old.wall_s / new.wall_s:.2f} = {old.wall_s:.1f} s / {new.wall_s:.1f} s{parts}"


def _equality(equal: Mapping[str, bool]) -> str:
    if not equal:
        return "bitwise_equal: not known yet"
    if all(equal.values()):
        return f"bitwise_equal: true ({len(equal)} videos compared)"
    different = ", ".join(key for key, same in equal.items() if not same)
    return f"bitwise_equal: false ({different})"


def _middle(rounds: Sequence[Timed]) -> Timed | None:
    """The one of median wall time; the faster one of two."""
    if not rounds:
        return None
    wall = median_low(one.wall_s for one in rounds)
    return next(one for one in rounds if one.wall_s == wall)


def _total_and_median(values: Sequence[float]) -> tuple[str, str]:
    return (_number(sum(values)), _number(median(values))) if values else ("-", "-")


def _number(value: float | None) -> str:
    """Three digits, or more where there are more before the point."""
    if value is None:
        return "-"
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}" if abs(value) < 1 else f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """The rows aligned: names to the left, numbers to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            text.ljust(width) if column == 0 else text.rjust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]

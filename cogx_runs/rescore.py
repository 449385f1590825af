"""Measure finished runs again, from the latents they kept."""

import json
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

import torch
from safetensors.torch import load_file

from cogx_runs.cells import resolve_clip
from cogx_runs.errors import CogxError, InputError, WeightsUnavailableError
from cogx_runs.generation.generate import decode_latents
from cogx_runs.generation.pipeline import load_vae
from cogx_runs.hardware import choose_device
from cogx_runs.metrics.clip_score import ClipScore
from cogx_runs.metrics.metric import Comparison, Measured, Metric, Subject, finite
from cogx_runs.metrics.registry import COMPARISONS, metrics, versions
from cogx_runs.models import HUB_MODELS, NAMES, ModelCard, resolve_model
from cogx_runs.record import METRICS_FILE, METRICS_TAG, score_tags, write_cards
from cogx_runs.spec import PIXEL_FIELDS, output_hash
from cogx_runs.study import experiments_of
from cogx_runs.sweep import Dtype, Parameters, parameters_of
from cogx_runs.tracking.board import show
from cogx_runs.tracking.store import RunStore
from cogx_runs.tracking.stored import LATENTS
from cogx_runs.tracking.view import Only
from cogx_runs.video import Frames

if TYPE_CHECKING:
    from diffusers import AutoencoderKLCogVideoX

_OTHER_SHAPES = frozenset({"num_frames", "height", "width"})
"""Videos that differ in these are not compared frame by frame."""


@dataclass(frozen=True)
class Rescored:
    """One run's new value."""

    run_id: str
    run_name: str
    metric: str
    value: float


@dataclass(frozen=True)
class _Run:
    """A finished run."""

    run_id: str
    name: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]

    @property
    def signature(self) -> str:
        return self.tags["cogx.signature"]

    @property
    def output_hash(self) -> str:
        """What it would be by the present definitions of all metrics."""
        fps, quality = int(self.params["fps"]), float(self.params["video_quality"])
        return output_hash(self.signature, fps, quality, self.params["clip_model"], versions())

    @property
    def identities(self) -> dict[str, str]:
        """Of the metrics that it has, or that it can have no value of."""
        found: dict[str, str] = json.loads(self.tags.get(METRICS_TAG, "{}"))
        return found

    def settings(self, changed: Mapping[str, Any] = MappingProxyType({})) -> tuple[str, ...]:
        """All that its pixels depend on, with some parameters changed."""
        own = {name: self.params.get(name, "") for name in PIXEL_FIELDS} | {"prompt": self.tags.get("cogx.prompt", "")}
        return tuple(str(changed.get(name, value)) for name, value in own.items())


@dataclass(frozen=True)
class _Wanted:
    """A value that a run should have."""

    name: str
    identity: str
    check: Callable[[], None]
    """Raises WeightsUnavailableError where it cannot be measured here, for any run whose value has this identity."""
    measure: "Callable[[_Decoder], Measured | None]"
    """None for a video that can have no value."""
    is_extra: bool = False
    """Whether nobody expects it here, as a comparison that needs an optional package."""


def rescore_runs(
    sweep: str,
    *,
    clip_model: str | None = None,
    reference: Mapping[str, Any] | None = None,
    device: str = "auto",
    tracking_uri: str | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> list[Rescored]:
    """Give the finished runs of a sweep the metrics that they lack; nothing is denoised.

    Without `clip_model` those are all metrics of single videos, by the CLIP that each run names. With it they are the
    score of that CLIP, a metric of its own such as `clip_score.ViT-L-14:openai`. With `reference`, values of parameters
    such as `{"num_inference_steps": 50}`, each run is also compared with the one that has them and shares all else, its
    seed too: metrics of their own, such as `psnr.num_inference_steps_50`. The frames come from the kept latents,
    decoded on `device` as the run decoded them; what a GPU decoded in half precision is decoded in float32 on a CPU,
    and the tag `cogx.<metric>.decoded_as` says so.

    Raises CogxError where what is lacking cannot be measured, where the VAE cannot be had, or where the model folder
    has changed since, and where no run is the reference of another; InputError for a reference that is none.
    """
    changed = _parameters(reference or {})
    named = resolve_clip(clip_model) if clip_model else None
    store = RunStore(tracking_uri)
    decoder = _Decoder(device, store)
    names = experiments_of(sweep, store)
    runs = [
        _Run(run.info.run_id, run.info.run_name, run.data.params, run.data.metrics, run.data.tags)
        for run in store.runs(names, finished_only=True)
    ]
    by_settings = {run.settings(): run for run in runs}
    if changed and not any(run.settings(changed) in by_settings for run in runs):
        given = ", ".join(f"{name}={value}" for name, value in changed.items())
        raise CogxError(f"--reference {given}: {sweep} has no finished run with it to compare with")
    problems: dict[str, WeightsUnavailableError | None] = {}
    why_not: list[WeightsUnavailableError] = []
    known: dict[tuple[str, str, str], Measured | None] = {}
    rescored = []
    # Those of one reference side by side, so that it is decoded once.
    for run in sorted(runs, key=lambda run: run.settings(changed)):
        found: dict[str, tuple[_Wanted, Measured | None]] = {}
        for wanted in _wanted(run, named, changed, by_settings.get(run.settings(changed))):
            if run.identities.get(wanted.name) == wanted.identity:
                continue
            problem = f"{wanted.name} {wanted.identity}"
            if problem not in problems:
                why = problems[problem] = _problem(wanted)
                if why is not None:
                    report(f"no {wanted.name}: {why}")
                    why_not += [] if wanted.is_extra else [why]
            if problems[problem] is not None:
                continue
            key = (run.signature, wanted.name, wanted.identity)
            if key not in known:
                report(f"{run.name}: {wanted.name}")
                known[key] = finite(wanted.measure(decoder))
            found[wanted.name] = wanted, known[key]
        if found or run.output_hash != run.tags["cogx.output_hash"]:
            _amend(store, run, found, f"{decoder.dtype(run.params)} on {decoder.device}")
        rescored += [
            Rescored(run.run_id, run.name, name, score.value) for name, (_, score) in found.items() if score is not None
        ]
    if why_not and not rescored:
        raise why_not[0]
    for name in names if rescored else ():
        show(store, name, Only())
    return rescored


def other_score(clip_model: str) -> str:
    """The metric of a CLIP that is not the run's own; a folder goes by its name."""
    name = Path(clip_model).name if Path(clip_model).is_absolute() else clip_model
    return f"clip_score.{re.sub(r'[^A-Za-z0-9_.: -]', '_', name)}"


def _problem(wanted: _Wanted) -> WeightsUnavailableError | None:
    """Why it cannot be measured here."""
    try:
        wanted.check()
    except WeightsUnavailableError as error:
        return error
    return None


def _against_name(comparison: Comparison, reference: Mapping[str, Any]) -> str:
    """`psnr.num_inference_steps_50`: a metric of its own for each reference."""
    values = "_".join(f"{name}_{value}" for name, value in reference.items())
    return f"{comparison.card.name}.{re.sub(r'[^A-Za-z0-9_.-]', '_', values)}"


def _parameters(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a reference in their parameters' types. Raises InputError where they are none."""
    parameters = parameters_of(values)
    for name in values:
        if name not in PIXEL_FIELDS or name in _OTHER_SHAPES:
            valid = ", ".join(sorted(set(PIXEL_FIELDS) & set(Parameters.model_fields) - _OTHER_SHAPES))
            raise InputError.single(f"--reference {name}", f"videos are not compared across it; valid: {valid}")
    return {name: getattr(parameters, name) for name in values}


def _wanted(run: _Run, clip_model: str | None, changed: Mapping[str, Any], reference: _Run | None) -> Iterator[_Wanted]:
    """What a run should have: another CLIP's score, or all metrics of its own; and the comparisons with a reference."""
    own = run.params["clip_model"]
    if clip_model is None or clip_model == own:
        yield from (_of_video(run, metric, metric.card.name, own) for metric in metrics())
    else:
        yield _of_video(run, ClipScore(), other_score(clip_model), clip_model)
    if changed and reference is not None and reference.signature != run.signature:
        yield from (_against(run, reference, comparison, changed) for comparison in COMPARISONS)


def _of_video(run: _Run, metric: Metric, name: str, clip_model: str) -> _Wanted:
    return _Wanted(
        name,
        metric.card.identity(clip_model),
        lambda: metric.check(clip_model),
        lambda decoder: metric.measure(decoder.subject(run, clip_model)),
    )


def _against(run: _Run, reference: _Run, comparison: Comparison, changed: Mapping[str, Any]) -> _Wanted:
    return _Wanted(
        _against_name(comparison, changed),
        comparison.card.identity(""),
        comparison.check,
        lambda decoder: comparison.compare(decoder.frames(run), decoder.frames(reference)),
        is_extra=True,
    )


def _amend(store: RunStore, run: _Run, found: Mapping[str, tuple[_Wanted, Measured | None]], decoded_as: str) -> None:
    """Add values to a run, with what they mean. Where it then has all metrics by their present definitions, it is the
    finished run of the cell that a plan would name now."""
    measured = {name: score for name, (_, score) in found.items() if score is not None}
    meant = {name: wanted.identity for name, (wanted, _) in found.items()}
    tags = score_tags(measured) | {f"cogx.{name}.decoded_as": decoded_as for name in measured}
    identities = run.identities | meant
    tags[METRICS_TAG] = json.dumps(identities)
    if all(identities.get(metric.card.name) == metric.card.identity(run.params["clip_model"]) for metric in metrics()):
        tags["cogx.output_hash"] = run.output_hash
    with tempfile.TemporaryDirectory(prefix="cogx-runs-") as folder:
        file = Path(folder) / METRICS_FILE
        with suppress(CogxError):  # a run from before there were cards has none
            store.download(run.run_id, METRICS_FILE, Path(folder))
        write_cards(file.parent, meant, measured)
        store.amend(
            run.run_id,
            {name: score.value for name, score in measured.items()},
            tags,
            remove=[f"cogx.{name}.missing" for name in found],
            series={f"by_frame.{name}": score.by_frame for name, score in measured.items() if score.by_frame},
            artifact=file,
        )


class _Decoder:
    """Decodes the latents of runs, each with its own model's VAE, loaded once; keeps the last two videos."""

    def __init__(self, device: str, store: RunStore) -> None:
        self.device = choose_device(device)
        self._store = store
        self._vaes: dict[tuple[str, str], AutoencoderKLCogVideoX] = {}
        self._kept: dict[str, Frames] = {}
        self._subject: tuple[tuple[str, str], Subject] | None = None

    def dtype(self, params: Mapping[str, str]) -> Dtype:
        """The precision in which a run's latents are decoded here."""
        return cast(Dtype, params["dtype"]) if self.device == "cuda" else "float32"

    def subject(self, run: _Run, clip_model: str) -> Subject:
        """A run's video as it is measured, kept for the next metric of it."""
        key = (run.signature, clip_model)
        if self._subject is None or self._subject[0] != key:
            with tempfile.TemporaryDirectory(prefix="cogx-runs-") as folder:
                file = self._store.download(run.run_id, "prompt.txt", Path(folder))
                prompt = file.read_text(encoding="utf-8").strip()
            self._subject = key, Subject(self.frames(run), prompt, clip_model)
        return self._subject[1]

    def frames(self, run: _Run) -> Frames:
        if run.signature not in self._kept:
            with tempfile.TemporaryDirectory(prefix="cogx-runs-") as folder:
                latents = load_file(self._store.download(run.run_id, LATENTS, Path(folder)))["latents"]
            self._kept = {**dict(list(self._kept.items())[-1:]), run.signature: self._decode(latents, run.params)}
        return self._kept[run.signature]

    def _decode(self, latents: torch.Tensor, params: Mapping[str, str]) -> Frames:
        key = (params["model_source"], self.dtype(params))
        if key not in self._vaes:
            self._vaes[key] = load_vae(_card(params), self.dtype(params), self.device)
        tiling, slicing = (params[name] == "True" for name in ("vae_tiling", "vae_slicing"))
        return decode_latents(self._vaes[key], latents, self.device, tiling=tiling, slicing=slicing)


def _card(params: Mapping[str, str]) -> ModelCard:
    """The card of a run's model as it was. Raises CogxError where the folder is gone or has changed."""
    name = params["model"] if params["model"] in NAMES else params["model_source"]
    card = resolve_model(name, params["model_revision"] if name in HUB_MODELS else None)
    if card.revision != params["model_revision"]:
        raise CogxError(
            f"{card.source}: has changed since the run was made ({params['model_revision']}, now {card.revision}); "
            "its latents would decode to other frames"
        )
    return card

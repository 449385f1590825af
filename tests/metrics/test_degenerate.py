"""Degenerate output: the rule on constructed frames and latents, runs ended early by it, and where it is shown."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner
from diffusers import AutoencoderKLCogVideoX, CogVideoXPipeline

from cogx_runs import load_runs, making, plan_sweeps
from cogx_runs.cli import cli
from cogx_runs.errors import DegenerateError
from cogx_runs.generation.generate import Denoised, OnClean, denoise
from cogx_runs.generation.text import TextEncoding
from cogx_runs.metrics.degenerate import (
    FLAT_FRAMES,
    FLAT_LATENTS,
    FROZEN_FRAMES,
    NOISE_FRAMES,
    NOISE_FRAMES_LATER,
    NOISE_LATENTS,
    NOISE_LATENTS_LATER,
    FrameMeasures,
    LatentMeasures,
    checked_steps,
    judge_frames,
    judge_latents,
    measure_frames,
    measure_latents,
    refuse_degenerate,
)
from cogx_runs.metrics.subject import frame_changes
from cogx_runs.models import resolve_model
from cogx_runs.outcomes import Outcome, SilentReporter
from cogx_runs.plan import Plan
from cogx_runs.record import failure_tags
from cogx_runs.report.folder import write_report
from cogx_runs.runner import Runner
from cogx_runs.spec import RunSpec
from cogx_runs.sweep import Scheduler
from cogx_runs.tracking.store import RunStore
from cogx_runs.video import Frames
from cogx_runs.workbench import Workbench
from tests.support.pipelines import load, make_spec

GOOD_FRAMES = FrameMeasures(spread=50, across=0.6, later=0.9, change=0.05)
GOOD_LATENTS = LatentMeasures(spread=0.5, across=0.6, later=0.9)


def waves(frames: int = 17, height: int = 64, speed: float = 0.02, contrast: float = 100) -> Frames:
    """A smooth picture that moves by `speed` of its height a frame."""
    y, x, t = np.mgrid[:height, : height * 3 // 2, :frames]
    field = np.sin(4 * x / height + y / height) * np.cos(5 * (y / height + speed * t))
    grey = (127 + contrast * field).astype(np.uint8).transpose(2, 0, 1)
    return np.repeat(grey[..., None], 3, axis=-1)


def noise(shape: tuple[int, ...] = (17, 64, 96, 3)) -> Frames:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def smooth_latents(noisy: float = 0) -> torch.Tensor:
    """Latents (t x c x h x w) of a smooth field, of which a part is noise."""
    y, x = torch.meshgrid(torch.arange(16.0), torch.arange(24.0), indexing="ij")
    field = torch.sin(x / 4)[None, None] * torch.cos(y / 5) * torch.linspace(0.5, 1, 4)[:, None, None]
    field = field.expand(5, 4, 16, 24) / field.std()
    drawn = torch.randn(5, 4, 16, 24, generator=torch.Generator().manual_seed(0))
    return (1 - noisy**2) ** 0.5 * field + noisy * drawn


def measures_of(frames: Frames) -> FrameMeasures:
    return measure_frames(frames, frame_changes(frames))


@pytest.mark.parametrize(
    ("frames", "kind"),
    [
        (waves(), None),
        (waves(height=240, frames=5), None),
        (waves(speed=0.2), None),
        (np.zeros((9, 64, 96, 3), np.uint8), "flat"),
        (np.full((9, 64, 96, 3), (200, 30, 30), np.uint8), "flat"),
        (waves(contrast=4), "flat"),
        (noise(), "noise"),
        (noise((1, 64, 96, 3)), "noise"),
        (np.kron(noise((9, 30, 45, 3)), np.ones((1, 8, 8, 1), np.uint8)), "noise"),
        (np.repeat(waves()[:1], 17, axis=0), "frozen"),
        (np.concatenate([waves()[:7], np.repeat(waves()[7:8], 10, axis=0)]), "frozen"),
        (np.concatenate([waves()[:10], np.repeat(waves()[10:11], 7, axis=0)]), None),
        (waves(frames=1), None),
        (np.repeat(noise((1, 64, 96, 3)), 17, axis=0), "frozen"),
    ],
    ids=["good", "good and large", "fast", "black", "red", "faint", "noise", "one frame of noise", "large grains",
         "still", "stops early", "stops late", "one frame", "a still texture"],
)  # fmt: skip
def test_constructed_frames_are_what_they_were_made_to_be(frames: Frames, kind: str | None) -> None:
    found = judge_frames(measures_of(frames))

    assert (found and found.kind) == kind


def test_the_measures_of_frames_in_closed_form() -> None:
    stripes = np.zeros((2, 32, 32, 3), np.uint8)
    stripes[0, :, ::2] = stripes[1, :, 1::2] = 200

    measured = measures_of(stripes)

    assert measured.spread == pytest.approx(100)
    assert measured.across == pytest.approx(1)  # two apart: the same stripe
    assert (measured.later, measured.change) == (pytest.approx(-1), pytest.approx(2))


@pytest.mark.parametrize(
    ("good", "judge", "changes", "kind"),
    [
        (GOOD_FRAMES, judge_frames, {"spread": FLAT_FRAMES}, "flat"),
        (GOOD_FRAMES, judge_frames, {"across": NOISE_FRAMES, "later": NOISE_FRAMES_LATER}, "noise"),
        (GOOD_FRAMES, judge_frames, {"change": FROZEN_FRAMES}, "frozen"),
        (GOOD_LATENTS, judge_latents, {"spread": FLAT_LATENTS}, "flat"),
        (GOOD_LATENTS, judge_latents, {"across": NOISE_LATENTS, "later": NOISE_LATENTS_LATER}, "noise"),
    ],
)
def test_a_verdict_begins_below_its_threshold_and_needs_all_its_quantities(
    good: Any, judge: Callable[[Any], Any], changes: dict[str, float], kind: str
) -> None:
    below = {name: value - 1e-6 for name, value in changes.items()}
    assert judge(replace(good, **below)).kind == kind
    for name, threshold in changes.items():
        assert judge(replace(good, **{**below, name: threshold})) is None
        if len(changes) > 1:
            assert judge(replace(good, **{name: below[name]})) is None


def test_the_more_noise_the_less_correlation_and_the_less_contrast_the_less_spread() -> None:
    parts = (0.0, 0.3, 0.5, 0.7, 0.9, 1.0)
    mixed = [measures_of(((1 - part) * waves() + part * noise()).astype(np.uint8)) for part in parts]
    latents = [measure_latents(smooth_latents(part)) for part in parts]
    dim = [measures_of(waves(contrast=contrast)).spread for contrast in (100, 50, 20, 5)]

    for measured in (mixed, latents):
        for name in ("across", "later"):
            values = [getattr(one, name) for one in measured]
            assert values == sorted(values, reverse=True)
    assert dim == sorted(dim, reverse=True)


def test_the_measures_of_frames_do_not_go_with_their_size() -> None:
    small, large = measures_of(waves(height=64)), measures_of(waves(height=256))

    for name in ("spread", "across", "later", "change"):
        assert getattr(large, name) == pytest.approx(getattr(small, name), rel=0.05)


def test_latents_are_noise_flat_not_finite_or_may_become_a_video() -> None:
    broken = smooth_latents()
    broken[3, 1, 2, 5] = float("inf")
    kinds = [
        judge_latents(measure_latents(latents))
        for latents in (
            smooth_latents(),
            smooth_latents(noisy=0.5),
            smooth_latents(noisy=1),
            smooth_latents(noisy=1)[:1],
            torch.zeros(5, 4, 16, 24),
            torch.full((5, 4, 16, 24), 0.7),
            broken,
            smooth_latents().half() * 100,
        )
    ]

    assert [found and found.kind for found in kinds] == [None, None, "noise", "noise", "flat", "flat", "nan", None]
    assert kinds[-2] is not None
    assert kinds[-2].reason == "the latents are not finite"


def test_latents_are_looked_at_after_two_three_and_four_fifths_of_the_steps_and_never_after_the_last() -> None:
    assert [checked_steps(total) for total in (1, 2, 3, 10, 25, 50)] == [
        (), (1,), (1, 2), (4, 6, 8), (10, 15, 20), (20, 30, 40),
    ]  # fmt: skip
    pure = smooth_latents(noisy=1)[None]
    refuse_degenerate(19, 50, pure)
    refuse_degenerate(50, 50, pure)
    refuse_degenerate(30, 50, smooth_latents()[None])

    with pytest.raises(DegenerateError, match=r"^degenerate: noise after step 30 of 50 \(correlation of neigh") as told:
        refuse_degenerate(30, 50, pure)

    measured = measure_latents(pure[0])
    reason = f"correlation of neighbouring latents {measured.across:.3f}, below 0.2, and with the next frame "
    assert told.value.reason == f"{reason}{measured.later:.3f}, below 0.5"


def latents_of(spec: RunSpec, pipe: CogVideoXPipeline, on_clean: OnClean | None) -> Denoised:
    texts = TextEncoding(lambda _: None)
    texts.encode_missing(resolve_model(spec.model), [spec])
    return denoise(pipe, spec, texts.of(spec), None, on_clean)


@pytest.mark.slow
def test_looking_at_the_clean_latents_changes_no_bit_and_leaves_the_scheduler_as_it_was(tiny_model: Path) -> None:
    spec = make_spec(tiny_model, num_inference_steps=4)
    pipe = load(spec)
    for scheduler in get_args(Scheduler):
        same = replace(spec, scheduler=scheduler)
        plain = latents_of(same, pipe, None)
        seen: list[tuple[int, int, torch.Tensor]] = []

        watched = latents_of(same, pipe, lambda *told, seen=seen: seen.append(told))

        assert torch.equal(watched.latents, plain.latents)
        assert torch.equal(latents_of(same, pipe, None).latents, plain.latents)
        assert "step" not in vars(pipe.scheduler)
        assert [(done, total) for done, total, _ in seen] == [(1, 4), (2, 4), (3, 4), (4, 4)]
        # Past the end of the schedule nothing is left but the prediction.
        assert torch.allclose(seen[-1][2], watched.latents, atol=1e-5)
        assert not torch.allclose(seen[0][2], watched.latents, atol=1e-2)


def test_a_run_whose_numbers_are_not_finite_says_so_in_its_tags_ended_early_or_not(tiny_model: Path) -> None:
    spec = make_spec(tiny_model, num_inference_steps=5)
    pipe = load(spec)
    with torch.no_grad():
        pipe.transformer.proj_out.bias.fill_(float("nan"))

    with pytest.raises(DegenerateError, match="^the latents are not finite in float32; try") as late:
        latents_of(spec, pipe, None)
    with pytest.raises(DegenerateError, match="^degenerate: nan after step 2 of 5 ") as early:
        latents_of(spec, pipe, refuse_degenerate)

    rule = "the latents are not finite; version 1"
    assert failure_tags(late.value) == {"cogx.degenerate": "nan", "cogx.degenerate.rule": rule}
    assert failure_tags(early.value) == {"cogx.degenerate": "nan", "cogx.degenerate.rule": rule}
    assert failure_tags(ValueError("another")) == {}
    assert "step" not in vars(pipe.scheduler)


class Told(SilentReporter):
    """Keeps the notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


def write_sweep(name: str, model: Path, clip: Path, **base: object) -> None:
    content = {
        "name": name,
        "prompts": ["panda"],
        "base": {"model": str(model), "clip_model": str(clip), "num_inference_steps": 5, "num_frames": 9, **base},
        "axes": {"seed": [1, 2]},
    }
    Path(f"{name}.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")


@pytest.fixture
def sweep(project: Path, tiny_clip: Path) -> Callable[..., Plan]:
    """Plans two cells of a model, written as a sweep of that name."""
    (project / "prompts").mkdir()
    (project / "prompts" / "panda.txt").write_text("A panda plays the guitar.\n", encoding="utf-8")

    def planned(name: str, model: Path, **base: object) -> Plan:
        write_sweep(name, model, tiny_clip, **base)
        return plan_sweeps([f"{name}.yaml"], device="cpu")

    return planned


def first_cell(plan: Plan) -> Plan:
    return replace(plan, runs=plan.runs[:1])


def run(plan: Plan) -> tuple[list[Outcome], list[str]]:
    told = Told()
    with Workbench() as bench:
        return Runner(plan, RunStore(), told, bench, finish_beside=False).run(), told.notes


@pytest.mark.slow
def test_a_run_that_denoises_to_noise_is_ended_early_as_failed_and_the_sweep_goes_on(
    sweep: Callable[..., Plan], tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "decode", lambda *_: pytest.fail("decoded"))

    outcomes, _ = run(sweep("exp", tiny_model, abort_degenerate=True))

    assert [outcome.status for outcome in outcomes] == ["failed", "failed"]
    runs = load_runs("exp", sort="seed")
    assert list(runs["status"]) == ["FAILED", "FAILED"]
    assert list(runs["tags.cogx.degenerate"]) == ["noise", "noise"]
    for outcome, made in zip(outcomes, runs.to_dict("records"), strict=True):
        reason = str(made["tags.cogx.degenerate.rule"]).removesuffix("; version 1")
        assert outcome.error == f"degenerate: noise after step 2 of 5 ({reason})"
        kept = RunStore().download(str(made["run_id"]), "traceback.txt", Path())
        assert outcome.error in kept.read_text(encoding="utf-8")
        assert "abort_degenerate=true" in str(made["tags.cogx.command"])
    assert [run.action for run in sweep("exp", tiny_model, abort_degenerate=True).runs] == ["failed", "failed"]
    assert [run.action for run in sweep("exp", tiny_model).runs] == ["run", "run"]


def test_without_the_switch_nothing_is_looked_at_and_the_identity_of_a_cell_is_the_same(
    sweep: Callable[..., Plan], tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[object] = []
    works = making.denoise
    monkeypatch.setattr(making, "denoise", lambda *all_of_it: given.append(all_of_it[-1]) or works(*all_of_it))
    monkeypatch.setattr("cogx_runs.generation.generate.predicting_clean", lambda _: pytest.fail("looked at"))
    without, with_it = sweep("exp", tiny_model), sweep("exp", tiny_model, abort_degenerate=True)

    outcomes, notes = run(first_cell(without))

    assert [outcome.status for outcome in outcomes] == ["finished"]
    assert (given, notes) == ([None], [])
    assert [planned.spec.output_hash for planned in without.runs] == [
        planned.spec.output_hash for planned in with_it.runs
    ]
    assert "tags.cogx.degenerate" not in load_runs("exp").columns


@pytest.fixture
def flat_model(tiny_model: Path, tmp_path: Path) -> Path:
    """The tiny model with a decoder that answers one grey to everything."""
    folder = tmp_path / "flat_model"
    shutil.copytree(tiny_model, folder)
    vae = AutoencoderKLCogVideoX.from_pretrained(folder / "vae")
    with torch.no_grad():
        vae.decoder.conv_out.conv.weight.zero_()
        vae.decoder.conv_out.conv.bias.zero_()
    vae.save_pretrained(folder / "vae")
    return folder


def test_a_finished_degenerate_video_is_tagged_and_shown_wherever_runs_are(
    sweep: Callable[..., Plan], flat_model: Path, tmp_path: Path
) -> None:
    rule = "spread of a frame 0.000, below 5"

    outcomes, notes = run(first_cell(sweep("exp", flat_model)))
    run(first_cell(sweep("again", flat_model)))

    assert [outcome.status for outcome in outcomes] == ["finished"]
    assert notes == [f"seed=1 panda: degenerate: flat ({rule})"]
    for name in ("exp", "again"):
        runs = load_runs(name)
        assert list(runs["status"]) == ["FINISHED"]
        assert list(runs["tags.cogx.degenerate"]) == ["flat"]
        assert list(runs["tags.cogx.degenerate.rule"]) == [f"{rule}; version 1"]
    assert runs["tags.cogx.reused_from"].notna().all()
    store = RunStore()
    note = next(store.runs(["again"])).data.tags["mlflow.note.content"]
    assert "Degenerate: flat \\(spread of a frame 0.000, below 5; version 1\\)." in note
    assert "**flat**" in store.experiment_tags(store.experiment_id("again"))["mlflow.note.content"]
    listed = CliRunner().invoke(cli, ["runs", "exp"]).output.splitlines()
    assert "degenerate" in listed[0].split()
    assert "flat" in listed[1].split()
    page = write_report(["exp"], tmp_path / "report", log=False).page.read_text(encoding="utf-8")
    assert page.count(f'title="{rule}; version 1">degenerate: flat</span>') == 1

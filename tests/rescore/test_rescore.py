"""A metric that raises costs a run that metric and nothing else, and rescore writes only what changes."""

import errno
import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml
from click.testing import CliRunner

from cogx_runs import load_runs, plan_sweeps
from cogx_runs.cli import cli
from cogx_runs.definitions.spec import UNSIGNED_DEFAULTS
from cogx_runs.errors import CogxError, WeightsUnavailableError
from cogx_runs.metrics import subject
from cogx_runs.metrics.card import MetricCard
from cogx_runs.metrics.failure import REASON_LIMIT, Failure, attempt
from cogx_runs.metrics.metric import MeanMetric, Measured
from cogx_runs.metrics.subject import Subject
from cogx_runs.metrics.subject_consistency import DINO
from cogx_runs.planning.plan import Advice
from cogx_runs.rescore.decoder import Decoder
from cogx_runs.rescore.missing import lacking, settings
from cogx_runs.tracking.store import RunStore
from cogx_runs.video import Frames
from tests.support.metrics import Register, registering
from tests.support.random_weights import dino_state
from tests.support.running import Notes, outcomes
from tests.support.specs import SPEC
from tests.support.tracked_runs import tracked

BRIGHTNESS = MetricCard(name="brightness", title="Brightness", definition="mean of all pixels", source="a test")
WORKING = MeanMetric(BRIGHTNESS, lambda video: video.frames.mean())


def fail(_: Subject) -> float:
    raise ZeroDivisionError("broken on purpose\nin two lines")


BROKEN = MeanMetric(BRIGHTNESS, fail)


@dataclass(frozen=True)
class Swept:
    """A project with two finished runs that lack the metric that raised."""

    folder: Path
    notes: Sequence[str]
    """What the reporter was told."""
    looked_at: Sequence[int]
    """The number of frames, of each time that the changes from frame to frame were computed."""


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory, empty_store: Path, tiny_model: Path, tiny_clip: Path) -> Swept:
    """A sweep with the broken metric."""
    folder = tmp_path_factory.mktemp("rescore") / "project"
    shutil.copytree(empty_store, folder)
    (folder / "prompts").mkdir()
    (folder / "prompts" / "panda.txt").write_text("A panda plays the guitar.\n", encoding="utf-8")
    base = {"model": str(tiny_model), "clip_model": str(tiny_clip), "num_inference_steps": 2, "num_frames": 9}
    content = {"name": "exp", "prompts": ["panda"], "base": base, "axes": {"seed": [1, 2]}}
    (folder / "seed.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    reporter, changes, looked_at = Notes(), subject.frame_changes, []

    def counted(frames: Frames) -> Any:
        looked_at.append(len(frames))
        return changes(frames)

    with pytest.MonkeyPatch.context() as patched, registering(folder.parent / "installed") as register:
        patched.setenv("XDG_CACHE_HOME", str(folder.parent / "cache"))
        patched.setenv("XDG_STATE_HOME", str(folder.parent / "state"))
        patched.delenv("MLFLOW_TRACKING_URI", raising=False)
        patched.chdir(folder)
        # The sweep makes its subjects itself, and what is counted is how often all that look at one compute this.
        patched.setattr(subject, "frame_changes", counted)
        register(BROKEN)
        ended = outcomes(plan_sweeps(["seed.yaml"], device="cpu"), reporter)
    assert [outcome.status for outcome in ended] == ["finished", "finished"]
    shutil.copytree(folder, folder.parent / "left")
    return Swept(folder, reporter.notes, looked_at)


@pytest.fixture
def swept(once: Swept, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project as the sweep left it, entered. MLflow remembers where it found a run, so that it is no copy."""
    left = once.folder.parent / "left"
    with sqlite3.connect(left / "mlflow.db") as source, sqlite3.connect(once.folder / "mlflow.db") as database:
        source.backup(database)
    shutil.rmtree(once.folder / "mlruns")
    shutil.copytree(left / "mlruns", once.folder / "mlruns")
    monkeypatch.chdir(once.folder)
    return once.folder


def rescore() -> tuple[int, list[str], list[str]]:
    """Exit code, stdout, and what stderr has of runs that failed."""
    result = CliRunner().invoke(cli, ["rescore", "exp"])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    failed = [line for line in result.stderr.splitlines() if line.startswith("failed: ")]
    return result.exit_code, result.stdout.splitlines(), failed


@contextmanager
def unwritten(project: Path) -> Iterator[None]:
    """Fails where the block writes a row or a file of a run; the board may be written."""
    tables = ("runs", "params", "metrics", "latest_metrics", "tags")
    boards = "select run_uuid from tags where key = 'cogx.kind' and value = 'overview'"

    def state() -> tuple[Any, ...]:
        of_boards = {run for (run,) in database.execute(boards)}
        rows = [
            database.execute(f"select * from {table} where run_uuid not in ({boards}) order by 1, 2, 3").fetchall()
            for table in tables
        ]
        files = [path for path in (project / "mlruns").rglob("*") if not of_boards & set(path.parts)]
        return rows, {path: path.stat().st_mtime_ns for path in files}

    with closing(sqlite3.connect(project / "mlflow.db")) as database:
        before = state()
        yield
        assert state() == before


def runs() -> pd.DataFrame:
    return load_runs("exp", sort="seed")


def errors_of(run_id: str, folder: Path) -> str:
    return RunStore().download(run_id, "metric_errors.txt", folder).read_text(encoding="utf-8")


def test_a_metric_that_raises_is_missing_with_its_reason_and_told_once_and_its_run_finishes(
    swept: Path, once: Swept, tmp_path: Path
) -> None:
    assert [note for note in once.notes if "Brightness" in note] == [
        "no Brightness: ZeroDivisionError: broken on purpose; the runs finish without, metric_errors.txt says where it "
        "was raised, and `cogx-runs rescore` tries it again"
    ]
    found = runs()
    assert "metrics.brightness" not in found
    assert list(found["tags.cogx.brightness.missing"]) == ["ZeroDivisionError: broken on purpose"] * 2
    assert found["metrics.temporal_flickering"].notna().all()
    told = errors_of(found["run_id"][0], tmp_path)
    assert told.startswith("brightness: ZeroDivisionError: broken on purpose\n\nTraceback (most recent call last):\n")
    assert told.endswith("ZeroDivisionError: broken on purpose\nin two lines\n")


def test_the_change_from_frame_to_frame_is_computed_once_a_video(once: Swept) -> None:
    assert once.looked_at == [9, 9]


def test_rescore_tries_again_goes_on_after_a_failure_and_writes_only_what_changes(
    swept: Path, tmp_path: Path, register: Register
) -> None:
    before = runs()
    problem = "no brightness: ZeroDivisionError: broken on purpose"
    told = [f"failed: seed=1 panda: {problem}", f"failed: seed=2 panda: {problem}"]
    register(BROKEN)
    with unwritten(swept):
        assert rescore() == (1, ["0 runs scored, 2 failed"], told)

    measured = []

    def fail_first(video: Subject) -> float:
        measured.append(video)
        if len(measured) == 1:
            raise ValueError("another")
        return float(video.frames.mean())

    register(MeanMetric(BRIGHTNESS, fail_first))
    code, lines, failed = rescore()
    value = runs()["metrics.brightness"][1]
    assert (code, lines) == (1, [f"seed=2 panda: brightness {value:.4g}", "1 runs scored, 1 failed"])
    assert failed == ["failed: seed=1 panda: no brightness: ValueError: another"]
    assert list(runs()["tags.cogx.brightness.missing"].fillna("")) == ["ValueError: another", ""]
    assert errors_of(before["run_id"][0], tmp_path).startswith("brightness: ValueError: another\n")

    register(WORKING)
    assert rescore()[1][-1] == "1 runs scored"
    after = runs()
    assert after["metrics.brightness"].between(0, 255).all()
    assert "tags.cogx.brightness.missing" not in after
    same = [column for column in before.columns if column.startswith("metrics.") and column != "metrics.brightness"]
    pd.testing.assert_frame_equal(after[same], before[same])
    assert rescore() == (0, ["0 runs scored"], [])


def test_a_run_that_is_only_where_the_study_was_copied_from_is_told_and_not_written_to(
    swept: Path, tmp_path: Path, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = runs()["run_id"][0]
    copied = tmp_path / "copied"
    shutil.copytree(swept, copied)
    shutil.rmtree(copied / "mlruns" / "1" / first)
    monkeypatch.chdir(copied)
    register(WORKING)

    with unwritten(swept):
        code, lines, failed = rescore()

    assert (code, lines[-1]) == (1, "1 runs scored, 1 failed")
    why = f"its files are only in {swept}/mlruns/1/{first}/artifacts, which this study was copied from; copy them here"
    assert failed == [f"failed: seed=1 panda: {why} first"]
    assert runs()["metrics.brightness"].notna().tolist() == [False, True]


def test_a_value_that_its_new_definition_does_not_give_keeps_the_old_definition(
    swept: Path, register: Register
) -> None:
    register(WORKING)
    rescore()
    register(replace(WORKING, card=replace(BRIGHTNESS, version="2"), frames_needed=1000))

    assert rescore() == (0, ["0 runs scored"], [])

    assert runs()["metrics.brightness"].notna().all()
    assert {json.loads(tag)["brightness"] for tag in runs()["tags.cogx.metrics"]} == {"1"}


def test_runs_that_lack_only_what_cannot_be_had_here_are_not_written_to(swept: Path, register: Register) -> None:
    class Unavailable(MeanMetric):
        def check(self, clip_model: str) -> None:
            raise WeightsUnavailableError(f"no weights beside {clip_model}")

    register(Unavailable(BRIGHTNESS, fail))

    with unwritten(swept):
        assert rescore() == (2, [], [])


def test_runs_that_lack_nothing_since_a_metric_is_gone_are_brought_up_to_date(swept: Path) -> None:
    assert rescore() == (0, ["0 runs scored, 2 brought up to date"], [])
    assert rescore() == (0, ["0 runs scored"], [])
    assert [run.action for run in plan_sweeps(["seed.yaml"], device="cpu").runs] == ["done", "done"]


def test_an_extra_metric_that_a_sweep_names_is_measured_of_new_cells_and_by_rescore_of_finished_ones(
    swept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    content = yaml.safe_load((swept / "seed.yaml").read_text(encoding="utf-8"))
    content |= {"axes": {"seed": [1, 2, 3]}, "extra_metrics": ["subject_consistency"]}
    (swept / "seed.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    command = ["rescore", "exp", "--metric", "subject_consistency"]
    unknown = CliRunner().invoke(cli, ["rescore", "exp", "--metric", "subject"])
    rescore()  # without the metric that raised
    without = CliRunner().invoke(cli, command)
    DINO.path.parent.mkdir(parents=True)
    torch.save(dino_state(), DINO.path)

    plan = plan_sweeps(["seed.yaml"], device="cpu")
    (new,) = outcomes(replace(plan, runs=plan.runs[2:]), Notes())
    result = CliRunner().invoke(cli, command)

    assert "--metric 'subject': no extra metric; did you mean 'subject_consistency'" in unknown.stderr
    assert (without.exit_code, "DINO's weights of ViT-B/16 are not at" in without.stderr) == (2, True)
    assert [run.action for run in plan.runs] == ["done", "done", "run"]
    assert [advice for advice in plan.advice if "extra" in advice.where] == [
        Advice(
            "note",
            "seed.yaml:extra_metrics",
            "2 finished cells lack subject consistency; `cogx-runs rescore exp --metric subject_consistency` adds what "
            "can be measured",
        )
    ]
    assert new.metrics is not None
    assert 0 < new.metrics["subject_consistency"] < 1
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (0, "2 runs scored")
    assert runs()["metrics.subject_consistency"].notna().all()
    assert runs()["tags.cogx.subject_consistency.weights_sha256"].nunique() == 1
    again = plan_sweeps(["seed.yaml"], device="cpu")
    assert [run.action for run in again.runs] == ["done"] * 3
    assert [advice for advice in again.advice if "extra" in advice.where] == []
    assert rescore() == (0, ["0 runs scored"], [])


def test_a_run_whose_latents_cannot_be_read_is_told_and_the_others_are_scored(swept: Path, register: Register) -> None:
    run_id = runs()["run_id"][0]
    (latents,) = swept.rglob(f"{run_id}/artifacts/latents.safetensors")
    latents.write_bytes(b"cut off")
    register(WORKING)

    code, lines, failed = rescore()

    assert (code, lines[-1]) == (1, "1 runs scored, 1 failed")
    assert [line.split(" cannot be read: ")[0] for line in failed] == [
        f"failed: seed=1 panda: run {run_id}: artifact latents.safetensors"
    ]


def test_the_score_of_the_mp4_is_measured_without_latents_and_without_an_mp4_all_others_are(
    swept: Path, register: Register
) -> None:
    before = runs()
    with sqlite3.connect("mlflow.db") as database:
        for table in ("metrics", "latest_metrics"):
            database.execute(f"delete from {table} where key = 'clip_score_file'")
        for run_id, text in zip(before["run_id"], before["tags.cogx.metrics"], strict=True):
            known = json.loads(text)
            del known["clip_score_file"]
            database.execute(
                "update tags set value = ? where run_uuid = ? and key = 'cogx.metrics'", (json.dumps(known), run_id)
            )
    first, second = before["run_id"]
    next(swept.rglob(f"{first}/artifacts/latents.safetensors")).write_bytes(b"cut off")
    next(swept.rglob(f"{second}/artifacts/video.mp4")).write_bytes(b"cut off")
    register(WORKING)

    code, lines, failed = rescore()

    assert (code, lines[-1]) == (1, "2 runs scored, 2 failed")
    assert [line.partition("artifact ")[2].split(" ")[0] for line in failed] == ["latents.safetensors", "video.mp4"]
    after = runs()
    assert after["metrics.clip_score_file"][0] == before["metrics.clip_score_file"][0] != after["metrics.clip_score"][0]
    assert after["metrics.brightness"].notna().tolist() == [False, True]
    assert "tags.cogx.clip_score_file.decoded_as" not in after


def test_videos_of_the_same_pixels_share_a_value_unless_it_is_of_another_mp4() -> None:
    one, other = (tracked(SPEC.replace(video_quality=quality)) for quality in (5.0, 8.0))

    alike = {
        mine.name: mine.video == theirs.video
        for mine, theirs in zip(lacking(one, None, (), {}, None), lacking(other, None, (), {}, None), strict=True)
    }

    assert [name for name, is_alike in alike.items() if not is_alike] == ["clip_score_file"]


def test_a_run_older_than_a_parameter_is_the_reference_of_those_that_have_its_default() -> None:
    old, new = (tracked(SPEC.replace(num_inference_steps=steps)) for steps in (50, 10))
    old = replace(old, params={key: text for key, text in old.params.items() if key not in UNSIGNED_DEFAULTS})

    assert settings(new, {"num_inference_steps": 50}) == settings(old) != settings(new)


def test_latents_of_another_revision_are_not_decoded_by_the_model_that_is_there(swept: Path) -> None:
    store = RunStore()
    run = next(store.runs(["exp"], finished_only=True))
    tags, params = {**run.tags, "cogx.signature": "other"}, {**run.params, "model_revision": "another"}
    decoder = Decoder("cpu", store)

    assert decoder.frames(run).shape == (9, 32, 32, 3)
    with pytest.raises(CogxError, match="has changed since the run was generated"):
        decoder.frames(replace(run, tags=tags, params=params))


def raising(error: BaseException) -> Callable[[], Measured]:
    def measure() -> Measured:
        raise error

    return measure


@pytest.mark.parametrize(
    "error",
    [
        KeyboardInterrupt(),
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory"),
        OSError(errno.ENOSPC, "No space left on device"),
    ],
)
def test_what_is_no_fault_of_a_metric_passes(error: BaseException) -> None:
    with pytest.raises(type(error)):
        attempt(raising(error))


def test_what_a_metric_raises_is_told_in_one_line_with_its_kind_and_our_own_errors_without() -> None:
    def reason(error: Exception) -> str:
        failure = attempt(raising(error))
        assert isinstance(failure, Failure)
        return failure.reason

    assert reason(KeyError("frames")) == "KeyError: 'frames'"
    assert reason(AssertionError()) == "AssertionError"
    assert reason(CogxError("SSIM: too small")) == "SSIM: too small"
    assert len(reason(ValueError("x" * 10_000))) == REASON_LIMIT
    assert attempt(lambda: Measured(float("inf"))) is None
    no_number = attempt(lambda: Measured(float("nan")))
    assert isinstance(no_number, Failure)
    assert no_number.reason == "ValueError: it returned NaN, which is no value"
    assert isinstance(attempt(lambda: 3.0), Failure)  # type: ignore[arg-type, return-value]

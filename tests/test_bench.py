"""The benchmark's arithmetic on records made up, and its skipping of what is recorded."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.bench import parts, step_tflop, unrecorded
from benchmarks.bench_records import Asked, Cell, NewRun, NewSweep, OldVideo, Part, Records, code
from benchmarks.bench_report import equal_latents, new_idle_share, old_loop, report
from tests.support.specs import SPEC

GUIDED = Cell("panda g6", "exp: g6", num_inference_steps=50, num_frames=49, guided=True, step_tflop=240.0)
STRONGER = replace(GUIDED, key="panda g12", name="exp: g12")
FREE = replace(GUIDED, key="panda g1", name="exp: g1", guided=False, step_tflop=120.0)
CELLS = (FREE, GUIDED, STRONGER)
VIDEO = OldVideo(
    key="panda g6", wall_s=100.0, import_s=10.0, before_s=20.0, encode_text_s=2.0, denoise_s=60.0, decode_s=8.0,
    after_s=10.0, encode_video_s=1.0, peak_vram_gib=4.0, peak_vram_reserved_gib=5.0, peak_ram_gib=18.0,
    latents_sha256="a",
)  # fmt: skip
FREE_VIDEO = replace(VIDEO, key="panda g1", wall_s=70.0, denoise_s=30.0, latents_sha256="b")
METRICS = {
    "encode_text_s": 1.0, "denoise_s": 30.0, "decode_s": 4.0, "encode_video_s": 1.0, "step_s": 0.6,
    "peak_vram_gib": 4.2, "peak_ram_gib": 20.0,
}  # fmt: skip
SWEEP = NewSweep(
    code="c",
    wall_s=90.0,
    peak_ram_gib=21.0,
    runs=(
        NewRun("panda g1", False, METRICS, "b"),
        NewRun("panda g6", False, METRICS | {"idle_before_s": 5.0}, "a"),
        NewRun("panda g12", True, METRICS, "x"),
    ),
)


def test_the_ratio_takes_an_unmeasured_video_from_one_that_does_the_same_work() -> None:
    measured = {0: [FREE_VIDEO], 1: [VIDEO]}

    lines = report(CELLS, measured, [SWEEP], on_gpu=True).splitlines()

    assert lines[0] == "old loop: 3 videos, 2 measured, 1 estimated"
    assert lines[1].endswith("by the number of steps: exp: g12")
    assert lines[-2:] == [
        "ratio: 3.00 = 270.0 s / 90.0 s (in part estimated)",
        "bitwise_equal: true (2 videos compared)",
    ]


def test_an_unmeasured_video_of_fewer_steps_differs_by_its_denoising_alone() -> None:
    short = replace(GUIDED, name="exp: short", num_inference_steps=GUIDED.num_inference_steps // 5)

    _, estimated = old_loop([GUIDED, short], {0: [VIDEO]}).known

    assert estimated.denoise_s == VIDEO.denoise_s / 5
    assert VIDEO.wall_s - estimated.wall_s == pytest.approx(VIDEO.denoise_s * 4 / 5)


def test_there_is_no_ratio_while_a_video_has_nothing_to_be_estimated_from() -> None:
    lines = report(CELLS, {1: [VIDEO]}, [SWEEP], on_gpu=False).splitlines()

    assert old_loop(CELLS, {1: [VIDEO]}).missing == (FREE,)
    assert lines[-2] == "ratio: not known yet"


def test_the_median_round_counts() -> None:
    rounds = [replace(VIDEO, wall_s=wall) for wall in (130.0, 100.0, 110.0)]

    assert old_loop([GUIDED], {0: rounds}).wall_s == 110.0


def test_the_idle_share_is_of_the_time_between_the_first_and_the_last_device_work() -> None:
    old = old_loop([GUIDED, STRONGER], {0: [VIDEO], 1: [replace(VIDEO, key="panda g12")]})

    assert old.idle_share == pytest.approx(30 / (30 + 2 * 70))
    assert new_idle_share(SWEEP) == pytest.approx(5 / (5 + 2 * 35))
    assert new_idle_share(replace(SWEEP, runs=SWEEP.runs[:1])) is None


def test_latents_that_differ_are_told_by_name() -> None:
    measured = {0: [FREE_VIDEO], 1: [replace(VIDEO, latents_sha256="other")]}

    assert equal_latents([SWEEP], measured) == {"panda g1": True, "panda g6": False}
    assert report(CELLS, measured, [SWEEP], on_gpu=False).endswith("bitwise_equal: false (panda g6)")


def test_one_round_has_the_sweep_between_the_halves_of_the_old_loop_and_several_alternate() -> None:
    once = parts(CELLS, rounds=1, old_videos=2)
    twice = parts(CELLS[:2], rounds=2, old_videos=None)

    assert once == [Part(0, 0), Part(0, None), Part(0, 1)]
    assert twice == [Part(0, None), Part(0, 0), Part(0, 1), Part(1, 0), Part(1, 1), Part(1, None)]


def test_of_fewer_old_videos_those_come_first_that_no_other_can_stand_for() -> None:
    chosen = [part.index for part in parts((GUIDED, STRONGER, FREE), rounds=1, old_videos=2)]

    assert chosen == [0, None, 2]


def test_a_recorded_part_is_skipped_and_a_sweep_of_other_code_is_not(tmp_path: Path) -> None:
    order = parts(CELLS, rounds=1, old_videos=None)
    records = Records(tmp_path, "auto")
    records.keep(Part(0, 1), VIDEO)
    records.keep(Part(0, None), SWEEP)
    without = unrecorded(order, records, only=None)
    records.keep(Part(0, None), replace(SWEEP, code=code()))

    assert without == [Part(0, 0), Part(0, None), Part(0, 2)]
    assert unrecorded(order, records, only=None) == [Part(0, 0), Part(0, 2)]
    assert unrecorded(order, Records(tmp_path, "compile=True"), only="new") == [Part(0, None)]
    assert (records.old(), records.new()) == ({1: [VIDEO]}, [replace(SWEEP, code=code())])


def test_records_of_another_machine_are_not_added_to(tmp_path: Path) -> None:
    records = Records(tmp_path, "auto")
    asked = Asked("2b", "H100", True, CELLS)
    records.check(asked)

    assert records.asked() == asked
    with pytest.raises(SystemExit, match="records with another device"):
        records.check(replace(asked, device="H200"))


def test_a_step_of_2b_computes_240_tflop(tmp_path: Path) -> None:
    transformer = {"patch_size": 2, "num_attention_heads": 30, "attention_head_dim": 64, "num_layers": 30}
    vae = {"block_out_channels": [128, 256, 256, 512], "temporal_compression_ratio": 4}
    for name, config in (("transformer", transformer), ("vae", vae)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps(config))

    assert step_tflop(tmp_path, SPEC) == pytest.approx(240, abs=1)
    assert step_tflop(tmp_path, SPEC.replace(guidance_scale=1.0)) == pytest.approx(120, abs=1)

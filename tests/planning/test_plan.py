"""Plans: of the shipped sweeps, as JSON, and their placements."""

from pathlib import Path

import pytest

from cogx_runs.api import plan_sweeps
from cogx_runs.definitions import shipped
from cogx_runs.definitions.parameters import Parameters
from cogx_runs.errors import CogxError, InputError
from cogx_runs.models.memory import Budget
from cogx_runs.planning.actions import Action
from cogx_runs.planning.plan import Advice
from cogx_runs.system.hardware import device_name
from tests.support.gpus import FakeGpu, LeaveFree, PlugIn
from tests.support.planning import make_sweep, resolve, values_of


def test_the_study_is_20_cells_of_which_4_are_reused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    planned = plan_sweeps(["study"], use_store=False, device="cpu")

    assert [(run.spec.sweep, run.spec.run_name, run.action) for run in planned.runs] == [
        *(("baseline", path.stem, "run") for path in sorted(shipped.PROMPTS.glob("*.txt"))),
        ("exp1_guidance_scale", "guidance=1 panda_guitar", "run"),
        ("exp1_guidance_scale", "guidance=6 panda_guitar", "reuse"),
        ("exp1_guidance_scale", "guidance=12 panda_guitar", "run"),
        ("exp2_steps", "steps=10 panda_guitar", "run"),
        ("exp2_steps", "steps=25 panda_guitar", "run"),
        ("exp2_steps", "steps=50 panda_guitar", "reuse"),
        ("exp3_seed", "seed=42 panda_guitar", "reuse"),
        ("exp3_seed", "seed=123 panda_guitar", "run"),
        ("exp3_seed", "seed=999 panda_guitar", "run"),
        ("exp4_frames", "frames=25 panda_guitar", "run"),
        ("exp4_frames", "frames=49 panda_guitar", "reuse"),
    ]
    assert (len(planned.runs), planned.count(Action.RUN), planned.count(Action.REUSE)) == (20, 16, 4)
    assert (len({run.spec.signature for run in planned.runs}), planned.errors) == (16, [])
    assert [advice.message.partition(" takes ")[0] for advice in planned.advice] == ["2b"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "path", sorted(shipped.SWEEPS.rglob("*.yaml")), ids=lambda path: f"{path.parent.name}/{path.stem}"
)
def test_each_shipped_sweep_plans_without_a_warning_on_a_gpu(path: Path) -> None:
    planned = plan_sweeps([path], use_store=False, gpu="H100")

    assert {advice.level for advice in planned.advice} == {"note"}
    assert len(planned.runs) >= 2


def test_a_plan_as_json_has_the_promised_keys_and_no_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.yaml").write_text(
        "name: s\nprompts: [panda_guitar]\nbase: {model: toy, num_frames: 29}\naxes: {seed: [1]}\n", encoding="utf-8"
    )

    planned = plan_sweeps(["s.yaml"], use_store=False, device="cpu")

    (run,) = planned.runs
    assert planned.cost is not None
    (memory,) = planned.cost.memory
    assert planned.as_dict() == {
        "runs": [
            {
                "sweep": "s",
                "signature": run.spec.signature,
                "action": "run",
                "config": run.spec.config,
                "estimated_s": run.estimate.seconds,
                "estimated_vram_gib": None,
                "estimate_basis": "rough: computed for this CPU",
                "estimate_is_rough": True,
            }
        ],
        "cost": {
            "device": device_name("cpu"),
            "seconds": run.estimate.seconds,
            "cells_without_estimate": 0,
            "is_rough": True,
            "memory": (
                {
                    "model": "toy",
                    "dtype": "float32",
                    "placement": "resident",
                    "device": "cpu",
                    **{name: getattr(memory, name) for name in ("text_gib", "denoise_gib", "decode_gib", "host_gib")},
                },
            ),
            "downloads": (),
            "disk_gb": planned.cost.disk_gb,
        },
        "advice": [
            {
                "level": "error",
                "where": "s.yaml:base.num_frames",
                "message": "29 frames would come back as 32; use 25 or 33",
            },
            {
                "level": "note",
                "where": "s.yaml:axes.seed",
                "message": "has no baseline: add 42, the value of base",
            },
        ],
    }
    assert 0 < memory.denoise_gib <= memory.host_gib
    assert planned.errors == [planned.advice[0]]


def test_all_cells_of_a_model_have_the_placement_in_which_the_largest_of_them_fits() -> None:
    untiled = make_sweep({"vae_tiling": (True, False), "model": ("2b", "5b")})
    asked = make_sweep({}, name="asked", base=Parameters(placement="model"))

    specs = resolve(untiled, asked, device="cuda", budget=Budget(vram_gib=16, ram_gib=30))

    assert values_of(specs, "model", "vae_tiling", "placement") == [
        ("2b", True, "group"), ("2b", False, "group"), ("5b", True, "group"), ("5b", False, "group"),
        ("2b", True, "model"),
    ]  # fmt: skip


def test_a_placement_is_chosen_for_each_model_by_itself() -> None:
    specs = resolve(make_sweep({"model": ("2b", "5b")}), device="cuda", budget=Budget(vram_gib=12, ram_gib=14))

    assert values_of(specs, "model", "placement") == [("2b", "resident"), ("5b", "sequential")]


def test_a_plan_on_a_gpu_says_what_auto_chose_and_why(
    tmp_path: Path, plug_in: PlugIn, leave_free: LeaveFree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plug_in(FakeGpu(free_gib=80))
    leave_free(32)

    free, capped = (plan_sweeps(["guidance"], use_store=False, max_vram=cap) for cap in (None, 6))

    where = f"{shipped.SWEEPS}/guidance.yaml:base.placement"
    assert [(planned.runs[0].spec.placement, planned.max_vram_gib) for planned in (free, capped)] == [
        ("resident", None), ("group", 6),
    ]  # fmt: skip
    assert [planned.advice for planned in (free, capped)] == [
        (Advice("note", where, "auto for 2b is resident: it needs 7.9 of 79.5 GiB of VRAM; text encoder resident"),),
        (
            Advice(
                "note",
                where,
                "auto for 2b is group: resident needs 7.9 GiB of VRAM and 6.0 can be used (--max-vram 6); "
                "text encoder sequential",
            ),
        ),
    ]


def test_each_plan_of_a_process_goes_by_the_memory_that_is_free_then(
    tmp_path: Path, plug_in: PlugIn, leave_free: LeaveFree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    leave_free(32)
    gpu = FakeGpu(free_gib=80)
    plug_in(gpu)

    first = plan_sweeps(["guidance"], use_store=False)
    gpu.free_gib = 6
    second = plan_sweeps(["guidance"], use_store=False)

    assert (first.placement, second.placement) == ("resident", "group")


@pytest.mark.parametrize("cap", [0, -1, float("nan"), float("inf")])
def test_a_cap_on_the_gpus_memory_is_above_0(cap: float) -> None:
    with pytest.raises(CogxError, match="--max-vram .*: must be a number of GiB above 0"):
        plan_sweeps(["guidance"], use_store=False, device="cpu", max_vram=cap)


def test_a_cap_on_the_gpus_memory_has_no_effect_on_a_cpu() -> None:
    planned = plan_sweeps(["guidance"], use_store=False, device="cpu", max_vram=6)

    assert planned.advice[1:] == (Advice("note", "(command line):max_vram", "has no effect on a CPU"),)
    assert planned.max_vram_gib is None


def test_a_plan_for_another_gpu_says_what_it_costs_there_and_cannot_be_executed() -> None:
    planned = plan_sweeps(["guidance"], use_store=False, gpu="12GB")

    assert planned.cost is not None
    (memory,) = planned.cost.memory
    assert (planned.cost.device, planned.cost.is_rough, memory.placement) == ("RTX 3060", True, "resident")
    assert [(one.source, one.gb) for one in planned.cost.downloads] == [
        ("zai-org/CogVideoX-2b", 13.3),
        ("timm/vit_base_patch32_clip_224.openai", 0.6),
    ]
    assert "12GB is taken for RTX 3060" in planned.advice[-1].message
    with pytest.raises(InputError, match="this plan is for another GPU"):
        planned.check()


@pytest.mark.parametrize(
    ("asked", "message"),
    [("RTX 4090x", "did you mean 'RTX 4090'"), ("13GB", "no card of that size is known; known are 8, 10")],
)
def test_a_gpu_that_is_not_known_is_an_error(asked: str, message: str) -> None:
    with pytest.raises(CogxError, match=message):
        plan_sweeps(["guidance"], use_store=False, gpu=asked)

"""Which cells sweeps resolve to."""

import time
import tracemalloc
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cogx_runs.definitions.parameters import Parameters
from cogx_runs.definitions.prompts import PromptLibrary
from cogx_runs.definitions.sweep import Sweep
from cogx_runs.definitions.sweep_file import RandomDraw
from cogx_runs.errors import InputError, Mistake
from cogx_runs.planning.cells import resolve_cells
from tests.support.planning import actions, library_of, make_sweep, resolve, values_of


def test_a_cell_takes_what_is_null_from_its_model_and_device() -> None:
    (on_cpu,) = resolve(make_sweep({}, base=Parameters(model="5b")))
    (on_gpu,) = resolve(make_sweep({}, base=Parameters(model="5b")), device="cuda")
    (as_told,) = resolve(make_sweep({}, base=Parameters(model="5b", scheduler="ddim", height=320, dtype="float16")))

    names = ("scheduler", "height", "width", "dtype", "device", "clip_model", "max_sequence_length")
    assert values_of([on_cpu, on_gpu, as_told], *names) == [
        ("dpm", 480, 720, "float32", "cpu", "ViT-B-32:openai", 226),
        ("dpm", 480, 720, "bfloat16", "cuda", "ViT-B-32:openai", 226),
        ("ddim", 320, 720, "float16", "cpu", "ViT-B-32:openai", 226),
    ]
    assert (on_cpu.placement, on_gpu.placement) == ("resident", "resident")


def test_a_clip_folder_is_known_by_its_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clip").mkdir()

    (spec,) = resolve(make_sweep({}, base=Parameters(clip_model="clip")))

    assert spec.clip_model == str(tmp_path / "clip")


def test_a_run_is_named_by_what_is_varied_and_its_prompt() -> None:
    (spec,) = resolve(make_sweep({"guidance_scale": (7.5,), "scheduler": ("dpm",), "vae_tiling": (False,)}))

    assert spec.run_name == "guidance=7.5 scheduler=dpm vae_tiling=off p"
    assert spec.axis_values == {"guidance_scale": 7.5}


def test_runs_of_large_seeds_have_names_that_tell_them_apart() -> None:
    specs = resolve(make_sweep({"seed": (1234567, 1234568)}))

    assert [spec.run_name for spec in specs] == ["seed=1234567 p", "seed=1234568 p"]


def test_one_at_a_time_varies_each_axis_around_the_base_and_makes_the_base_once() -> None:
    specs = resolve(make_sweep({"guidance_scale": (1.0, 6.0), "seed": (42, 43)}, "one_at_a_time"))

    assert values_of(specs, "guidance_scale", "seed") == [(1.0, 42), (6.0, 42), (6.0, 43)]


def test_a_grid_is_every_combination_with_the_last_axis_running_fastest() -> None:
    specs = resolve(make_sweep({"guidance_scale": (1.0, 6.0), "seed": (1, 2, 3)}))

    assert values_of(specs, "guidance_scale", "seed") == [
        (1.0, 1), (1.0, 2), (1.0, 3), (6.0, 1), (6.0, 2), (6.0, 3),
    ]  # fmt: skip
    assert {spec.axes for spec in specs} == {("guidance_scale", "seed")}


def test_a_zip_goes_along_all_axes_together() -> None:
    specs = resolve(make_sweep({"guidance_scale": (1.0, 6.0), "seed": (1, 2)}, "zip"))

    assert values_of(specs, "guidance_scale", "seed") == [(1.0, 1), (6.0, 2)]


def test_a_random_draw_is_the_same_every_time_never_repeats_and_comes_from_the_grid() -> None:
    axes = {"guidance_scale": (1.0, 3.0, 6.0, 9.0), "seed": (1, 2, 3, 4, 5)}

    first, again, other = (
        values_of(resolve(make_sweep(axes, "random", random=RandomDraw(count=12, seed=seed))), "guidance_scale", "seed")
        for seed in (0, 0, 1)
    )

    assert first == again
    assert first != other
    assert len(first) == len(set(first)) == 12
    assert set(first) <= {(guidance, seed) for guidance in axes["guidance_scale"] for seed in axes["seed"]}


@pytest.mark.parametrize(
    ("seed", "expected"),
    [
        (0, [(6.0, 3), (6.0, 4), (1.0, 2), (3.0, 4), (9.0, 1), (3.0, 2)]),
        (7, [(6.0, 1), (1.0, 5), (6.0, 3), (1.0, 2), (1.0, 3), (6.0, 4)]),
    ],
)
def test_a_seed_draws_the_cells_that_it_has_always_drawn(seed: int, expected: list[tuple[float, int]]) -> None:
    axes = {"guidance_scale": (1.0, 3.0, 6.0, 9.0), "seed": (1, 2, 3, 4, 5)}

    specs = resolve(make_sweep(axes, "random", random=RandomDraw(count=6, seed=seed)))

    assert values_of(specs, "guidance_scale", "seed") == expected


def test_a_draw_from_a_grid_of_a_million_cells_costs_no_more_than_its_cells() -> None:
    axes = {
        "seed": tuple(range(100)),
        "guidance_scale": tuple(map(float, range(1, 101))),
        "num_inference_steps": tuple(range(1, 101)),
    }

    tracemalloc.start()
    specs = resolve(make_sweep(axes, "random", random=RandomDraw(count=20)))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert len({spec.signature for spec in specs}) == 20
    assert peak_bytes < 5e6


def test_a_grid_too_large_to_draw_from_is_refused() -> None:
    axes: dict[str, tuple[float, ...]] = {
        axis: tuple(range(16, 10_016)) for axis in ("seed", "num_frames", "height", "width")
    }
    axes["guidance_scale"] = tuple(number / 100 for number in range(10_000))

    with pytest.raises(InputError) as caught:
        resolve(make_sweep(axes, "random", random=RandomDraw(count=4)))

    assert caught.value.mistakes == (Mistake("exp.yaml:axes", "a grid of 1.0e+20 cells is too large to draw from"),)


def test_a_plan_of_more_than_a_hundred_thousand_cells_is_refused_before_any_is_made() -> None:
    many = make_sweep({"seed": tuple(range(1000)), "guidance_scale": tuple(range(101))})
    half = make_sweep({"seed": tuple(range(60_000))}, "one_at_a_time")
    begun = time.process_time()

    with pytest.raises(InputError) as one:
        resolve(many)
    with pytest.raises(InputError) as two:
        resolve(half, half.model_copy(update={"name": "other", "file": "other.yaml"}))

    rest = "and 100,000 are the most of one plan; take fewer values or prompts"
    assert one.value.mistakes == (Mistake("exp.yaml:axes", f"makes 101,000 cells, {rest}"),)
    assert two.value.mistakes == (Mistake("other.yaml:axes", f"makes 60,000 cells more, in all 120,000, {rest}"),)
    assert time.process_time() - begun < 0.5


def test_models_that_are_not_there_are_told_at_once_whatever_their_number() -> None:
    begun = time.process_time()

    with pytest.raises(InputError) as caught:
        resolve(make_sweep({"model": tuple(f"m{number}" for number in range(5000))}))

    assert len(caught.value.mistakes) == 101
    assert caught.value.mistakes[-1] == Mistake("(input)", "only the first 100 mistakes are listed; mend these first")
    assert time.process_time() - begun < 1


def test_a_random_draw_of_all_is_the_whole_grid() -> None:
    specs = resolve(make_sweep({"seed": (1, 2, 3)}, "random", random=RandomDraw(count=3)))

    assert sorted(values_of(specs, "seed")) == [(1,), (2,), (3,)]


@pytest.mark.parametrize(("axes", "cells"), [({"seed": (1, 2, 3)}, 3), ({}, 1)])
def test_a_random_draw_of_more_than_the_grid_is_refused(axes: Mapping[str, tuple[Any, ...]], cells: int) -> None:
    with pytest.raises(InputError) as caught:
        resolve(make_sweep(axes, "random", random=RandomDraw(count=4)))

    assert caught.value.mistakes == (Mistake("exp.yaml:random.count", f"4 is more than the {cells} cells of the grid"),)


def test_a_value_and_the_null_that_means_it_are_one_cell() -> None:
    specs = resolve(make_sweep({"scheduler": (None, "ddim", "dpm")}))

    assert values_of(specs, "scheduler") == [("ddim",), ("dpm",)]


def test_each_configuration_is_made_of_every_prompt(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.txt").write_text(f"A {name}.", encoding="utf-8")

    specs = resolve_cells([make_sweep({"seed": (1, 2)}, prompts=None)], PromptLibrary(tmp_path), "cpu", {}).specs

    assert values_of(specs, "prompt", "seed") == [("A a.", 1), ("A b.", 1), ("A a.", 2), ("A b.", 2)]


def test_a_grid_of_10_000_cells_resolves_to_as_many_cells() -> None:
    specs = resolve(make_sweep({"seed": tuple(range(1000)), "guidance_scale": tuple(map(float, range(10)))}))

    assert len({spec.signature for spec in specs}) == len(specs) == 10_000
    assert actions(specs) == ["run"] * 10_000


def test_every_prompt_and_model_that_cannot_be_had_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first = make_sweep({"model": ("2b", "3b", "7b")}, prompts=("p", "q"))
    second = make_sweep({}, name="second", file="second.yaml", base=Parameters(model="3b"), prompts=("r",))

    with pytest.raises(InputError) as caught:
        resolve(first, second)

    assert [mistake.where for mistake in caught.value.mistakes] == [
        "exp.yaml:prompts.1",
        "exp.yaml:axes.model",
        "exp.yaml:axes.model",
        "second.yaml:prompts.0",
        "second.yaml:base.model",
    ]


def test_each_cell_has_the_card_of_its_own_revision() -> None:
    library = library_of("A panda.")

    cells = resolve_cells([make_sweep({"revision": ("aaaa", "bbbb")})], library, "cpu", {})

    assert values_of(cells.specs, "model_revision") == [("aaaa",), ("bbbb",)]
    assert [cells.cards[spec.model_key].revision for spec in cells.specs] == ["aaaa", "bbbb"]


def test_cells_of_one_model_and_of_one_compiled_shape_are_neighbours_and_else_in_the_files_order(
    tmp_path: Path,
) -> None:
    (tmp_path / "p.txt").write_text("A cat.", encoding="utf-8")

    def order(**base: Any) -> list[tuple[Any, ...]]:
        axes = {"model": ("2b", "5b"), "guidance_scale": (1, 6), "seed": (1, 2)}
        parameters = Parameters.model_validate({"placement": "resident", **base})
        sweep = Sweep(name="e", file="e", description="", prompts=None, base=parameters, axes=axes, vary="grid")
        by_seed = sweep.model_copy(update={"name": "f", "axes": {"seed": (3,)}})
        specs = resolve_cells([sweep, by_seed], PromptLibrary(tmp_path), "cuda", {}).specs
        return [(spec.model, spec.guidance_scale, spec.seed) for spec in specs]

    two = [("2b", 1, 1), ("2b", 1, 2), ("2b", 6, 1), ("2b", 6, 2), ("2b", 6, 3)]
    five = [("5b", *rest) for _, *rest in two[:-1]]
    assert order() == two + five
    assert order(compile=True, seed=9) == two + five

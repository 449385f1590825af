"""Sweep files: what they mean, and how every mistake in them is told."""

from pathlib import Path

import pytest

from cogx_runs.definitions import shipped
from cogx_runs.definitions.parameters import Parameters, default_of
from cogx_runs.definitions.prompts import PromptLibrary
from cogx_runs.definitions.sweep import Sweep, load_sweeps
from cogx_runs.definitions.sweep_file import RandomDraw
from cogx_runs.errors import InputError, Mistake
from tests.support.sweep_files import mistakes_in, write

NO_SUCH_FILE = "no such sweep file; shipped: {names} (`cogx-runs init .` copies them here)"


def without_lines(sweeps: list[Sweep]) -> list[Sweep]:
    return [sweep.model_copy(update={"lines": {}}) for sweep in sweeps]


def test_the_study_holds_the_five_shipped_sweeps_with_the_values_of_the_old_scripts() -> None:
    sweeps = load_sweeps([shipped.SWEEPS / "study.yaml"])

    assert [(sweep.name, sweep.prompts, sweep.axes, sweep.vary) for sweep in sweeps] == [
        ("baseline", None, {}, "one_at_a_time"),
        ("exp1_guidance_scale", ("panda_guitar",), {"guidance_scale": (1.0, 6.0, 12.0)}, "one_at_a_time"),
        ("exp2_steps", ("panda_guitar",), {"num_inference_steps": (10, 25, 50)}, "one_at_a_time"),
        ("exp3_seed", ("panda_guitar",), {"seed": (42, 123, 999)}, "one_at_a_time"),
        ("exp4_frames", ("panda_guitar",), {"num_frames": (25, 49)}, "one_at_a_time"),
    ]
    assert {sweep.base for sweep in sweeps} == {Parameters()}


@pytest.mark.parametrize("path", sorted(shipped.SWEEPS.glob("*.yaml")), ids=lambda path: path.stem)
def test_each_shipped_sweep_loads_by_its_bare_name(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert load_sweeps([path.stem]) == load_sweeps([path])


def test_the_defaults_are_those_of_the_old_script() -> None:
    names = ("model", "num_inference_steps", "guidance_scale", "num_frames", "fps", "seed")

    assert tuple(default_of(name) for name in names) == ("2b", 50, 6.0, 49, 8, 42)


def test_a_file_with_a_name_and_prompts_is_a_whole_sweep(tmp_path: Path) -> None:
    file = write(tmp_path / "short.yaml", "name: short\nprompts: [b, a]\n")

    assert without_lines(load_sweeps([file])) == [
        Sweep(
            name="short",
            file=str(file),
            description="",
            prompts=("b", "a"),
            base=Parameters(),
            axes={},
            vary="one_at_a_time",
        )
    ]


def test_a_file_with_everything_becomes_a_sweep_with_everything(tmp_path: Path) -> None:
    file = write(
        tmp_path / "full.yaml",
        "name: full\ndescription: All of it.\nprompts: all\nbase: {model: 5b, guidance_scale: 3, dtype: float32}\n"
        "axes: {seed: [1, 2, 3], scheduler: [ddim, dpm]}\nvary: random\nrandom: {count: 4, seed: 7}\n",
    )

    assert without_lines(load_sweeps([file])) == [
        Sweep(
            name="full",
            file=str(file),
            description="All of it.",
            prompts=None,
            base=Parameters(model="5b", guidance_scale=3.0, dtype="float32"),
            axes={"seed": (1, 2, 3), "scheduler": ("ddim", "dpm")},
            vary="random",
            random=RandomDraw(count=4, seed=7),
        )
    ]


def test_a_bare_name_is_first_a_file_in_the_sweeps_folder_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sweeps").mkdir()
    write(tmp_path / "sweeps" / "guidance.yaml", "name: mine\nprompts: all\n")
    monkeypatch.chdir(tmp_path)

    assert [sweep.name for sweep in load_sweeps(["guidance"])] == ["mine"]
    assert [sweep.name for sweep in load_sweeps(["guidance.yaml"])] == ["mine"]


def test_a_sweep_file_that_is_not_there_is_told_with_the_shipped_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = "accelerations, baseline, demo, frames, guidance, lora, seed, steps, study"

    assert mistakes_in("guidence", "elsewhere/guidance") == (
        Mistake("guidence", NO_SUCH_FILE.format(names=names)),
        Mistake("elsewhere/guidance", NO_SUCH_FILE.format(names=names)),
    )


def test_all_mistakes_of_all_files_are_told_at_once_with_their_places(tmp_path: Path) -> None:
    first = write(
        tmp_path / "first.yaml",
        "name: bad name\nprompt: [panda]\nvari: grid\n"
        "base: {steps: 10, num_frame: 49, seed: -1}\naxes: {guidence_scale: [1], seed: [1, x]}\n",
    )
    second = write(tmp_path / "second.yaml", "name: second\nprompts: []\n")

    assert set(mistakes_in(first, second)) == {
        Mistake(f"{first}:name", "must be letters, digits, '.', '_' and '-', beginning with a letter or digit"),
        Mistake(f"{first}:prompts", "is required"),
        Mistake(f"{first}:prompt", "unknown key; did you mean 'prompts'?"),
        Mistake(f"{first}:vari", "unknown key; did you mean 'vary'?"),
        Mistake(f"{first}:base.steps", "unknown key; did you mean 'num_inference_steps'?"),
        Mistake(f"{first}:base.num_frame", "unknown key; did you mean 'num_frames'?"),
        Mistake(f"{first}:base.seed", "Input should be greater than or equal to 0 (got -1)"),
        Mistake(f"{first}:axes.guidence_scale", "unknown parameter; did you mean 'guidance_scale'?"),
        Mistake(f"{first}:axes.seed.1", "must be a whole number (got 'x')"),
        Mistake(f"{second}:prompts", "must be a list of names, files and templates of prompts, or all"),
    }


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("steps", "num_inference_steps"),
        ("guidance", "guidance_scale"),
        ("cfg", "guidance_scale"),
        ("frames", "num_frames"),
        ("seeds", "seed"),
    ],
)
def test_an_old_name_is_answered_with_the_new_one_in_base_and_axes(tmp_path: Path, old: str, new: str) -> None:
    file = write(tmp_path / "old.yaml", f"name: old\nprompts: all\nbase: {{{old}: 1}}\naxes: {{{old}: [1, 2]}}\n")

    assert mistakes_in(file) == (
        Mistake(f"{file}:base.{old}", f"unknown key; did you mean {new!r}?"),
        Mistake(f"{file}:axes.{old}", f"unknown parameter; did you mean {new!r}?"),
    )


def test_a_key_like_no_other_is_answered_with_the_valid_ones(tmp_path: Path) -> None:
    file = write(tmp_path / "odd.yaml", "name: odd\nprompts: all\nvary: random\nrandom: {count: 1, zzz: 2}\n")

    assert mistakes_in(file) == (Mistake(f"{file}:random.zzz", "unknown key; valid: count, seed"),)


@pytest.mark.parametrize(
    ("text", "lines", "key"),
    [
        ("name: a\nprompts: all\nname: b\n", (1, 3), "name"),
        ("name: a\nprompts: all\nbase:\n  seed: 1\n  fps: 8\n  seed: 2\n", (4, 6), "base.seed"),
    ],
)
def test_a_key_given_twice_is_refused(tmp_path: Path, text: str, lines: tuple[int, int], key: str) -> None:
    file = write(tmp_path / "twice.yaml", text)

    (mistake,) = mistakes_in(file)

    assert mistake.where == f"{file}:{key}"
    assert str(mistake) == f"{file}:{lines[1]}: {key}: is given twice, first in line {lines[0]}; give it once"


def test_yaml_merge_keys_are_no_keys_given_twice(tmp_path: Path) -> None:
    file = write(tmp_path / "merge.yaml", "name: m\nprompts: all\nbase: {<<: {seed: 1, fps: 4}, seed: 2}\n")

    assert load_sweeps([file])[0].base == Parameters(seed=2, fps=4)


def test_a_null_on_an_axis_is_the_models_own_value(tmp_path: Path) -> None:
    file = write(tmp_path / "null.yaml", "name: n\nprompts: all\naxes: {scheduler: [null, dpm]}\n")

    assert load_sweeps([file])[0].axes == {"scheduler": (None, "dpm")}


def test_a_yaml_syntax_error_is_told_with_its_line_and_column(tmp_path: Path) -> None:
    file = write(tmp_path / "broken.yaml", "name: broken\nprompts: all\nbase: {seed: 1\nvary: grid\n")

    assert mistakes_in(file) == (
        Mistake(str(file), "not valid YAML: line 4, column 5: expected ',' or '}', but got ':'"),
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"name: \xff\n", "not UTF-8 at byte 6; save the file as UTF-8"),
        (b"name: a\x00b\n", "not valid YAML: unacceptable character #x0000: special characters are not allowed"),
    ],
)
def test_a_file_that_is_no_text_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "binary.yaml"
    file.write_bytes(content)

    assert mistakes_in(file) == (Mistake(str(file), message),)


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "just words\n", "42\n"])
def test_a_file_that_is_no_mapping_is_told_what_it_must_be(tmp_path: Path, text: str) -> None:
    file = write(tmp_path / "list.yaml", text)

    assert mistakes_in(file) == (
        Mistake(str(file), "must be a mapping with at least `name` and `prompts`, or with `include`"),
    )


def test_two_sweeps_of_one_name_are_refused(tmp_path: Path) -> None:
    first = write(tmp_path / "first.yaml", "name: same\nprompts: all\n")
    second = write(tmp_path / "second.yaml", "name: same\nprompts: all\nbase: {seed: 1}\n")

    assert mistakes_in(first, second) == (
        Mistake(f"{second}:name", f"{first} has the name 'same' too; give one of the two another"),
    )


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("seed", "true"),
        ("seed", "1.0"),
        ("seed", "'1'"),
        ("seed", "-1"),
        ("seed", str(2**63)),
        ("num_inference_steps", "0"),
        ("num_inference_steps", "1001"),
        ("num_frames", "49.5"),
        ("guidance_scale", "'6'"),
        ("guidance_scale", "true"),
        ("guidance_scale", ".nan"),
        ("guidance_scale", ".inf"),
        ("vae_tiling", "1"),
        ("vae_tiling", "'yes'"),
        ("scheduler", "euler"),
        ("dtype", "fp16"),
        ("placement", "cuda"),
        ("model", "''"),
        ("model", "null"),
        ("fps", "0"),
        ("video_quality", "0"),
        ("height", "0"),
    ],
)
def test_a_value_of_another_type_or_range_is_refused_in_base_and_axes(
    tmp_path: Path, parameter: str, value: str
) -> None:
    base = write(tmp_path / "base.yaml", f"name: base\nprompts: all\nbase: {{{parameter}: {value}}}\n")
    axis = "seed" if parameter == "placement" else parameter
    axes = write(tmp_path / "axes.yaml", f"name: axes\nprompts: all\naxes: {{{axis}: [{value}]}}\n")

    assert [mistake.where for mistake in mistakes_in(base, axes)] == [
        f"{base}:base.{parameter}",
        f"{axes}:axes.{axis}.0",
    ]


def test_a_whole_number_is_a_fine_float_and_stays_one_in_the_axes(tmp_path: Path) -> None:
    file = write(
        tmp_path / "whole.yaml", "name: w\nprompts: all\nbase: {guidance_scale: 1}\naxes: {guidance_scale: [1, 6]}\n"
    )

    (sweep,) = load_sweeps([file])

    assert [(type(value), value) for value in (sweep.base.guidance_scale, *sweep.axes["guidance_scale"])] == [
        (float, 1.0),
        (float, 1.0),
        (float, 6.0),
    ]


@pytest.mark.parametrize("parameter", ["vae_slicing", "abort_degenerate"])
def test_an_axis_over_what_changes_nothing_is_refused(tmp_path: Path, parameter: str) -> None:
    file = write(tmp_path / "same.yaml", f"name: same\nprompts: all\naxes: {{{parameter}: [auto, model]}}\n")

    assert mistakes_in(file) == (
        Mistake(
            f"{file}:axes.{parameter}",
            "is no axis: its cells would all be one, with the same pixels and scores; set it in base",
        ),
    )


def test_a_value_named_twice_on_an_axis_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path / "twice.yaml", "name: t\nprompts: all\naxes: {guidance_scale: [1, 6, 1.0]}\n")

    assert mistakes_in(file) == (Mistake(f"{file}:axes.guidance_scale", "names 1.0 more than once"),)


@pytest.mark.parametrize(("values", "where"), [("[]", "axes.seed"), ("42", "axes.seed")])
def test_an_axis_must_be_a_list_of_at_least_one_value(tmp_path: Path, values: str, where: str) -> None:
    file = write(tmp_path / "empty.yaml", f"name: e\nprompts: all\naxes: {{seed: {values}}}\n")

    assert [mistake.where for mistake in mistakes_in(file)] == [f"{file}:{where}"]


def test_a_zip_needs_axes_of_one_length(tmp_path: Path) -> None:
    file = write(tmp_path / "zip.yaml", "name: z\nprompts: all\naxes: {seed: [1, 2], fps: [8, 9, 10]}\nvary: zip\n")

    assert mistakes_in(file) == (Mistake(f"{file}:axes", "`vary: zip` needs axes of one length, these have [2, 3]"),)


@pytest.mark.parametrize("rest", ["vary: random", "random: {count: 2}", "vary: grid\nrandom: {count: 2}"])
def test_a_random_sweep_and_its_draw_go_together(tmp_path: Path, rest: str) -> None:
    file = write(tmp_path / "draw.yaml", f"name: d\nprompts: all\naxes: {{seed: [1, 2]}}\n{rest}\n")

    assert mistakes_in(file) == (Mistake(str(file), "`vary: random` and `random: {count: N, seed: N}` go together"),)


def test_an_unknown_way_to_vary_is_told_with_the_known_ones(tmp_path: Path) -> None:
    file = write(tmp_path / "vary.yaml", "name: v\nprompts: all\nvary: each\n")

    assert mistakes_in(file) == (
        Mistake(f"{file}:vary", "Input should be 'one_at_a_time', 'grid', 'zip', 'random' or 'optuna' (got 'each')"),
    )


def test_an_override_replaces_the_base_of_every_file_and_is_named_as_the_place(tmp_path: Path) -> None:
    first = write(tmp_path / "first.yaml", "name: first\nprompts: all\nbase: {seed: 1, fps: 4}\n")
    second = write(tmp_path / "second.yaml", "name: second\nprompts: all\naxes: {seed: [5, 6]}\n")

    sweeps = load_sweeps([first, second], {"seed": 3, "num_frames": 25})

    assert [sweep.base for sweep in sweeps] == [
        Parameters(seed=3, fps=4, num_frames=25),
        Parameters(seed=3, num_frames=25),
    ]
    assert [(sweep.where("seed"), sweep.where("num_frames"), sweep.where("fps")) for sweep in sweeps] == [
        ("(command line):base.seed", "(command line):base.num_frames", f"{first}:base.fps"),
        (f"{second}:axes.seed", "(command line):base.num_frames", f"{second}:base.fps"),
    ]


def test_a_wrong_override_is_told_once_with_the_mistakes_of_the_files(tmp_path: Path) -> None:
    first = write(tmp_path / "first.yaml", "name: first\nprompts: all\n")
    second = write(tmp_path / "second.yaml", "name: second\nprompts: 3\n")

    assert mistakes_in(first, second, steps=10, seed=True) == (
        Mistake("(command line):seed", "must be a whole number (got True)"),
        Mistake("(command line):steps", "unknown key; did you mean 'num_inference_steps'?"),
        Mistake(f"{second}:prompts", "must be a list of names, files and templates of prompts, or all"),
    )


@pytest.mark.parametrize("name", ["a/b", "", "-a", "a b", "é", "a" * 101, "..", "a\n"])
def test_a_name_that_is_no_name_of_an_experiment_is_refused(tmp_path: Path, name: str) -> None:
    file = write(tmp_path / "name.yaml", f"name: {name!r}\nprompts: all\n".replace("'a\\n'", '"a\\n"'))

    assert mistakes_in(file) == (
        Mistake(f"{file}:name", "must be letters, digits, '.', '_' and '-', beginning with a letter or digit"),
    )


def test_a_prompt_that_is_not_there_is_told_with_the_other_mistakes_and_how_one_is_added(tmp_path: Path) -> None:
    prompts = tmp_path / "own"
    prompts.mkdir()
    write(prompts / "cat.txt", "A cat.")
    file = write(
        tmp_path / "inline.yaml",
        "name: a\nprompts: [cta, A dog runs., {name: fox, text: A fox.}]\naxes: {prompt: [a], lorra: [1], seed: [x]}\n",
    )

    with pytest.raises(InputError) as caught:
        load_sweeps([file], prompts=PromptLibrary.find(prompts))

    told = {mistake.where.removeprefix(f"{file}:"): mistake.message for mistake in caught.value.mistakes}
    assert sorted(told) == ["axes.lorra", "axes.prompt", "axes.seed.0", "prompts.0", "prompts.1"]
    assert told["prompts.0"].endswith("did you mean 'cat'?")
    assert f"write this text into {prompts}/NAME.txt" in told["prompts.1"]
    assert "a file prompts/NAME.txt whose NAME is listed there" in told["axes.prompt"]
    assert "placement" not in told["axes.lorra"]

"""Prompts of files and templates among the entries of `prompts`."""

import json
from pathlib import Path

import pytest

from cogx_runs.definitions.prompts import Prompt
from cogx_runs.definitions.sweep import load_sweeps
from cogx_runs.errors import InputError
from cogx_runs.tracking.store import RunStore
from cogx_runs.tracking.tags import AXES
from tests.support.sweep_files import write


def prompts_of(folder: Path, entries: str) -> list[Prompt]:
    file = write(folder / "sweep.yaml", f"name: sets\nprompts: {entries}\n")
    (sweep,) = load_sweeps([file])
    assert sweep.prompts is not None
    return [prompt for entry in sweep.prompts for prompt in entry if isinstance(prompt, Prompt)]


def told(folder: Path, entries: str) -> list[str]:
    with pytest.raises(InputError) as caught:
        prompts_of(folder, entries)
    return [
        f"{getattr(one.where, 'shown', one.where)}: {one.message}".replace(f"{folder}/", "")
        for one in caught.value.mistakes
    ]


def test_a_template_makes_a_named_prompt_of_each_combination_with_its_variables(tmp_path: Path) -> None:
    template = "{name: car, text: 'a {colour} car in {place}', variables: {place: [Rome, Oslo], colour: [red, blue]}}"

    found = prompts_of(tmp_path, f"[{template}]")

    assert [(prompt.name, prompt.text) for prompt in found] == [
        ("car_red_rome", "a red car in Rome"),
        ("car_red_oslo", "a red car in Oslo"),
        ("car_blue_rome", "a blue car in Rome"),
        ("car_blue_oslo", "a blue car in Oslo"),
    ]
    assert found[0].variables == (("template", "car"), ("colour", "red"), ("place", "Rome"))


def test_each_choice_in_a_text_is_a_variable_of_its_own_and_may_be_empty(tmp_path: Path) -> None:
    found = prompts_of(tmp_path, "[{name: car, text: 'a {|fast} {{x}} {|fast} car'}]")

    assert [(prompt.name, prompt.text) for prompt in found] == [
        ("car_none_none", "a {x} car"),
        ("car_none_fast", "a {x} fast car"),
        ("car_fast_none", "a fast {x} car"),
        ("car_fast_fast", "a fast {x} fast car"),
    ]
    assert found[1].variables == (("template", "car"), ("choice_1", "none"), ("choice_2", "fast"))


def test_a_table_and_records_give_names_texts_and_variables(tmp_path: Path) -> None:
    write(tmp_path / "cars.csv", 'id,Prompt,subject\nred,"A red car,\nfast.",car\n,A wheel.,\n')
    write(tmp_path / "more.jsonl", '{"name": "sea", "text": "The\u2028sea.", "depth": 2, "about": {"mood": "calm"}}\n')

    assert prompts_of(tmp_path, "[cars.csv, more.jsonl]") == [
        Prompt("red", "A red car, fast.", f"{tmp_path}/cars.csv:3", (("subject", "car"),)),
        Prompt("a_wheel", "A wheel.", f"{tmp_path}/cars.csv:4"),
        Prompt("sea", "The sea.", f"{tmp_path}/more.jsonl:1", (("depth", "2"), ("mood", "calm"))),
    ]


def test_a_list_of_lines_names_each_by_its_text_and_no_two_alike(tmp_path: Path) -> None:
    long = "a very long description of a street at night in the rain, seen from"
    write(tmp_path / "lines.txt", f"A cat.\n\n{long} above\n{long} below\na cat\nA cat.\n")

    names = [prompt.name for prompt in prompts_of(tmp_path, "[lines.txt]")]

    assert names == [
        "a_cat",
        "a_very_long_description_of_a_stre_fb1f51",
        "a_very_long_description_of_a_stre_d03a09",
        "a_cat_51e467",
    ]


def test_lists_of_vbench_are_read_as_they_are_and_a_prompt_of_two_of_them_is_one(tmp_path: Path) -> None:
    entries = [
        {"prompt_en": "a red bicycle", "dimension": ["color"], "auxiliary_info": {"color": {"color": "red"}}},
        {"prompt_en": "a cat, running", "dimension": ["subject_consistency", "dynamic_degree"]},
        {"prompt_en": "a cat, running", "dimension": ["temporal_style"]},
    ]
    write(tmp_path / "VBench_full_info.json", json.dumps(entries))
    write(tmp_path / "color.txt", "a red bicycle\na green car\n")

    found = prompts_of(tmp_path, "[VBench_full_info.json, color.txt]")

    assert [(prompt.name, dict(prompt.variables)) for prompt in found] == [
        ("a_red_bicycle", {"dimension": "color", "color": "red"}),
        ("a_cat_running", {"dimension": "subject_consistency, dynamic_degree, temporal_style"}),
        ("a_green_car", {}),
    ]


def test_a_folder_gives_each_of_its_files_as_one_prompt(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    write(tmp_path / "own/cat.txt", "A cat\nruns.")

    assert prompts_of(tmp_path, "[own/]") == [Prompt("cat", "A cat runs.", f"{tmp_path}/own/cat.txt")]


def test_variables_in_which_prompts_of_a_template_differ_are_axes_of_the_experiment(
    project: Path,
) -> None:
    write(project / "cars.csv", "prompt,mood\na,calm\nb,wild\n")
    template = "{name: car, text: 'a {colour} car', variables: {colour: [red, blue], subject: car}}"
    write(project / "a.yaml", f"name: a\nprompts: [cars.csv, {template}]\naxes: {{seed: [1, 2]}}\n")

    (sweep,) = load_sweeps([project / "a.yaml"])

    assert sweep.variables == {"prompt.colour": ("red", "blue")}
    store = RunStore()
    tags = store.experiment_tags(store.open_experiment(sweep))
    assert json.loads(tags[AXES]) == {"seed": "number", "prompt.colour": "word"}


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{text: 'a {c'}", "prompts.0: `text` has a { without its other, or one in another; write {{ for itself"),
        ("{text: 'a {c}'}", "prompts.0: no variable 'c' under `variables`; write c: [A, B] there; a choice is {a|b}"),
        ("{text: 'a {cc}', variables: {ccc: x}}", "prompts.0: no variable 'cc' under `variables`; did you mean 'ccc'?"),
        ("{text: a, variables: {c: [x, y]}}", "prompts.0: variable `c` has several values and is not in the text"),
        ("{text: 'a {c}', variables: {c: [x, x]}}", "prompts.0: `c` has 'x' more than once"),
        ("{text: 'a {c}', variables: {c: [on, true]}}", "prompts.0.variables.c: must be a text or a number (got True)"),
        ("{text: 'a {seed}', variables: {seed: [1]}}", "prompts.0: variable 'seed' is a parameter, and no variable"),
        ("{text: 'a', variables: {template: b}}", "prompts.0: variable `template` is the template's own name"),
        ("{text: 'a', nam: b}", "prompts.0.nam: unknown key; did you mean 'name'?"),
        ("{text: 'a', name: a/b}", "prompts.0.name: is no name of a prompt"),
        ("{name: a, text: a}, {name: a, text: b}", "prompts: names a more than once"),
    ],
)
def test_a_mistake_in_a_template_is_one_line(tmp_path: Path, template: str, message: str) -> None:
    (line,) = told(tmp_path, f"[{template}]")

    assert line.startswith(f"sweep.yaml:2: {message}")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "name,prompt\nx,a\nx,b\n", "a.csv:3: name: 'x' is the name in line 2 too"),
        ("a.csv", "name,prompt\nx,\n", "a.csv:2: prompt: is empty; write the prompt there"),
        ("a.csv", "prompt,Sub Ject\na,b\na,c\n", "a.csv:2: Sub Ject: is no name of a variable: letters, digits and _"),
        ("a.csv", "prompt\na, b\n", "a.csv: line 2 has 2 values, and 1 columns are named in the first; put a text"),
        ("a.csv", "a,b\n1,2\n", "a.csv: has no column `prompt` or `text`, in its first line (got 'a, b')"),
        ("a.jsonl", '{"text": 3}\n', "a.jsonl:1: text: must be a text (got 3)"),
        ("a.jsonl", '{"text": "a"}\n{b\n', "a.jsonl: line 2 is no JSON: Expecting property name"),
        ("a.json", '{"text": "a"}', "a.json: must be a list of at most 100,000 prompts"),
        ("a.json", '[{"text": "a", "b": ' + '{"b": ' * 30 + "1" + "}" * 31 + "]", "a.json: holds more than 20 levels"),
        ("a.txt", "\n", "a.txt: holds no prompt"),
        ("b.txt", "a", "a.txt: no such file"),
    ],
)
def test_a_mistake_in_a_file_of_prompts_is_told_with_its_line(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    write(tmp_path / name, content)
    (line,) = told(tmp_path, f"[{name.replace('b.', 'a.')}]")

    assert line.startswith(message)

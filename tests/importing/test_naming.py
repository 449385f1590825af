"""What the names of files say."""

import pytest

from cogx_runs.errors import InputError
from cogx_runs.importing.naming import name_pattern, read_old_layout


@pytest.mark.parametrize(
    ("stem", "values"),
    [
        ("panda_guitar_gs6", {"prompt": "panda_guitar", "guidance_scale": "6"}),
        (
            "panda_guitar_gs7.5_steps25",
            {"prompt": "panda_guitar", "guidance_scale": "7.5", "num_inference_steps": "25"},
        ),
        ("samurai_seed123", {"prompt": "samurai", "seed": "123"}),
        ("samurai_frames25", {"prompt": "samurai", "num_frames": "25"}),
        ("panda_gs6_ab12cd", {"prompt": "panda", "guidance_scale": "6"}),
        ("panda_guitar", {"prompt": "panda_guitar"}),
        ("red_facade", {"prompt": "red_facade"}),
        ("panda_gs6_gs7", None),
    ],
)
def test_names_of_the_old_layout_give_prompt_and_parameters(stem: str, values: dict[str, str] | None) -> None:
    assert read_old_layout(stem) == values


def test_a_pattern_reads_what_its_fields_name_and_nothing_of_other_names() -> None:
    read = name_pattern("run{_}-{prompt}-cfg{guidance_scale}+{scheduler}.mp4")

    assert read("run07-panda-cfg1.5+ddim") == {"prompt": "panda", "guidance_scale": "1.5", "scheduler": "ddim"}
    assert read("panda-cfg1.5") is None
    assert read("run07-panda-cfghigh+ddim") is None


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("{prompt}_{guidance}", "unknown field 'guidance'; did you mean 'guidance_scale'?"),
        ("{prompt}_{sed}", "unknown field 'sed'; did you mean 'seed'?"),
        ("{prompt}_{seed}_{seed}", "names seed twice"),
        ("{prompt}_{seed:03}", "the field seed has a format"),
        ("panda", "names no field"),
        ("{prompt", "expected '}' before end of string"),
    ],
)
def test_a_pattern_that_cannot_be_read_is_one_line(pattern: str, message: str) -> None:
    with pytest.raises(InputError) as raised:
        name_pattern(pattern)

    assert str(raised.value).startswith(f"--pattern {pattern}: {message}")

"""Files that include others: in order, from below their folder, and within limits."""

from pathlib import Path

from cogx_runs.definitions.sweep import load_sweeps
from cogx_runs.errors import Mistake
from tests.support.sweep_files import mistakes_in, write

SWEEP = "name: {}\nprompts: all\n"


def test_includes_are_read_in_order_from_beside_the_including_file(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    write(tmp_path / "deep" / "a.yaml", "name: a\nprompts: all\n")
    write(tmp_path / "deep" / "b.yaml", "name: b\nprompts: all\n")
    write(tmp_path / "deep" / "both.yaml", "include: [b.yaml, a.yaml]\n")
    study = write(tmp_path / "study.yaml", "description: Both.\ninclude: [deep/both.yaml]\n")

    assert [sweep.name for sweep in load_sweeps([study])] == ["b", "a"]


def test_an_include_cycle_is_told_and_not_followed(tmp_path: Path) -> None:
    a, b = tmp_path / "a.yaml", tmp_path / "b.yaml"
    write(a, "include: [b.yaml]\n")
    write(b, "include: [a.yaml]\n")

    assert mistakes_in(a) == (Mistake(f"{b}:include.0", "a.yaml includes itself"),)


def test_one_file_may_be_included_from_two_places_only_once(tmp_path: Path) -> None:
    a = write(tmp_path / "a.yaml", "name: a\nprompts: all\n")
    study = write(tmp_path / "study.yaml", "include: [a.yaml, a.yaml]\n")

    assert mistakes_in(study) == (Mistake(f"{a}:name", "this file is given twice; give it once"),)


def test_every_missing_include_is_told(tmp_path: Path) -> None:
    study = write(tmp_path / "study.yaml", "include: [x.yaml, y.yaml]\n")

    assert mistakes_in(study) == (
        Mistake(f"{study}:include.0", f"no such file: {tmp_path / 'x.yaml'}"),
        Mistake(f"{study}:include.1", f"no such file: {tmp_path / 'y.yaml'}"),
    )


def test_an_include_file_that_also_defines_a_sweep_is_refused(tmp_path: Path) -> None:
    study = write(tmp_path / "study.yaml", "name: study\ninclude: [a.yaml]\n")

    assert mistakes_in(study) == (Mistake(f"{study}:name", "unknown key; valid: description, include"),)


def test_an_include_stays_below_the_folder_of_the_including_file(tmp_path: Path) -> None:
    secret = write(tmp_path / "secret", "root:x:0:0\n")
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "link.yaml").symlink_to(secret)
    (tmp_path / "study" / "here.yaml").symlink_to(tmp_path / "study" / "real.yaml")
    write(tmp_path / "study" / "real.yaml", SWEEP.format("real"))
    study = write(tmp_path / "study" / "study.yaml", f"include: [../secret, {secret}, link.yaml, here.yaml]\n")

    found = mistakes_in(study)

    assert found == tuple(
        Mistake(f"{study}:include.{index}", f"{name} is not below {tmp_path / 'study'}; include what is")
        for index, name in enumerate(("../secret", secret, "link.yaml"))
    )
    assert ":x:0:0" not in str(found)


def test_includes_that_multiply_end_at_a_thousand_files(tmp_path: Path) -> None:
    for depth in range(6):
        write(tmp_path / f"{depth}.yaml", f"include: [{', '.join([f'{depth + 1}.yaml'] * 10)}]\n")
    write(tmp_path / "6.yaml", SWEEP.format("a"))

    mistakes = mistakes_in(tmp_path / "0.yaml")

    assert mistakes[0].message == "is beyond the 1,000 files of one command"
    assert len(mistakes) <= 101


def test_a_chain_of_includes_ends_at_20_files(tmp_path: Path) -> None:
    for depth in range(50):
        write(tmp_path / f"{depth}.yaml", f"include: [{depth + 1}.yaml]\n")

    assert mistakes_in(tmp_path / "0.yaml") == (
        Mistake(f"{tmp_path / '19.yaml'}:include.0", "is more than 20 files deep"),
    )


def test_a_name_that_no_file_can_have_is_a_mistake_of_the_include(tmp_path: Path) -> None:
    study = write(tmp_path / "study.yaml", f"include: [{'n' * 300}, ~nobody_here/x, '']\n")

    assert [(mistake.where, mistake.message) for mistake in mistakes_in(study)] == [
        (f"{study}:include.0", "is longer than a file's name can be"),
        (f"{study}:include.1", "names no user's folder: ~nobody_here"),
    ]

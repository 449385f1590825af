"""Notes on prompts that a plan does not take although they look as if it did."""

from pathlib import Path

import pytest

from cogx_runs.definitions import shipped
from cogx_runs.definitions.prompts import PromptLibrary
from cogx_runs.definitions.sweep import load_sweeps
from cogx_runs.errors import CogxError
from cogx_runs.planning.plan import Advice
from cogx_runs.planning.prompts import advise_prompts


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a study in `st/`, whose own prompt is `ape`."""
    (tmp_path / "st" / "sweeps").mkdir(parents=True)
    (tmp_path / "st" / "prompts").mkdir()
    (tmp_path / "st" / "prompts" / "ape.txt").write_text("An ape.")
    (tmp_path / "st" / "sweeps" / "x.yaml").write_text("name: x\nprompts: all\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def notes(file: str, prompts: Path | None = None) -> list[Advice]:
    return list(advise_prompts(load_sweeps([file]), PromptLibrary.find(prompts)))


def test_a_folder_of_prompts_beside_that_of_the_sweep_file_is_told_where_others_are_used(study: Path) -> None:
    used = f"the prompts are those of {shipped.PROMPTS}"

    assert notes("st/sweeps/x.yaml") == [
        Advice(
            "note", "st/sweeps/x.yaml:prompts", f"st/prompts is not used: {used}; `--prompts st/prompts` takes it"
        )
    ]  # fmt: skip


def test_nothing_is_told_where_those_prompts_are_used_or_others_were_chosen(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (study / "others").mkdir()
    (study / "others" / "b.txt").write_text("B.")

    chosen = notes("st/sweeps/x.yaml", Path("others"))
    monkeypatch.chdir("st")

    assert (chosen, notes("sweeps/x.yaml"), notes("guidance")) == ([], [], [])
    (study / "own.yaml").write_text("name: own\nprompts: [{text: A cat.}]\n")
    assert notes("../own.yaml") == []


def test_a_folder_of_prompts_here_without_any_is_told(study: Path) -> None:
    (study / "prompts").mkdir()
    (study / "prompts" / "cat.TXT").write_text("A cat.")
    (study / "x.yaml").write_text("name: x\nprompts: [panda_guitar]\n")

    (note,) = notes("x.yaml")

    assert note.message == f"prompts holds no file NAME.txt, so that the prompts are those of {shipped.PROMPTS}"


def test_all_says_what_it_leaves_out(study: Path) -> None:
    folder = study / "st" / "prompts"
    for name in (b"cat.TXT", b".hidden.txt", b".txt", b"caf\xe9.txt"):
        (Path(str(folder)) / name.decode(errors="surrogateescape")).write_text("A cat.")
    (folder / "folder.txt").mkdir()
    (folder / "notes.md").write_text("none")

    library = PromptLibrary.find(folder)
    (note,) = notes("st/sweeps/x.yaml", folder)

    assert library.names == ["ape"]
    assert library.left_out == [".hidden.txt", ".txt", "caf\udce9.txt", "cat.TXT", "folder.txt"]
    assert note.message == (
        f"`all` leaves out .hidden.txt, .txt, caf\udce9.txt, cat.TXT, folder.txt of {folder}; "
        "a prompt is a file NAME.txt with a visible name in UTF-8"
    )


def test_a_chosen_folder_of_none_but_others_says_which(study: Path) -> None:
    (study / "others").mkdir()
    (study / "others" / "cat.TXT").write_text("A cat.")

    with pytest.raises(CogxError) as caught:
        PromptLibrary.find(Path("others"))

    assert str(caught.value) == (
        "--prompts others: holds no .txt file; each prompt is a file NAME.txt (left out: cat.TXT)"
    )

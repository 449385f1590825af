"""Prompts: text files, named by the file."""

from pathlib import Path

import pytest

from cogx_runs.definitions import shipped
from cogx_runs.definitions.document import read_document
from cogx_runs.definitions.mistakes import Given
from cogx_runs.definitions.prompts import Prompt, PromptLibrary
from cogx_runs.errors import CogxError, InputError, Mistake
from cogx_runs.models.cards import OPENAI_CLIP
from cogx_runs.models.tokens import CLIP_CONTEXT_LENGTH, count_clip_tokens

SHIPPED = [
    "astronauta_luna",
    "cane_parco",
    "citta_futuristica",
    "gatto_hacker",
    "oceano_balena",
    "panda_guitar",
    "persona_panino",
    "ronaldo_pizza",
    "samurai_pioggia",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the prompts `cat` and `dog`."""
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "cat.txt").write_text("A cat.", encoding="utf-8")
    (folder / "dog.txt").write_text("A dog.", encoding="utf-8")
    return folder


def test_the_nine_prompts_of_the_old_scripts_are_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert PromptLibrary.find().names == SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
def test_each_shipped_prompt_is_wholly_seen_by_clip(name: str) -> None:
    prompt = PromptLibrary(shipped.PROMPTS).read(name)

    count = count_clip_tokens(prompt.text, OPENAI_CLIP)

    assert (count.limit, count.exact) == (CLIP_CONTEXT_LENGTH, True)
    assert len(prompt.text.split()) < count.tokens <= 77


def test_each_shipped_prompt_has_an_english_name_and_keeps_its_own() -> None:
    library = PromptLibrary(shipped.PROMPTS)

    english = {library.read(alias).name for alias in read_document(shipped.PROMPTS / "aliases.yaml").root.value()}
    assert english == {*SHIPPED} - {"panda_guitar", "ronaldo_pizza"}
    assert "dog_park" in library
    assert library.read("dog_park") == library.read("cane_parco")


def test_an_alias_that_leads_nowhere_and_a_file_that_holds_none_are_mistakes(folder: Path) -> None:
    aliases = folder / "aliases.yaml"
    for text, message in {"hound: dgo\n": "did you mean 'dog'", "- dog\n": "must be a mapping of other names"}.items():
        aliases.write_text(text, encoding="utf-8")
        with pytest.raises(CogxError, match=message):
            PromptLibrary(folder).read("hound")


def test_a_file_added_to_the_folder_is_a_prompt_more(folder: Path) -> None:
    before = PromptLibrary.find(folder).names
    file = folder / "ape.txt"
    file.write_text("  An ape\n\n climbs\ta tree. \n", encoding="utf-8")

    library = PromptLibrary.find(folder)

    assert (before, library.names) == (["cat", "dog"], ["ape", "cat", "dog"])
    assert library.read("ape") == Prompt("ape", "An ape climbs a tree.", str(file))


def test_other_files_of_the_folder_are_no_prompts(folder: Path) -> None:
    (folder / "notes.md").write_text("not a prompt", encoding="utf-8")

    assert PromptLibrary.find(folder).names == ["cat", "dog"]


def test_prompts_are_read_as_utf_8(folder: Path) -> None:
    (folder / "cat.txt").write_text("Eine schöne Katze – 猫 🐈", encoding="utf-8")

    assert PromptLibrary.find(folder).read("cat").text == "Eine schöne Katze – 猫 🐈"


def test_prompts_come_in_the_order_in_which_they_are_named_and_all_in_that_of_the_alphabet(folder: Path) -> None:
    library = PromptLibrary.find(folder)
    cat = Prompt("cat", "A cat.", str(folder / "cat.txt"))
    dog = Prompt("dog", "A dog.", str(folder / "dog.txt"))

    assert library.select(["dog", "cat"], str) == [dog, cat]
    assert library.select(None, str) == [cat, dog]


def test_every_wrong_prompt_of_a_selection_is_told_with_its_place_and_the_nearest_name(folder: Path) -> None:
    (folder / "void.txt").write_text(" \n\t", encoding="utf-8")
    (folder / "old.txt").write_bytes(b"Caf" + "é".encode("latin-1"))

    with pytest.raises(InputError) as caught:
        PromptLibrary.find(folder).select(["catt", "dog", "void", "old", "zzz"], Given("s.yaml").at)

    assert caught.value.mistakes == (
        Mistake("s.yaml:prompts.0", f"no prompt 'catt' in {folder}; did you mean 'cat'?"),
        Mistake("s.yaml:prompts.2", f"{folder / 'void.txt'}: is empty; write the prompt into it"),
        Mistake("s.yaml:prompts.3", f"{folder / 'old.txt'}: not UTF-8 at byte 3; save the file as UTF-8"),
        Mistake("s.yaml:prompts.4", f"no prompt 'zzz' in {folder}; valid: cat, dog, old, void"),
    )


def test_a_wrong_file_among_all_prompts_is_told_at_the_word_all(folder: Path) -> None:
    (folder / "void.txt").touch()

    with pytest.raises(InputError) as caught:
        PromptLibrary.find(folder).select(None, Given("s.yaml").at)

    assert caught.value.mistakes == (
        Mistake("s.yaml:prompts", f"{folder / 'void.txt'}: is empty; write the prompt into it"),
    )


def test_a_file_with_a_byte_order_mark_gives_the_text_without_it(folder: Path) -> None:
    (folder / "cat.txt").write_bytes(b"\xef\xbb\xbfA cat.\r\n")

    assert PromptLibrary.find(folder).read("cat").text == "A cat."


def test_the_named_folder_goes_before_the_one_here_and_that_before_the_shipped_one(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shipped_only = PromptLibrary.find().directory
    (tmp_path / "prompts").mkdir()
    empty_here = PromptLibrary.find().directory
    (tmp_path / "prompts" / "bird.txt").write_text("A bird.", encoding="utf-8")

    assert (shipped_only, empty_here) == (shipped.PROMPTS, shipped.PROMPTS)
    assert (PromptLibrary.find().names, PromptLibrary.find(folder).names) == (["bird"], ["cat", "dog"])


def test_a_named_folder_that_is_missing_or_without_prompts_is_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()

    with pytest.raises(CogxError) as missing:
        PromptLibrary.find(tmp_path / "none")
    with pytest.raises(CogxError) as without:
        PromptLibrary.find(empty)

    assert str(missing.value) == f"--prompts {tmp_path / 'none'}: no such folder"
    assert str(without.value) == f"--prompts {empty}: holds no .txt file; each prompt is a file NAME.txt"


def test_a_set_of_prompts_stands_beside_names_of_the_folder(folder: Path) -> None:
    fox = Prompt("a_fox", "A fox.", "(command line)")
    library = PromptLibrary(folder)

    assert library.select([(fox,), "cat"], str) == [fox, Prompt("cat", "A cat.", str(folder / "cat.txt"))]
    assert (library.count([(fox, fox), "cat"]), library.count(None)) == (3, 2)

"""Prompts, and folders of them: text files, one each, named by the file, and by aliases."""

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cogx_runs.definitions import shipped
from cogx_runs.definitions.document import read_document
from cogx_runs.errors import MOST_MISTAKES, CogxError, InputError, Mistake, Place, did_you_mean
from cogx_runs.formatting import shortened
from cogx_runs.system.files import fault_of_text, is_file, is_folder, list_folder, read_text

LONGEST_NAME = 40
"""Characters of the name that a text of the command line gets."""
FOLDER = "prompts"
"""Folder of the user's own prompts, in the working folder."""
ALIASES = "aliases.yaml"
"""File of a folder of prompts that gives prompts other names: `dog_park: cane_parco`."""


@dataclass(frozen=True)
class Prompt:
    """A named text to generate videos from."""

    name: str
    text: str
    where: str
    """The file of the prompt, or another description of its source."""
    variables: tuple[tuple[str, str], ...] = ()
    """Name and value of each variable; prompts that share the value of `template` are compared along the others."""

    @classmethod
    def of_text(cls, text: str) -> "Prompt":
        """Names a text of the command line by its words, one without words by what Unicode calls its characters.

        Raises CogxError for a text that cannot be kept.
        """
        if fault := fault_of_text(text):
            raise CogxError(f"the prompt {fault}")
        signs = " ".join(unicodedata.name(sign, "sign") for sign in text[:LONGEST_NAME])
        return cls(_name(text) or _name(signs), text, "(command line)")


PromptSet = tuple[Prompt, ...]
"""Prompts that come together: of a file, of a folder, of a template."""


class PromptLibrary:
    """The prompts of one folder: every `NAME.txt` in it is the prompt NAME; `aliases.yaml` may add other names."""

    def __init__(self, directory: Path, *, is_chosen: bool = False) -> None:
        """Lists the prompts of `directory`; `is_chosen` is whether the user named the folder."""
        self.directory = directory
        self.is_chosen = is_chosen
        self._files: dict[str, Path] = {}
        self.left_out: list[str] = []
        """Names of files that look like prompts and are none: hidden, with another ending, or not UTF-8."""
        for path in list_folder(directory) if is_folder(directory) else ():
            if path.suffix.lower() == ".txt" or path.name.lower() == ".txt":
                self._list(path)

    def _list(self, path: Path) -> None:
        is_named = path.suffix == ".txt" and not path.name.startswith(".") and fault_of_text(path.name) is None
        if is_named and is_file(path):
            self._files[path.stem] = path
        else:
            self.left_out.append(path.name)

    @classmethod
    def find(cls, directory: Path | None = None) -> "PromptLibrary":
        """Finds the library in `directory`, else in `prompts/` of the working folder, else the shipped one.

        Raises CogxError when `directory` is given and is no folder with prompts in it.
        """
        if directory is None:
            local = cls(Path(FOLDER))
            return local if local.names else cls(shipped.PROMPTS)
        if not is_folder(directory):
            raise CogxError(f"--prompts {shortened(str(directory))[1:-1]}: no such folder")
        library = cls(directory, is_chosen=True)
        if not library.names:
            others = f" (left out: {list_names(library.left_out)})" if library.left_out else ""
            raise CogxError(f"--prompts {directory}: holds no .txt file; each prompt is a file NAME.txt{others}")
        return library

    @property
    def names(self) -> list[str]:
        """Names of the prompts in files, sorted."""
        return list(self._files)

    def __contains__(self, name: str) -> bool:
        """Checks whether a prompt has this name or alias."""
        return name in self._files or name in self._aliases()

    def _how_to_add(self) -> str:
        is_shipped = self.directory == shipped.PROMPTS
        copied = "copy the prompts here by `cogx-runs init .`, " if is_shipped else ""
        folder = FOLDER if is_shipped else self.directory
        return f"a prompt is a file: {copied}write this text into {folder}/NAME.txt, and give NAME"

    def _aliases(self) -> dict[str, str]:
        """Reads the prompts' other names. Raises CogxError for a file that is not a mapping of names."""
        path = self.directory / ALIASES
        found = read_document(path).root.value() if is_file(path) else None
        if not isinstance(found, dict | None) or not all(isinstance(name, str) for name in (found or {}).values()):
            raise CogxError(f"{path}: must be a mapping of other names to prompts, such as `dog_park: cane_parco`")
        return found or {}

    def read(self, name: str) -> Prompt:
        """Reads the prompt of this name or alias, its white space folded; `name` is then its file's. Raises CogxError
        where it is missing, empty or no text."""
        aliases = {} if name in self._files else self._aliases()
        name = aliases.get(name, name)
        path = self._files.get(name)
        if path is None:
            near = did_you_mean(name, [*self.names, *aliases])
            instead = self._how_to_add() if " " in name.strip() else near
            raise CogxError(f"no prompt {shortened(name)} in {self.directory}; {instead}")
        try:
            text = " ".join(read_text(path).split())
        except CogxError as error:
            raise CogxError(f"{path}: {error}") from error
        if not text:
            raise CogxError(f"{path}: is empty; write the prompt into it")
        if fault := fault_of_text(text):
            raise CogxError(f"{path}: {fault}")
        return Prompt(name, text, str(path))

    def mistakes(self, names: Mapping[Place, str]) -> Iterator[Mistake]:
        """Finds, at their places, the names whose prompts cannot be read."""
        for place, name in names.items():
            try:
                self.read(name)
            except CogxError as error:
                yield Mistake(place, str(error))

    def select(self, entries: "Sequence[str | PromptSet] | None", at: Callable[[str], str]) -> list[Prompt]:
        """Reads the prompts of the entries in that order, names and sets, or all for None. Raises InputError naming
        every invalid name, at its place, which `at` returns for a dotted path."""
        prompts: list[Prompt] = []
        mistakes: list[Mistake] = []
        for index, entry in enumerate(self.names if entries is None else entries):
            try:
                prompts += [self.read(entry)] if isinstance(entry, str) else entry
            except CogxError as error:
                mistakes.append(Mistake(at(f"prompts.{index}" if entries else "prompts"), str(error)))
            if len(mistakes) > MOST_MISTAKES:
                break  # the error lists no more
        if mistakes:
            raise InputError(mistakes)
        return prompts

    def count(self, entries: "Sequence[str | PromptSet] | None") -> int:
        """Counts the prompts that `select` reads."""
        if entries is None:
            return len(self._files)
        return sum(1 if isinstance(entry, str) else len(entry) for entry in entries)


def name_of(text: str, longest: int = LONGEST_NAME) -> str:
    """Names a text by its words. A name that would be too long ends in digits of the text's hash, so that texts that
    begin alike have names of their own; a text without words is named by the hash."""
    words = re.sub(r"\W+", "_", text.lower()).strip("_")
    return words if 0 < len(words) <= longest else marked(words[: longest - 7], text)


def marked(name: str, text: str) -> str:
    """Appends digits of a text's hash to a name."""
    return f"{name.strip('_')}_{hashlib.sha256(text.encode()).hexdigest()[:6]}".strip("_")


def _name(text: str) -> str:
    return re.sub(r"\W+", "_", text.lower())[:LONGEST_NAME].strip("_")


def list_names(names: Sequence[str], most: int = 5) -> str:
    """Lists names of files for a message, the first of many."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more

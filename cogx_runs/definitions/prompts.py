"""Prompts: one text file each, named by the file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cogx_runs.definitions import shipped
from cogx_runs.errors import CogxError, InputError, Mistake, did_you_mean


@dataclass(frozen=True)
class Prompt:
    """Names a text to make videos of."""

    name: str
    text: str
    where: str
    """The file it was read from, or how else it was given."""


class PromptLibrary:
    """Finds the prompts of one folder: every `NAME.txt` in it is the prompt NAME."""

    def __init__(self, directory: Path, given: Prompt | None = None) -> None:
        """Takes the prompts of `directory`, and `given`, one that comes from elsewhere."""
        self.directory = directory
        self._given = given
        self._files = {path.stem: path for path in sorted(directory.glob("[!.]*.txt")) if path.is_file()}

    @classmethod
    def find(cls, directory: Path | None = None) -> "PromptLibrary":
        """Finds the library in `directory`, else in `prompts/` of the working folder, else the shipped one.

        Raises CogxError when `directory` is given and is no folder with prompts in it.
        """
        if directory is None:
            local = Path("prompts")
            return cls(local if any(local.glob("*.txt")) else shipped.PROMPTS)
        if not directory.is_dir():
            raise CogxError(f"--prompts {directory}: no such folder")
        library = cls(directory)
        if not library.names:
            raise CogxError(f"--prompts {directory}: holds no .txt file; each prompt is a file NAME.txt")
        return library

    @property
    def names(self) -> list[str]:
        return list(self._files)

    def read(self, name: str) -> Prompt:
        """Reads the prompt `name`, its white space folded. Raises CogxError where it is missing, empty or not UTF-8."""
        if self._given is not None and name == self._given.name:
            return self._given
        path = self._files.get(name)
        if path is None:
            raise CogxError(f"no prompt {name!r} in {self.directory}; {did_you_mean(name, self.names)}")
        try:
            text = " ".join(path.read_text(encoding="utf-8-sig").split())
        except OSError as error:
            raise CogxError(f"{path}: cannot be read ({error.strerror}); mend its permissions") from error
        except UnicodeDecodeError as error:
            raise CogxError(f"{path}: not UTF-8 at byte {error.start}; save the file as UTF-8") from error
        if not text:
            raise CogxError(f"{path}: is empty; write the prompt into it")
        return Prompt(name, text, str(path))

    def select(self, names: Sequence[str] | None, where: str) -> list[Prompt]:
        """Reads the named prompts in that order, or all for None. Raises InputError naming every one that is wrong."""
        prompts, mistakes = [], []
        for index, name in enumerate(self.names if names is None else names):
            try:
                prompts.append(self.read(name))
            except CogxError as error:
                mistakes.append(Mistake(f"{where}.{index}" if names else where, str(error)))
        if mistakes:
            raise InputError(mistakes)
        return prompts

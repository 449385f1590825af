"""Notes on prompts that a plan does not take although they look as if it did."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from cogx_runs.definitions import shipped
from cogx_runs.definitions.prompts import FOLDER, PromptLibrary, list_names
from cogx_runs.definitions.sweep import Sweep
from cogx_runs.planning.plan import Advice
from cogx_runs.system.files import is_file, is_folder


def advise_prompts(sweeps: Sequence[Sweep], library: PromptLibrary) -> Iterator[Advice]:
    """Notes files that `all` leaves out, and folders of prompts near a sweep file that are not the one in use."""
    for sweep in sweeps:
        where = sweep.at("prompts")
        if sweep.prompts is None and library.left_out:
            left_out = f"`all` leaves out {list_names(library.left_out)} of {library.directory}"
            yield Advice("note", where, f"{left_out}; a prompt is a file NAME.txt with a visible name in UTF-8")
        names = sweep.prompts is None or any(isinstance(entry, str) for entry in sweep.prompts)
        if library.is_chosen or not names or not is_file(Path(sweep.file)):
            continue
        for folder in _near(Path(sweep.file)):
            if folder not in {library.directory.absolute(), shipped.PROMPTS.absolute()}:
                yield Advice("note", where, _passed_over(folder, library))


def _near(file: Path) -> list[Path]:
    """Lists the folders of prompts in the working folder, beside the file and beside the file's folder."""
    around = (Path.cwd(), *file.absolute().parents[:2])
    return [folder for folder in dict.fromkeys(path / FOLDER for path in around) if is_folder(folder)]


def _passed_over(folder: Path, library: PromptLibrary) -> str:
    named = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
    used = f"the prompts are those of {library.directory}"
    if not PromptLibrary(folder).names:
        return f"{named} holds no file NAME.txt, so that {used}"
    return f"{named} is not used: {used}; `--prompts {named}` takes it"

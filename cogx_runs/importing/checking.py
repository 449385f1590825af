"""Checks the videos of a folder, and what is said of them, before any is imported."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cogx_runs.definitions.mistakes import Given, mistakes_of
from cogx_runs.definitions.parameters import OF_VIDEO, Parameters
from cogx_runs.definitions.prompts import Prompt, PromptLibrary
from cogx_runs.definitions.settings import Setting, read_settings
from cogx_runs.definitions.sweep import COMMAND_LINE
from cogx_runs.errors import CogxError, InputError, Mistake, Place, shown_place
from cogx_runs.formatting import write_value
from cogx_runs.importing.candidates import ENDING, IMPORTED, Candidate
from cogx_runs.importing.naming import PROMPT
from cogx_runs.importing.table import PROMPT_TEXT, TableRow
from cogx_runs.models.cards import OPENAI_CLIP
from cogx_runs.planning.cells import resolve_clip
from cogx_runs.video import examine_video


def check_videos(
    folder: Path, rows: Sequence[TableRow], experiment: str, constants: Mapping[str, Any], library: PromptLibrary
) -> list[Candidate]:
    """Reads each video whole, and joins what its row, its frames and the `constants` say of it.

    Raises InputError naming every mistake: unknown or broken files, unknown prompts, invalid or contradicting values.
    """
    check = _Check(folder, experiment, library)
    shared = check.constants(constants, rows)
    found: dict[str, Candidate] = {}
    for row in rows:
        video = check.video(row, shared)
        if video is not None:
            first = found.setdefault(video.sha256, video)
            if first is not video:
                check.add(row.place, f"{row.file} is {first.path.name} again, byte for byte; import one")
    if check.mistakes:
        raise InputError(check.mistakes)
    return list(found.values())


class _Check:
    """Makes candidates of rows, and collects the mistakes in them."""

    def __init__(self, folder: Path, experiment: str, library: PromptLibrary) -> None:
        self._folder = folder
        self._experiment = experiment
        self._library = library
        self.mistakes: list[Mistake] = []

    def add(self, where: str, message: str) -> None:
        """Adds a mistake."""
        self.mistakes.append(Mistake(where, message))

    def constants(self, values: Mapping[str, Any], rows: Sequence[TableRow]) -> dict[str, Any]:
        """Checks the values that all videos share."""
        for name in values:
            files = sum(name in row.values for row in rows)
            if name in Parameters.model_fields and name not in OF_VIDEO:
                self.add(Place(COMMAND_LINE, name), "changes nothing of a video, and is not recorded of one")
            elif files:
                message = f"is given for all videos, and for {files} of them alone; give it once"
                self.add(Place(COMMAND_LINE, name), message)
        return self._typed(values, COMMAND_LINE)

    def video(self, row: TableRow, shared: Mapping[str, Any]) -> Candidate | None:
        """Joins all that is known of a video; None where something of it is a mistake."""
        before = len(self.mistakes)
        given = self._given(row)
        prompt = self._prompt(row)
        path = self._folder / row.file
        seen = self._seen(path, row)
        known = {**shared, **given}
        for name in seen.keys() & known.keys():
            if known[name] != seen[name]:
                self.add(row.place, f"the video has {name} {seen[name]}, and {write_value(known[name])} is given")
        if prompt is None or len(self.mistakes) > before:
            return None
        known = {"model": IMPORTED, **known, **seen}
        clip_model = known.get("clip_model") or ("toy" if known["model"] == "toy" else OPENAI_CLIP)
        return Candidate(
            path=path,
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
            sweep=self._experiment,
            prompt_name=prompt.name,
            prompt=prompt.text,
            given=given,
            known={**known, "clip_model": resolve_clip(clip_model)},
        )

    def _given(self, row: TableRow) -> dict[str, Any]:
        """Reads the parameters of a row."""
        found: dict[str, Any] = {}
        for name, text in row.values.items():
            if name in (PROMPT, PROMPT_TEXT):
                continue
            try:
                found |= read_settings([Setting(f"{row.place.shown}: {name}", name, text)])
            except InputError as error:
                self.mistakes += error.mistakes
        return self._typed(found, row.place)

    def _prompt(self, row: TableRow) -> Prompt | None:
        """Reads the prompt of a row: its words, or those of its name."""
        try:
            if PROMPT_TEXT in row.values:
                prompt = Prompt.of_text(" ".join(row.values[PROMPT_TEXT].split()))
                return Prompt(row.values.get(PROMPT, prompt.name), prompt.text, prompt.where)
            if PROMPT in row.values:
                return self._library.read(row.values[PROMPT])
            self.add(row.place, "no prompt is named; give its name or its text")
        except CogxError as error:
            self.add(row.place, str(error))
        return None

    def _seen(self, path: Path, row: TableRow) -> dict[str, Any]:
        """Reads from the frames what they say themselves; a frame rate that is not whole is rounded."""
        if Path(row.file).name != row.file or path.suffix.lower() != ENDING or not path.is_file():
            self.add(row.place, f"{row.file}: no such {ENDING} file in {self._folder}")
            return {}
        try:
            video = examine_video(path)
        except CogxError:
            self.add(row.place, f"{row.file}: cannot be decoded to its end; make or copy it again")
            return {}
        fps = max(1, round(video.fps))
        seen = {"num_frames": video.num_frames, "height": video.height, "width": video.width, "fps": fps}
        return self._typed(seen, row.place)

    def _typed(self, values: Mapping[str, Any], where: str) -> dict[str, Any]:
        """Converts values to their parameters' types; those that are null are not known. Nothing where one is
        invalid."""
        try:
            typed = Parameters.model_validate(dict(values))
        except ValidationError as error:
            self.mistakes += mistakes_of(error, Given(shown_place(where)), {"": Parameters})
            return {}
        return {name: value for name in values if (value := getattr(typed, name)) is not None}

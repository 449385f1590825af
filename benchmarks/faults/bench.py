"""What all rows share: the models, the folders of studies, the references, and who is told."""

import shutil
import sys
import threading
from pathlib import Path

from benchmarks.faults.study import ROOT, Models, Reference, Study, Tally
from benchmarks.random_model import save_random_clip, save_random_model


class Bench:
    """The workplace of one call, in a folder that its caller removes."""

    def __init__(self, folder: Path, parallel: int = 2) -> None:
        """`parallel` is the number of faults that are injected at once, where the order of them does not matter."""
        self.folder = folder
        self.parallel = parallel
        self._references: dict[int, Reference] = {}
        self._making = threading.Lock()
        self.models = Models(folder / "model", folder / "clip")
        save_random_model(self.models.model, "tiny", ROOT / "prompts")
        save_random_clip(self.models.clip)

    def study(self, name: str, cells: int, uri: str | None = None) -> Study:
        """Makes a study of its own folder."""
        return Study(self.folder / name, self.models, cells, uri)

    def reference(self, cells: int, *options: str, fps: int = 8) -> Reference:
        """Makes, once, the same study undisturbed; `options` add the cells of another `fps`."""
        with self._making:
            if cells not in self._references:
                self._references[cells] = Reference(self.study(f"reference-{cells}", cells))
                self._references[cells].make()
            if options and not self._references[cells].knows(fps):
                self._references[cells].make(*options, fps=fps)
            return self._references[cells]

    def concluded(self, study: Study, name: str, tally: Tally, notes: list[str]) -> Tally:
        """Completes the tally of one fault with what else was noted, tells it, and removes the study where all is
        right."""
        tally.injected = 1
        tally.notes = [f"{name}: {note}" for note in [*notes, *tally.notes]]
        self.tell(f"{name}: right: {tally.is_right} {tally.notes}")
        if tally.is_right:
            self.remove(study)
        return tally

    def remove(self, study: Study) -> None:
        """Removes the folder of a study in which all is right."""
        shutil.rmtree(study.folder, ignore_errors=True)

    def tell(self, line: str) -> None:
        """Tells of progress."""
        print(line, file=sys.stderr, flush=True)

"""Sweeps, read from their definition files and checked."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import islice
from math import prod
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError, ValidationInfo, field_validator

from cogx_runs.definitions import shipped
from cogx_runs.definitions.axes import WrittenAxes, check_axes, read_axes, settings
from cogx_runs.definitions.document import Document, nearest_line, read_document
from cogx_runs.definitions.frozen import Frozen
from cogx_runs.definitions.limits import DEEPEST, MOST_FILES
from cogx_runs.definitions.mistakes import Given, mistakes_of
from cogx_runs.definitions.parameters import Parameters
from cogx_runs.definitions.prompt_files import is_prompt_file, read_prompts
from cogx_runs.definitions.prompts import PromptLibrary, PromptSet
from cogx_runs.definitions.ranges import OptunaSearch, Range, check_ranges
from cogx_runs.definitions.sweep_file import IncludeFile, RandomDraw, SweepFile, Vary
from cogx_runs.definitions.templates import Template
from cogx_runs.definitions.variables import TEMPLATE, variable_param
from cogx_runs.errors import MOST_MISTAKES, InputError, Mistake, Place
from cogx_runs.formatting import cut
from cogx_runs.system.files import is_file, is_folder

COMMAND_LINE = "(command line)"
"""Stands for a file where the command line sets a value."""


class Sweep(Frozen):
    """One sweep, checked: the experiment `name`, and the axes varied around `base`."""

    name: str
    file: str
    """The file as the user named it; `(command line)` for a sweep without a file."""
    description: str
    prompts: tuple[str | PromptSet, ...] | None
    """Names, and the prompts that files and templates hold, in order; None for all of the library."""
    base: Parameters
    vary: Vary
    tied: tuple[tuple[str, ...], ...] = ()
    """Axes whose first values go together, then the second ones, in groups."""
    axes: dict[str, tuple[Any, ...]]
    """Values of each varied parameter, each of the parameter's own type; of a range, its ends."""
    random: RandomDraw | None = None
    ranges: dict[str, Range] = Field(default_factory=dict)
    """The `axes` that are ranges, which only a search has."""
    optuna: OptunaSearch | None = None
    primary: str | None = None
    """The metric that carries the verdicts of a report; None for the CLIP score."""
    max_prompts: int | None = None
    """The most prompts that will be compared, over which the error of repeated looks is kept; None where it is open."""
    extra_metrics: tuple[str, ...] = ()
    """Optional metrics that its cells have besides all others."""
    overridden: frozenset[str] = frozenset()
    """Parameters of `base` that the command line sets."""
    lines: dict[str, int] = Field(default_factory=dict, repr=False)
    """Line of each value in the file, by its dotted path."""

    @field_validator("axes")
    @classmethod
    def _typed_axes(cls, axes: dict[str, tuple[Any, ...]], info: ValidationInfo) -> dict[str, tuple[Any, ...]]:
        """Converts the values of a sweep built in Python as those of a file. Raises InputError naming every mistake."""
        mistakes: list[Mistake] = []
        written = WrittenAxes(axes, info.data.get("tied", ()))
        checked = check_axes(written, info.data.get("vary"), Given(info.data.get("file", "axes")), mistakes)
        if mistakes:
            raise InputError(mistakes)
        return checked

    @property
    def configurations(self) -> int:
        """Number of configurations that are made of each prompt, those that are named twice counted twice."""
        lengths = [len(values) for _, values in self.settings]
        if self.random is not None:
            return self.random.count
        if self.vary == "grid" or not lengths:
            return prod(lengths)
        return max(lengths) if self.vary == "zip" else sum(lengths)

    @property
    def variables(self) -> dict[str, tuple[str, ...]]:
        """Values of the variables that prompts of one template differ in, by the params that keep them."""
        found: dict[tuple[str, str], list[str]] = {}
        for prompt in (one for entry in self.prompts or () if not isinstance(entry, str) for one in entry):
            about = dict(prompt.variables)
            if template := about.pop(TEMPLATE, None):
                for name, value in about.items():
                    found.setdefault((template, variable_param(name)), []).append(value)
        several: dict[str, list[str]] = {}
        for (_, name), values in found.items():
            if len(set(values)) > 1:
                several.setdefault(name, []).extend(values)
        return {name: tuple(dict.fromkeys(values)) for name, values in several.items()}

    @property
    def settings(self) -> list[tuple[tuple[str, ...], list[tuple[Any, ...]]]]:
        """What varies by itself, an axis or several that are tied: names, and the values of each setting."""
        return settings(self.axes, self.tied)

    def at(self, path: str) -> Place:
        """Returns the place of a dotted path in the file."""
        return Place(self.file, path, nearest_line(path, self.lines.get))

    def where(self, parameter: str) -> Place:
        """Returns the place that sets `parameter`, as `file:dotted.path`."""
        if parameter in self.overridden and parameter not in self.axes:
            return Place(COMMAND_LINE, f"base.{parameter}")
        paths = {path.rpartition(".")[2]: path for path in self.lines if path.startswith("axes.")}
        return self.at(paths.get(parameter, f"axes.{parameter}") if parameter in self.axes else f"base.{parameter}")


def parameters_of(overrides: Mapping[str, Any]) -> Parameters:
    """Returns the defaults with the values of the command line. Raises InputError naming every mistake."""
    try:
        return Parameters.model_validate(dict(overrides))
    except ValidationError as error:
        raise InputError(mistakes_of(error, Given(COMMAND_LINE), {"": Parameters})) from error


def load_sweeps(
    files: Sequence[str | Path],
    overrides: Mapping[str, Any] | None = None,
    prompts: PromptLibrary | None = None,
) -> list[Sweep]:
    """Reads sweep files, with those that they include, in order.

    A bare name such as `guidance` is a file of `sweeps/` here, else the shipped one. `overrides` replace values of
    `base` in every file. Raises InputError naming every mistake of all files, prompts that `prompts` lacks among them
    where it is given.
    """
    loading = _Loading(dict(overrides or {}), prompts)
    try:
        parameters_of(loading.overrides)
    except InputError as error:
        loading.mistakes += error.mistakes
        loading.overrides = {}
    for name in files:
        path = _locate(str(name), loading.mistakes)
        if path is not None:
            loading.load(path, ())
    earlier: dict[str, Sweep] = {}
    for sweep in loading.sweeps:
        first = earlier.setdefault(sweep.name, sweep)
        if first is not sweep:
            is_same = first.file == sweep.file
            named = f"{first.file} has the name {sweep.name!r} too; give one of the two another"
            message = "this file is given twice; give it once" if is_same else named
            loading.mistakes.append(Mistake(sweep.at("name"), message))
    if loading.mistakes:
        raise InputError(loading.mistakes)
    return loading.sweeps


def _locate(name: str, mistakes: list[Mistake]) -> Path | None:
    path = Path(name)
    if is_file(path):
        return path
    if path.parent == Path():
        for directory in (Path("sweeps"), shipped.SWEEPS):
            candidate = directory / f"{path.name.removesuffix('.yaml')}.yaml"
            if is_file(candidate):
                return candidate
    mistakes.append(Mistake(cut(name), _not_there(path)))
    return None


def _not_there(path: Path) -> str:
    """Describes a sweep file that is not there, with the nearest one beside it, else those that are shipped."""
    if is_folder(path):
        return "is a folder; name a sweep file in it"
    folders = [folder for folder in (path.parent, Path("sweeps")) if is_folder(folder)]
    beside = [file.name for folder in folders for file in folder.glob("*.yaml")]
    if near := get_close_matches(path.name, beside, n=1, cutoff=0.8):
        return f"no such sweep file; did you mean {near[0]!r}?"
    shipped_names = sorted(file.stem for file in shipped.SWEEPS.glob("*.yaml"))
    return f"no such sweep file; shipped: {', '.join(shipped_names)} (`cogx-runs init .` copies them here)"


@dataclass
class _Loading:
    """The sweeps and the mistakes of the files that one command names."""

    overrides: dict[str, Any]
    prompts: PromptLibrary | None = None
    sweeps: list[Sweep] = field(default_factory=list)
    mistakes: list[Mistake] = field(default_factory=list)
    files: int = 0

    def load(self, path: Path, above: tuple[Path, ...]) -> None:
        """Reads a file, below those that include it."""
        self.files += 1
        try:
            document = read_document(path)
        except InputError as error:
            self.mistakes += error.mistakes
            return
        if not isinstance(document.root.content, dict):
            message = "must be a mapping with at least `name` and `prompts`, or with `include`"
            self.mistakes.append(Mistake(str(path), message))
        elif "include" in document.root.content:
            self._include(document, path, (*above, path.resolve()))
        else:
            self._sweep(document)

    def _include(self, document: Document, path: Path, above: tuple[Path, ...]) -> None:
        try:
            names = IncludeFile.model_validate(document.root.value()).include
        except ValidationError as error:
            self.mistakes += mistakes_of(error, document, {"": IncludeFile})
            return
        folder = above[-1].parent
        for index, name in enumerate(names):
            where, below = document.at(f"include.{index}"), path.parent / name
            if self.files >= MOST_FILES:
                self.mistakes.append(Mistake(where, f"is beyond the {MOST_FILES:,} files of one command"))
                return
            if not is_file(below):
                self.mistakes.append(Mistake(where, f"no such file: {below}"))
            elif not below.resolve().is_relative_to(folder):
                self.mistakes.append(Mistake(where, f"{name} is not below {path.parent}; include what is"))
            elif below.resolve() in above:
                self.mistakes.append(Mistake(where, f"{name} includes itself"))
            elif len(above) >= DEEPEST:
                self.mistakes.append(Mistake(where, f"is more than {DEEPEST} files deep"))
            else:
                self.load(below, above)

    def _sweep(self, document: Document) -> None:
        content = document.root.value()
        found: list[Mistake] = []
        axes = WrittenAxes({})
        if isinstance(content.get("axes"), dict):
            axes = read_axes(content["axes"], document, found)
            content["axes"] = axes.values
        try:
            file = SweepFile.model_validate(content)
        except ValidationError as error:
            found += mistakes_of(error, document, _MODELS)
        named = content.get("prompts")
        entries = self._entries(named, document, found) if isinstance(named, list) else None
        vary = content.get("vary")
        checked = check_axes(axes, vary, document, found)
        ranges = check_ranges(axes.values, vary == "optuna", document.at, found)
        if found:
            self.mistakes += found
            return
        base = Parameters.model_validate({**file.base.model_dump(exclude_unset=True), **self.overrides})
        self.sweeps.append(
            Sweep(
                name=file.name,
                file=document.file,
                description=file.description,
                prompts=entries,
                base=base,
                vary=file.vary,
                tied=axes.tied,
                axes={name: checked.get(name) or (ranges[name].low, ranges[name].high) for name in axes.values},
                random=file.random,
                ranges=ranges,
                optuna=file.optuna,
                primary=file.primary,
                max_prompts=file.max_prompts,
                extra_metrics=tuple(dict.fromkeys(file.extra_metrics)),
                overridden=frozenset(self.overrides),
                lines=document.lines(),
            )
        )

    def _entries(self, named: list[Any], document: Document, found: list[Mistake]) -> tuple[str | PromptSet, ...]:
        """Reads the files and templates among the entries of `prompts`; adds to `found`. A prompt that two of them hold
        alike is one."""
        entries: list[str | PromptSet] = []
        names: dict[Place, str] = {}
        for index, entry in enumerate(named):
            where = document.at(f"prompts.{index}")
            try:
                if isinstance(entry, dict):
                    entries.append(Template.model_validate(entry).prompts(f"{where}"))
                elif isinstance(entry, str) and is_prompt_file(entry):
                    entries.append(read_prompts(Path(document.file).parent / entry))
                elif isinstance(entry, str):
                    entries.append(entry)
                    names[where] = entry
            except ValidationError:
                continue  # reported with the file's other mistakes
            except InputError as error:
                found += error.mistakes
        if self.prompts is not None:
            wrong = {mistake.where for mistake in found}
            unknown = islice(self.prompts.mistakes(names), MOST_MISTAKES + 1)
            found += [mistake for mistake in unknown if mistake.where not in wrong]
        kept, twice = _each_once(entries)
        if twice:
            found.append(Mistake(document.at("prompts"), f"names {twice} more than once"))
        return kept


def _each_once(entries: Iterable[str | PromptSet]) -> tuple[tuple[str | PromptSet, ...], str]:
    """Leaves each prompt of the sets where it comes first, and lists the names that stand for more than one prompt."""
    kept: list[str | PromptSet] = []
    texts: dict[str, str | None] = {}
    twice: list[str] = []
    for entry in entries:
        if isinstance(entry, str):
            twice += [entry] if entry in texts else []
            texts.setdefault(entry, None)
            kept.append(entry)
        else:
            new = tuple(prompt for prompt in entry if prompt.name not in texts)
            twice += [prompt.name for prompt in entry if texts.get(prompt.name, prompt.text) != prompt.text]
            texts |= {prompt.name: prompt.text for prompt in new}
            kept.append(new)
    return tuple(kept), cut(", ".join(sorted(map(cut, set(twice)))))


_MODELS: dict[str, type[BaseModel]] = {"": SweepFile, "base": Parameters, "random": RandomDraw, "optuna": OptunaSearch}
"""The models of a file and of its parts."""

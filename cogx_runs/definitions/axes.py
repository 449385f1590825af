"""The axes of a sweep: their values as a file writes them, each of its parameter's type, and those that are tied."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from cogx_runs.definitions.mistakes import Source, clause, nearest_axis
from cogx_runs.definitions.parameters import STANDS_FOR, SWEPT, Parameters
from cogx_runs.definitions.seeds import listed
from cogx_runs.errors import Mistake
from cogx_runs.formatting import cut, shortened

_TIED = "zip"


@dataclass(frozen=True)
class WrittenAxes:
    """The axes of a file before their values are checked."""

    values: Mapping[str, Any]
    """What is written for each parameter: a list of values, a range, or what is neither."""
    tied: tuple[tuple[str, ...], ...] = ()
    """Parameters whose first values go together, then the second ones, in groups."""
    paths: Mapping[str, str] = field(default_factory=dict)
    """Where the values of a parameter are written; without an entry at `axes.PARAMETER`."""

    def path(self, parameter: str) -> str:
        """Returns the dotted path of a parameter's values."""
        return self.paths.get(parameter, f"axes.{parameter}")


def read_axes(content: Mapping[str, Any], source: Source, mistakes: list[Mistake]) -> WrittenAxes:
    """Reads `axes`: tied ones become axes of their own, and a count of seeds becomes a list; adds to `mistakes`."""
    values: dict[str, Any] = {}
    paths: dict[str, str] = {}
    tied: list[tuple[str, ...]] = []

    def add(parameter: str, given: Any, path: str) -> None:
        if parameter in values:
            mistakes.append(Mistake(source.at(path), f"is an axis already, as {paths[parameter]}; give it once"))
            return
        paths[parameter] = path
        try:
            values[parameter] = listed(given) if parameter == "seed" else given
        except ValueError as error:
            mistakes.append(Mistake(source.at(path), str(error)))

    for name, given in content.items():
        path = f"axes.{name}"
        if not isinstance(given, dict) or _TIED not in given:
            add(name, given, path)
            continue
        group = given[_TIED]
        if len(given) > 1 or not isinstance(group, dict) or len(group) < 2:
            message = "ties axes together as `{zip: {width: [480, 720], height: [320, 480]}}`, two or more"
            mistakes.append(Mistake(source.at(path), message))
            continue
        before = len(mistakes)
        for parameter, several in group.items():
            inner = f"{path}.{_TIED}.{parameter}"
            add(parameter, several, inner)
            if len(mistakes) == before and not (isinstance(values[parameter], list) and values[parameter]):
                mistakes.append(Mistake(source.at(inner), f"must be a list of values (got {shortened(several)})"))
        if len(mistakes) > before:
            for parameter in group:
                values.pop(parameter, None)
        else:
            tied.append(tuple(group))
    return WrittenAxes(values, tuple(tied), paths)


def check_axes(axes: WrittenAxes, vary: Any, source: Source, mistakes: list[Mistake]) -> dict[str, tuple[Any, ...]]:
    """Converts the values of each axis to the parameter's type; adds to `mistakes`.

    No value stands twice on an axis, and with `vary: zip` and on tied axes no combination of values.
    """
    checked: dict[str, tuple[Any, ...]] = {}
    for name, values in axes.values.items():
        path = axes.path(name)
        if name not in Parameters.model_fields:
            mistakes.append(Mistake(source.at(path), f"unknown parameter; {nearest_axis(str(name))}"))
        elif name not in SWEPT:
            message = "is no axis: its cells would all be one, with the same pixels and scores; set it in base"
            if name in STANDS_FOR:
                message = f"is no axis, since it stands for {', '.join(STANDS_FOR[name])}; vary these"
            mistakes.append(Mistake(source.at(path), message))
        elif isinstance(values, list | tuple):
            typed = []
            for index, value in enumerate(values):
                try:
                    typed.append(getattr(Parameters.model_validate({name: value}), name))
                except ValidationError as error:
                    item = f"{path}.{index}"
                    mistakes.append(Mistake(source.at(item), clause(error.errors()[0], source.find(item))))
            is_alone = vary != "zip" and not any(name in group for group in axes.tied)
            if is_alone and (twice := repeated(typed)):
                mistakes.append(Mistake(source.at(path), f"names {twice} more than once"))
            checked[name] = tuple(typed)
    if vary == "zip" and not mistakes:
        _check_together(checked, "`vary: zip`", "axes", source, mistakes)
    for group in axes.tied:
        path = axes.path(group[0]).rpartition(".")[0]
        if vary == "optuna":
            mistakes.append(Mistake(source.at(path), "ties axes, which a search does not do; list each by itself"))
        elif not mistakes:
            _check_together({name: checked[name] for name in group}, "`zip`", path, source, mistakes)
    return checked


def settings(
    axes: Mapping[str, Sequence[Any]], tied: Sequence[Sequence[str]]
) -> list[tuple[tuple[str, ...], list[tuple[Any, ...]]]]:
    """Lists what varies by itself, an axis or several that are tied, in order: names, and the values of each
    setting."""
    groups = dict.fromkeys(next((tuple(group) for group in tied if name in group), (name,)) for name in axes)
    return [(group, list(zip(*(axes[name] for name in group), strict=True))) for group in groups]


def repeated(values: Iterable[Any]) -> str:
    """Lists the values that are there more than once, as a message names them; empty where there are none."""
    return cut(", ".join(sorted(cut(str(value)) for value, number in Counter(values).items() if number > 1)))


def _check_together(
    axes: Mapping[str, Sequence[Any]], key: str, path: str, source: Source, mistakes: list[Mistake]
) -> None:
    lengths = sorted({len(values) for values in axes.values()})
    if len(lengths) > 1:
        mistakes.append(Mistake(source.at(path), f"{key} needs axes of one length, these have {shortened(lengths)}"))
    elif twice := repeated(zip(*axes.values(), strict=True)):
        mistakes.append(Mistake(source.at(path), f"gives {twice} more than once"))

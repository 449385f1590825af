"""Sweep definition files as frozen models."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from cogx_runs.definitions import shipped
from cogx_runs.definitions.frozen import Frozen
from cogx_runs.definitions.parameters import OLD_NAMES, SWEPT, Parameters
from cogx_runs.definitions.ranges import OptunaSearch, Range, check_ranges
from cogx_runs.errors import CogxError, InputError, Mistake, did_you_mean

Vary = Literal["one_at_a_time", "grid", "zip", "random", "optuna"]
ExperimentName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]


class RandomDraw(Frozen):
    """The draw of `vary: random` from the cells of the grid, without repetition."""

    count: int = Field(ge=1)
    seed: int = Field(0, ge=0)


_LIST, _RANGE = "a list of values", "a range"
_Axis = Annotated[
    Annotated[list[Any], Field(min_length=1), Tag(_LIST)] | Annotated[Range, Tag(_RANGE)],
    Discriminator(lambda value: _RANGE if isinstance(value, dict | Range) else _LIST),
]


class _SweepFile(Frozen):
    name: ExperimentName
    description: str = ""
    prompts: Literal["all"] | Annotated[list[str], Field(min_length=1)]
    base: Parameters = Field(default_factory=Parameters)
    axes: dict[str, _Axis] = Field(default_factory=dict)
    vary: Vary = "one_at_a_time"
    random: RandomDraw | None = None
    optuna: OptunaSearch | None = None

    @model_validator(mode="after")
    def _random_has_its_draw(self) -> "_SweepFile":
        if (self.vary == "random") != (self.random is not None):
            raise ValueError("`vary: random` and `random: {count: N, seed: N}` go together")
        if (self.vary == "optuna") != (self.optuna is not None):
            raise ValueError("`vary: optuna` and `optuna: {trials: N, objectives: [METRIC]}` go together")
        if self.optuna is not None and not self.axes:
            raise ValueError("`vary: optuna` needs `axes` to search")
        return self


class _IncludeFile(Frozen):
    description: str = ""
    include: Annotated[list[str], Field(min_length=1)]


class Sweep(Frozen):
    """One sweep, checked: the experiment `name`, and the axes varied around `base`."""

    name: str
    file: str
    """The file as the user named it; `(command line)` for a sweep without a file."""
    description: str
    prompts: tuple[str, ...] | None
    """Prompt names in order; None for all of the library."""
    base: Parameters
    axes: dict[str, tuple[Any, ...]]
    """Values of each varied parameter, each of the parameter's own type; of a range, its ends."""
    vary: Vary
    random: RandomDraw | None = None
    ranges: dict[str, Range] = Field(default_factory=dict)
    """The `axes` that are ranges, which only a search has."""
    optuna: OptunaSearch | None = None
    overridden: frozenset[str] = frozenset()
    """Parameters of `base` that the command line sets."""

    @field_validator("axes")
    @classmethod
    def _typed_axes(cls, axes: dict[str, tuple[Any, ...]], info: ValidationInfo) -> dict[str, tuple[Any, ...]]:
        """Converts the values of a sweep built in Python as those of a file. Raises InputError naming every mistake."""
        mistakes: list[Mistake] = []
        checked = _check_axes(axes, info.data.get("file", "axes"), mistakes)
        if mistakes:
            raise InputError(mistakes)
        return checked

    def where(self, parameter: str) -> str:
        """Returns the place that sets `parameter`, as `file:dotted.path`."""
        if parameter in self.axes:
            return f"{self.file}:axes.{parameter}"
        if parameter in self.overridden:
            return f"(command line):base.{parameter}"
        return f"{self.file}:base.{parameter}"


def parameters_of(overrides: Mapping[str, Any]) -> Parameters:
    """Returns the defaults with the values of the command line. Raises InputError naming every mistake."""
    try:
        return Parameters.model_validate(dict(overrides))
    except ValidationError as error:
        raise InputError(_mistakes(error, "(command line)", Parameters)) from error


def load_sweeps(files: Sequence[str | Path], overrides: Mapping[str, Any] | None = None) -> list[Sweep]:
    """Reads sweep files, with those that they include, in order.

    A bare name such as `guidance` is a file of `sweeps/` here, else the shipped one. `overrides` replace values of
    `base` in every file. Raises InputError naming every mistake of all files.
    """
    sweeps: list[Sweep] = []
    mistakes: list[Mistake] = []
    overrides = dict(overrides or {})
    try:
        parameters_of(overrides)
    except InputError as error:
        mistakes += error.mistakes
        overrides = {}
    for name in files:
        _load(_locate(str(name), mistakes), (), overrides, sweeps, mistakes)
    names = [sweep.name for sweep in sweeps]
    for sweep, earlier in zip(sweeps, (names[:i] for i in range(len(names))), strict=True):
        if sweep.name in earlier:
            mistakes.append(Mistake(f"{sweep.file}:name", f"{sweep.name!r} is the name of another sweep here too"))
    if mistakes:
        raise InputError(mistakes)
    return sweeps


def _locate(name: str, mistakes: list[Mistake]) -> Path | None:
    path = Path(name)
    if path.is_file():
        return path
    if path.parent == Path():
        for directory in (Path("sweeps"), shipped.SWEEPS):
            candidate = directory / f"{path.name.removesuffix('.yaml')}.yaml"
            if candidate.is_file():
                return candidate
    shipped_names = sorted(file.stem for file in shipped.SWEEPS.glob("*.yaml"))
    mistakes.append(
        Mistake(name, f"no such sweep file; shipped: {', '.join(shipped_names)} (`cogx-runs init .` copies them here)")
    )
    return None


def _load(
    path: Path | None,
    above: tuple[Path, ...],
    overrides: Mapping[str, Any],
    sweeps: list[Sweep],
    mistakes: list[Mistake],
) -> None:
    if path is None:
        return
    if path.resolve() in above:
        mistakes.append(Mistake(f"{path}:include", "includes itself"))
        return
    try:
        content = _read_yaml(path)
    except CogxError as error:
        mistakes.append(Mistake(str(path), str(error)))
        return
    if "include" in content:
        try:
            included = _IncludeFile.model_validate(content).include
        except ValidationError as error:
            mistakes += _mistakes(error, str(path), _IncludeFile)
            return
        for name in included:
            below = path.parent / name
            if not below.is_file():
                mistakes.append(Mistake(f"{path}:include", f"no such file: {below}"))
                continue
            _load(below, (*above, path.resolve()), overrides, sweeps, mistakes)
        return
    found: list[Mistake] = []
    try:
        file = _SweepFile.model_validate(content)
    except ValidationError as error:
        found += _mistakes(error, str(path), _SweepFile)
    axes = content.get("axes")
    checked = _check_axes(axes, str(path), found) if isinstance(axes, dict) else {}
    searched = content.get("vary") == "optuna"
    ranges = check_ranges(axes, Parameters, searched, str(path), found) if isinstance(axes, dict) else {}
    if found:
        mistakes += found
        return
    if isinstance(file.prompts, list) and len(set(file.prompts)) < len(file.prompts):
        twice = sorted({name for name in file.prompts if file.prompts.count(name) > 1})
        mistakes.append(Mistake(f"{path}:prompts", f"names {', '.join(twice)} more than once"))
        return
    lengths = {len(values) for values in checked.values()}
    if file.vary == "zip" and len(lengths) > 1:
        mistakes.append(Mistake(f"{path}:axes", f"`vary: zip` needs axes of one length, these have {sorted(lengths)}"))
        return
    base = Parameters.model_validate({**file.base.model_dump(exclude_unset=True), **overrides})
    sweeps.append(
        Sweep(
            name=file.name,
            file=str(path),
            description=file.description,
            prompts=None if file.prompts == "all" else tuple(file.prompts),
            base=base,
            axes={
                name: checked[name] if name in checked else (ranges[name].low, ranges[name].high) for name in axes or {}
            },
            vary=file.vary,
            random=file.random,
            ranges=ranges,
            optuna=file.optuna,
            overridden=frozenset(overrides),
        )
    )


def _check_axes(axes: Mapping[str, Any], file: str, mistakes: list[Mistake]) -> dict[str, tuple[Any, ...]]:
    """Converts the values of each axis to the parameter's type; adds to `mistakes`."""
    checked = {}
    for name, values in axes.items():
        where = f"{file}:axes.{name}"
        if name not in Parameters.model_fields:
            mistakes.append(Mistake(where, f"unknown parameter; {_nearest_key(str(name), Parameters)}"))
        elif name not in SWEPT:
            mistakes.append(Mistake(where, "changes neither pixels nor scores, so that its cells would all be one"))
        elif isinstance(values, list | tuple):
            typed = []
            for index, value in enumerate(values):
                try:
                    typed.append(getattr(Parameters.model_validate({name: value}), name))
                except ValidationError as error:
                    mistakes.extend(
                        Mistake(f"{where}.{index}", f"{detail['msg']} (got {value!r})") for detail in error.errors()
                    )
            repeated = sorted({str(value) for value in typed if typed.count(value) > 1})
            if repeated:
                mistakes.append(Mistake(where, f"names {', '.join(repeated)} more than once"))
            checked[name] = tuple(typed)
    return checked


def _nearest_key(name: str, model: type[BaseModel]) -> str:
    if model is Parameters and name in OLD_NAMES:
        return f"did you mean {OLD_NAMES[name]!r}?"
    return did_you_mean(name, model.model_fields)


_PARTS: dict[str, type[BaseModel]] = {"base": Parameters, "random": RandomDraw, "optuna": OptunaSearch}
"""The models of a file's parts."""
_OF_TYPES = ("literal['all']", "constrained-list", "list[str]", _LIST, _RANGE)
"""Parts of pydantic's error locations that are not keys."""


def _mistakes(error: ValidationError, file: str, model: type[BaseModel], prefix: str = "") -> list[Mistake]:
    """Converts a pydantic error: file, dotted path, and the nearest valid name for an unknown key."""
    found: dict[str, str] = {}
    for detail in error.errors():
        parts = [str(part) for part in detail["loc"] if part not in _OF_TYPES]
        dotted = ".".join([prefix, *parts] if prefix else parts)
        if detail["type"] == "extra_forbidden":
            known = Range if parts[:1] == ["axes"] else _PARTS.get(".".join(parts[:-1]), model)
            message = f"unknown key; {_nearest_key(parts[-1], known)}"
        elif detail["type"] == "missing":
            message = "is required"
        elif parts[:1] == ["prompts"]:
            dotted = "prompts"
            message = "must be a list of prompt names, or all"
        elif detail["type"] == "string_pattern_mismatch":
            message = "must be letters, digits, '.', '_' and '-', beginning with a letter or digit"
        else:
            message = detail["msg"].removeprefix("Value error, ")
            if detail["type"] != "value_error":
                message += f" (got {detail['input']!r})"
        found.setdefault(dotted, message)
    return [Mistake(f"{file}:{dotted}" if dotted else file, message) for dotted, message in found.items()]


class _Loader(yaml.SafeLoader):
    """YAML's safe loader that also rejects a repeated key."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        for key, _ in node.value:
            if keys.count(key.value) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"key {key.value!r} is given twice", key.start_mark)
        return super().construct_mapping(node, deep)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        at = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise CogxError(f"not valid YAML: {at}{error.problem}") from error
    except OSError as error:
        raise CogxError(f"cannot be read ({error.strerror}); mend its permissions") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CogxError(f"not readable as YAML in UTF-8: {error}") from error
    if not isinstance(content, dict):
        raise CogxError("must be a mapping with at least `name` and `prompts`, or with `include`")
    return content

"""Sweep definition files as frozen models: each key with its type and meaning.

The docs' table of keys and the JSON Schema of editors are made of them.
"""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Discriminator, Field, StringConstraints, Tag, field_validator, model_validator

from cogx_runs.definitions.frozen import Frozen
from cogx_runs.definitions.limits import FEWEST_PROMPTS, LONGEST_KEY, MOST_CELLS
from cogx_runs.definitions.mistakes import A_LIST, A_NAME, A_RANGE, A_TEMPLATE, ALL, ENTRIES
from cogx_runs.definitions.parameters import Parameters
from cogx_runs.definitions.ranges import OptunaSearch, Range
from cogx_runs.definitions.templates import Template
from cogx_runs.definitions.texts import PathText, Text

Vary = Literal["one_at_a_time", "grid", "zip", "random", "optuna"]
ExperimentName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]


class RandomDraw(Frozen):
    """The draw of `vary: random` from the cells of the grid, without repetition."""

    count: int = Field(ge=1, le=MOST_CELLS, description="How many cells are drawn.")
    seed: int = Field(0, ge=0, lt=2**63, description="Of the draw, not of the videos.")


_Axis = Annotated[
    Annotated[list[Any], Field(min_length=1), Tag(A_LIST)] | Annotated[Range, Tag(A_RANGE)],
    Discriminator(lambda value: A_RANGE if isinstance(value, dict | Range) else A_LIST),
]
_Entry = Annotated[
    Annotated[Text, Tag(A_NAME)] | Annotated[Template, Tag(A_TEMPLATE)],
    Discriminator(lambda value: A_TEMPLATE if isinstance(value, dict | Template) else A_NAME),
]
_Prompts = Annotated[
    Annotated[Literal["all"], Tag(ALL)] | Annotated[list[_Entry], Field(min_length=1), Tag(ENTRIES)],
    Discriminator(lambda value: ENTRIES if isinstance(value, list) else ALL),
]
_DETAILED = ("random", "optuna")
"""The values of `vary` that need a key of their own name, and are needed by it."""


def _given_together(name: str) -> dict[str, Any]:
    """Writes as JSON Schema that a key and the `vary` of its name go together."""
    is_asked = {"required": ["vary"], "properties": {"vary": {"const": name}}}
    is_detailed = {"required": [name], "properties": {name: {"not": {"const": None}}}}
    return {"if": is_asked, "then": is_detailed, "else": {"properties": {name: {"const": None}}}}


class SweepFile(Frozen):
    """A sweep: which parameters vary over which prompts, as one MLflow experiment."""

    model_config = ConfigDict(json_schema_extra={"allOf": [_given_together(name) for name in _DETAILED]})

    name: ExperimentName = Field(description="The MLflow experiment: letters, digits, `.`, `_`, `-`.")
    description: Text = Field("", description="The question; shown on the experiment.")
    prompts: _Prompts = Field(
        description="`all`, or a list of prompt names, files and folders of prompts, and templates."
    )
    base: Parameters = Field(
        default_factory=Parameters, description="The configuration around which is varied; its keys are below."
    )
    axes: dict[str, _Axis] = Field(
        default_factory=dict,
        description=(
            "Lists of values by parameter: any key of `base` except `vae_slicing` and `abort_degenerate`, which change"
            " nothing that is measured, and `fast`, which stands for others; tied ones are one axis. Seeds may be"
            " counted: `seed: {count: 5, start: 42}` is 42 to 46, and `start` is 42 without it."
        ),
    )
    vary: Vary = Field(
        "one_at_a_time",
        description=(
            "`one_at_a_time`: each axis by itself, the others at `base`. `grid`: every combination. `zip`: the first"
            " values together, then the second ones; a value may repeat, a combination not. `random`: a draw from the"
            " grid. `optuna`: a search."
        ),
    )
    random: RandomDraw | None = Field(
        None, description="With `vary: random`: `{count: 8, seed: 0}`; drawn without repetition."
    )
    optuna: OptunaSearch | None = Field(None, description="With `vary: optuna`: its budget and objectives.")
    primary: Text | None = Field(
        None,
        min_length=1,
        max_length=LONGEST_KEY,
        description=(
            "The one metric that carries verdicts in a report; null is `clip_score`. All others are exploratory. Name"
            " it before you look."
        ),
    )
    max_prompts: int | None = Field(
        None,
        ge=FEWEST_PROMPTS,
        le=MOST_CELLS,
        description=(
            f"The most prompts that you will ever compare, {FEWEST_PROMPTS} or more. Then you may look at a report each"
            " time prompts were added, and all looks together are wrong in at most 5%."
        ),
    )
    extra_metrics: list[Annotated[Text, StringConstraints(min_length=1, max_length=LONGEST_KEY)]] = Field(
        default_factory=list,
        description=(
            "Optional metrics that its cells have too: `aesthetic_quality`, `subject_consistency`, `dynamic_degree`."
            " They need weights of their own; naming one makes no finished cell run again."
        ),
    )

    @field_validator("prompts", mode="before")
    @classmethod
    def _prompts_are_named(cls, value: Any) -> Any:
        if value != "all" and not (value and isinstance(value, list)):
            raise ValueError("must be a list of names, files and templates of prompts, or all")
        return value

    @model_validator(mode="after")
    def _vary_has_its_details(self) -> "SweepFile":
        if (self.vary == "random") != (self.random is not None):
            raise ValueError("`vary: random` and `random: {count: N, seed: N}` go together")
        if (self.vary == "optuna") != (self.optuna is not None):
            raise ValueError("`vary: optuna` and `optuna: {trials: N, objectives: [METRIC]}` go together")
        if self.optuna is not None and not self.axes:
            raise ValueError("`vary: optuna` needs `axes` to search")
        return self


class IncludeFile(Frozen):
    """A file that stands for others."""

    description: Text = Field("", description="What they are together.")
    include: Annotated[list[PathText], Field(min_length=1)] = Field(
        description="Sweep files, beside this one or in a folder below it."
    )

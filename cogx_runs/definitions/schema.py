"""The JSON Schema of sweep files, by which editors complete, explain and underline.

It is made of the models that read the files, and takes every file that they take. What only they can tell, such as a
range whose steps do not reach its end, or a prompt that is not there, is left to `plan`.
"""

from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from cogx_runs.definitions.parameters import SWEPT, Parameters
from cogx_runs.definitions.ranges import Range, number_type
from cogx_runs.definitions.seeds import SeedCount
from cogx_runs.definitions.sweep_file import IncludeFile, SweepFile


def sweep_schema() -> dict[str, Any]:
    """Returns the JSON Schema (2020-12) of sweep files, those with `include` among them."""
    _, schema = TypeAdapter.json_schemas(
        [(model, "validation", TypeAdapter(model)) for model in (SweepFile, IncludeFile, Range, SeedCount)],
        schema_generator=_WithoutTitles,
    )
    definitions = schema["$defs"]
    definitions[SweepFile.__name__]["properties"]["axes"] |= _axes()
    return {
        "$schema": GenerateJsonSchema.schema_dialect,
        "title": "Sweep file of cogx-runs",
        "type": "object",
        "if": {"required": ["include"]},
        "then": _reference(IncludeFile),
        "else": _reference(SweepFile),
        "$defs": definitions,
    }


class _WithoutTitles(GenerateJsonSchema):
    """Leaves out the titles that pydantic makes of names, which say nothing."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 (the signature is pydantic's)
        return False


def _reference(model: type[BaseModel], below: str = "") -> dict[str, str]:
    return {"$ref": f"#/$defs/{model.__name__}{below}"}


def _axes() -> dict[str, Any]:
    """Writes the axes of parameters, and those of any other name, which tie some of them together."""
    values: dict[str, list[dict[str, Any]]] = {}
    for name in SWEPT:
        values[name] = [{"type": "array", "minItems": 1, "items": _reference(Parameters, f"/properties/{name}")}]
    values["seed"].append(_reference(SeedCount))
    ranges = {name: [_reference(Range)] for name in SWEPT if name != "seed" and number_type(name) is not None}
    tied = {name: {"anyOf": several} for name, several in values.items()}
    group = {"type": "object", "minProperties": 2, "properties": tied, "additionalProperties": False}
    return {
        "properties": {
            name: {"description": Parameters.model_fields[name].description, "anyOf": several + ranges.get(name, [])}
            for name, several in values.items()
        },
        "additionalProperties": {
            "title": "a parameter, or axes tied by zip",
            "type": "object",
            "description": "Parameters whose first values go together, then the second ones.",
            "required": ["zip"],
            "properties": {"zip": group},
            "additionalProperties": False,
        },
    }

"""The base model of the user's files."""

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """A frozen model that rejects unknown keys and values of another type."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, hide_input_in_errors=True)

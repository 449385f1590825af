"""The base of what the user writes."""

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """Refuses unknown keys, values of another type, and changes."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, hide_input_in_errors=True)

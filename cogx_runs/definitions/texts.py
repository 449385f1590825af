"""Texts of the user's as fields: what can be kept and written, and what can be the name of a file."""

from typing import Annotated

from pydantic import AfterValidator

from cogx_runs.system.files import fault_of_path, fault_of_text


def _text(text: str) -> str:
    if fault := fault_of_text(text):
        raise ValueError(fault)
    return text


def _path(text: str) -> str:
    if fault := fault_of_path(text):
        raise ValueError(fault)
    return text


Text = Annotated[str, AfterValidator(_text)]
"""A text that has UTF-8, of at most 1 MB."""
PathText = Annotated[str, AfterValidator(_path)]
"""A text that may be the path of a file: one that a system call takes."""

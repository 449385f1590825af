"""Headers of safetensors files: the names, types and shapes of their tensors, checked against the file's size."""

import math
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, PrivateAttr

from cogx_runs.errors import CogxError
from cogx_runs.models.configs import Config
from cogx_runs.models.files import AGAIN, opened, validated

LARGEST_HEADER = 1_000_000
"""Bytes; that of 5b's transformer has some 0.15 MB."""
FLOATS = frozenset({"F64", "F32", "F16", "BF16"})
"""The types of weights."""
_BYTES = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1,
    "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1,
}  # fmt: skip
_Extent = Annotated[int, Field(ge=0, lt=2**53)]


class Tensor(Config):
    """One entry of a header."""

    dtype: Literal[
        "F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2",
        "I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL",
    ]  # fmt: skip
    shape: Annotated[list[_Extent], Field(max_length=8)]
    data_offsets: tuple[_Extent, _Extent]

    @property
    def parameters(self) -> int:
        """Number of its values."""
        return math.prod(self.shape)


class Header(Config):
    """The header of a safetensors file."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)
    __pydantic_extra__: dict[str, Tensor] = Field(init=False)
    metadata: dict[str, str] | None = Field(None, alias="__metadata__")
    _content: bytes = PrivateAttr(b"")

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The tensors by name."""
        return self.__pydantic_extra__

    @property
    def content(self) -> bytes:
        """The header as it stands in the file."""
        return self._content

    @property
    def parameters(self) -> int:
        """Number of values of all tensors."""
        return sum(tensor.parameters for tensor in self.tensors.values())

    def is_dense(self) -> bool:
        """Checks whether the tensors follow each other without gaps, each as long as its shape says."""
        end = 0
        for tensor in sorted(self.tensors.values(), key=lambda tensor: tensor.data_offsets):
            begin, after = tensor.data_offsets
            if begin != end or after - begin != tensor.parameters * _BYTES[tensor.dtype]:
                return False
            end = after
        return True


def read_header(path: Path) -> Header:
    """Reads the header of a safetensors file. Raises CogxError where it is none, or its size is another."""
    with opened(path) as file:
        size = path.stat().st_size
        length = int.from_bytes(file.read(8), "little")
        if size < 8 + length:
            raise CogxError(f"{path}: is truncated within its header; {AGAIN}")
        if length > LARGEST_HEADER:
            raise CogxError(f"{path}: has a header above {LARGEST_HEADER // 10**6} MB, as no model has; {AGAIN}")
        content = file.read(length)
    try:
        header = validated(path, content, Header)
    except CogxError as error:
        raise CogxError(f"{path}: is no safetensors file; {AGAIN}") from error
    expected = 8 + length + max((tensor.data_offsets[1] for tensor in header.tensors.values()), default=0)
    if size != expected:
        raise CogxError(f"{path}: has {size:,} bytes instead of {expected:,}; {AGAIN}")
    if not header.is_dense():
        raise CogxError(f"{path}: has tensors of another size than their shapes; {AGAIN}")
    header._content = content
    return header

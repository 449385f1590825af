"""Imports of large libraries in a process that is a command's own: sooner done, and without what nobody here uses."""

import gc
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

UNUSED = ("peft", "scipy")
"""Packages that diffusers and transformers import because they are installed, for functions that are not called here:
adapters are merged without PEFT, and SciPy is for losses and other schedulers."""


@contextmanager
def lean_imports(unused: Sequence[str] = UNUSED) -> Iterator[None]:
    """Has the block's imports find none of the packages `unused`, and the garbage collector pass over what they make.

    A package that is imported already stays; after the block the others can be imported again. What the block imports
    keeps its belief that they are missing, and what is there at its end is never collected: for the process of a
    command, not for a notebook's. What other threads import meanwhile misses them too. Does nothing where torch is
    imported already.
    """
    if "torch" in sys.modules:
        yield
        return
    hidden = [name for name in unused if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # the import system's mark of a module that is not there
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
        for name in hidden:
            del sys.modules[name]

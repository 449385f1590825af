"""JSON on stdout, as `--json` prints it."""

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cogx_runs.cli.terminal import echo_json

if TYPE_CHECKING:
    from cogx_runs.errors import Mistake


@contextmanager
def errors_as_json(as_json: bool) -> Iterator[None]:
    """Prints bad input, with `--json`, as an object with the `advice` of a plan, and exits with 2."""
    from cogx_runs.errors import CogxError, InputError, Mistake

    try:
        yield
    except CogxError as error:
        if not as_json:
            raise
        mistakes = error.mistakes if isinstance(error, InputError) else [Mistake("(input)", str(error))]
        print_mistakes(mistakes)
        sys.exit(2)


def print_mistakes(mistakes: "Sequence[Mistake]") -> None:
    """Prints mistakes of the input as an object with the `advice` of a plan."""
    from dataclasses import asdict

    print_json({"runs": [], "advice": [{"level": "error", **asdict(mistake)} for mistake in mistakes]})


def print_json(content: Any) -> None:
    """Prints an object as JSON; NaN and infinity, which JSON has not, become null."""
    from json import dumps

    echo_json(dumps(_finite(content), indent=2, ensure_ascii=False, allow_nan=False))


def _finite(content: Any) -> Any:
    if isinstance(content, Mapping):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content

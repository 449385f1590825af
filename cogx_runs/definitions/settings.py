"""Values given as KEY=VALUE: by options of the command line, read as those of a sweep file are."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import get_args

from cogx_runs.definitions.parameters import Parameters
from cogx_runs.definitions.scalars import Scalar, read_scalar
from cogx_runs.errors import InputError, Mistake
from cogx_runs.formatting import cut
from cogx_runs.system.files import fault_of_text


@dataclass(frozen=True)
class Setting:
    """One value of the command line."""

    given: str
    """The option as the user gave it, such as `--seed` or `--set seed=1`."""
    name: str
    text: str

    @classmethod
    def parse(cls, option: str, pair: str) -> "Setting":
        """Parses the value of an option that takes KEY=VALUE. Raises InputError."""
        name, equals, text = pair.partition("=")
        if not equals:
            raise InputError.single(cut(f"{option} {pair}"), "write it as KEY=VALUE")
        return cls(cut(f"{option} {pair}"), name.strip(), text)


def read_settings(settings: Iterable[Setting]) -> dict[str, Scalar]:
    """Reads values of parameters: that of a text is taken as it is, any other as in a sweep file.

    Raises InputError naming every mistake, also a key that is given more than once.
    """
    found: dict[str, Scalar] = {}
    first: dict[str, Setting] = {}
    mistakes = []
    for setting in settings:
        fault = fault_of_text(setting.name) or fault_of_text(setting.text)
        if setting.name in first:
            fault = f"{first[setting.name].given} gives {cut(setting.name)} too; give it once"
        first.setdefault(setting.name, setting)
        try:
            if fault is not None:
                raise ValueError(fault)
            found[setting.name] = _value(setting.name, setting.text)
        except ValueError as error:
            mistakes.append(Mistake(setting.given, str(error)))
    if mistakes:
        raise InputError(mistakes)
    return found


def _value(name: str, text: str) -> Scalar:
    annotation = Parameters.model_fields[name].annotation if name in Parameters.model_fields else None
    types = get_args(annotation) or (annotation,)
    if annotation is None or {int, float, bool} & set(types):
        return read_scalar(text.strip())
    return None if text == "null" and type(None) in types else text

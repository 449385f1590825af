"""Generated command lines: of commands that neither make a video nor open a server, with values of all kinds."""

from hypothesis import strategies as st

from cogx_runs.definitions.parameters import Parameters
from tests.fuzz.sweep_files import NASTY

_OTHERS = (
    "2b", "toy", "guidance", "study", "seed", "panda_guitar", "10", "0.5", "-1", "-", "--", "--x", "=", "a=b", "a=",
    "=b",
    "\x1b[31m", "\udce9", "caf\udce9 au lait", "a b", "nowhere", "x.yaml", "sweeps", "all", "clip_score", "5%",
    "5,10,25",
    "10,x", "²", "１２", "clip_score>25", "status=finished", "vae_tiling=on", "seed<x", "a>b>c", "~nobody_here",
    "n" * 300,
)  # fmt: skip
_values = st.sampled_from(tuple(value for value in NASTY if "\x00" not in value) + _OTHERS)
_settings = st.tuples(st.sampled_from((*Parameters.model_fields, "steps", "")), _values).map("=".join)
_ON_NO_MACHINE = ("--device", "cuda")
"""Without a GPU nothing is run."""


def _options(*names: str) -> st.SearchStrategy[list[str]]:
    given = st.tuples(st.sampled_from(names), _values).map(list)
    return st.lists(given, max_size=3).map(lambda pairs: [word for pair in pairs for word in pair])


_cell = st.tuples(
    _options(
        "--model", "--steps", "--guidance", "--frames", "--fps", "--seed", "--placement", "--clip-model", "--prompts"
    ),
    st.lists(_settings.map(lambda text: ["--set", text]), max_size=2).map(
        lambda pairs: [word for pair in pairs for word in pair]
    ),
).map(lambda parts: parts[0] + parts[1])


def _command(name: str, *parts: st.SearchStrategy[list[str]]) -> st.SearchStrategy[list[str]]:
    return st.tuples(*parts).map(lambda found: [name, *(word for part in found for word in part)])


_one = _values.map(lambda value: [value])
_file = st.one_of(st.sampled_from(("guidance", "seed", "study")).map(lambda value: [value]), _one)
_json = st.sampled_from(([], ["--json"]))
PLANNING = st.one_of(
    _command("plan", _file, st.just(["--no-store"]), _cell, _json),
    _command("plan", _file, st.just(["--no-store", "--device", "cpu"]), _cell, _json),
    _command("plan", st.lists(_values, max_size=3), st.just(["--no-store"]), _options("--device", "--max-vram"), _json),
    _command("generate", _one, st.just([*_ON_NO_MACHINE, "--as-text"]), _cell, _json),
    _command("generate", _one, st.just([*_ON_NO_MACHINE]), _options("--output", "--max-vram", "--seed"), _json),
    _command("sweep", _file, st.just([*_ON_NO_MACHINE]), _cell, _json),
    _command(
        "threshold", _file, st.just([*_ON_NO_MACHINE]), _options("--metric", "--margin", "--reference", "--ladder")
    ),
    st.lists(_values, max_size=3),
)
"""Command lines that need no tracking store, or fail before it."""
FIRST = (
    ("runs",),
    ("rescore", "x", "--device", "cpu"),
    ("promote", "x", "--by", "clip_score"),
    ("report", "x", "-o", "written"),
    ("export", "x", "written"),
    ("doctor",),
    ("plan", "guidance", "--no-store"),
    ("threshold", "guidance"),
)
"""One command line of each kind, by which what it imports is imported."""
STORED = st.one_of(
    _command("runs", st.one_of(st.just([]), _one), _options("--where", "--sort"), _json),
    _command("rescore", _one, st.just([*_ON_NO_MACHINE]), _options("--clip-model", "--reference")),
    _command(
        "promote", _one, st.just([*_ON_NO_MACHINE]), _options("--by", "--steps", "--from-steps", "--top", "--check")
    ),
    _command("report", _one, st.just(["-o", "written"]), _options("--baseline", "--margin")),
    _command("export", _one, st.just(["written"])),
    _command("doctor", _options("--model", "--clip-model"), _json),
)
"""Command lines that read one."""

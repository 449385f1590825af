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


_PLAUSIBLE = {
    "--model": ("2b", "5b", "1.5-5b", "toy"), "--steps": ("10", "50"), "--guidance": ("1", "6.5"),
    "--frames": ("9", "49"), "--fps": ("8", "016"), "--seed": ("0", "42"), "--placement": ("auto", "group"),
    "--clip-model": ("toy",),
    "--set": ("height=480", "negative_prompt=a #1", "vae_tiling=false", "scheduler=dpm"),
    "--device": ("cpu",), "--max-vram": ("8",), "--metric": ("clip_score",), "--margin": ("0.5", "clip_score=5%"),
    "--reference": ("50", "seed=42"), "--ladder": ("10,25,50",), "--where": ("seed=42", "status=finished"),
    "--sort": ("-seed", "clip_score"), "--from-steps": ("50",), "--check": ("sharpness",), "--by": ("clip_score",),
    "--top": ("all", "1"), "--baseline": ("seed=42",),
}  # fmt: skip


def _options(*names: str) -> st.SearchStrategy[list[str]]:
    """Up to three options, of which half have a value that is right."""

    def given(name: str) -> st.SearchStrategy[list[str]]:
        plausible = st.sampled_from(_PLAUSIBLE.get(name, ("x",)))
        return st.one_of(plausible, _settings if name == "--set" else _values).map(lambda value: [name, value])

    several = st.lists(st.sampled_from(names), max_size=4, unique=True)
    pairs = several.flatmap(lambda chosen: st.tuples(*map(given, chosen)))
    return pairs.map(lambda pairs: [word for pair in pairs for word in pair])


_cell = _options(
    "--model", "--steps", "--guidance", "--frames", "--fps", "--seed", "--placement", "--clip-model", "--prompts",
    "--set",
)  # fmt: skip


def _command(name: str, *parts: st.SearchStrategy[list[str]]) -> st.SearchStrategy[list[str]]:
    return st.tuples(*parts).map(lambda found: [name, *(word for part in found for word in part)])


_one = _values.map(lambda value: [value])
_tracked = st.sampled_from((["exp"], ["seed"]))
_sweep = st.one_of(_tracked, _tracked, _one)
_known = st.sampled_from((["guidance"], ["seed"], ["study"]))
_file = st.one_of(_known, _known, _known, _one)
_json = st.sampled_from(([], ["--json"]))
_by = st.one_of(
    _options("--steps", "--from-steps", "--top", "--check").map(lambda options: ["--by", "clip_score", *options]),
    _options("--by", "--top"),
)
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
    _command("runs", st.one_of(st.just([]), _sweep), _options("--where", "--sort"), _json),
    _command("rescore", _sweep, st.just([*_ON_NO_MACHINE]), _options("--clip-model", "--reference")),
    _command("promote", _sweep, st.just([*_ON_NO_MACHINE, "--dry-run"]), _by),
    _command("report", _sweep, st.just(["-o", "written"]), _options("--baseline", "--margin")),
    _command("export", _sweep, st.just(["written"])),
    _command("doctor", _options("--model", "--clip-model"), _json),
)
"""Command lines that read one."""

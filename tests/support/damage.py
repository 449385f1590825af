"""Damaged model folders, drawn by hypothesis: each is a copy of a good one with one or two things wrong in it."""

import json
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

CONFIGS = (
    "model_index.json",
    "transformer/config.json",
    "vae/config.json",
    "text_encoder/config.json",
    "scheduler/scheduler_config.json",
    "tokenizer/tokenizer_config.json",
    "tokenizer/tokenizer.json",
)
WEIGHTS = (
    "transformer/diffusion_pytorch_model.safetensors",
    "vae/diffusion_pytorch_model.safetensors",
    "text_encoder/model.safetensors",
)
OTHERS = ("tokenizer/spiece.model", "tokenizer", "vae", "transformer", "text_encoder", "scheduler")
Damage = Callable[[Path], None]

_SCALARS = st.one_of(
    st.none(), st.booleans(), st.text(max_size=20), st.floats(), st.just(""),
    st.sampled_from([0, -1, 1, 2, 3, 7, 16, 63, 2**31, 2**63, 2**64, 10**30, 10**400, 1e308, "16", "float32", "auto"]),
)  # fmt: skip
VALUES = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)
RAW = st.one_of(
    st.binary(max_size=60),
    st.sampled_from([
        b"", b"[]", b"null", b"1", b'"x"', b"{}", b"[" * 500, b"{\"a\":" * 1500, b"\xff\xfe", b"\xef\xbb\xbf{}",
        b"1" * 5000, b'{"a": ' + b"9" * 5000 + b"}", b'{"a": NaN}', b'{"\\ud800": 1}', b"<html></html>",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
    ]),
)  # fmt: skip


@st.composite
def damages(draw: st.DrawFn) -> list[Damage]:
    """One or two things that go wrong with a folder."""
    kinds = (_value, _raw, _cut, _flip, _header, _special, _removed)
    return [draw(draw(st.sampled_from(kinds))()) for _ in range(draw(st.integers(1, 2)))]


@st.composite
def _value(draw: st.DrawFn) -> Damage:
    """A key of a configuration, at any depth, has another value, or is gone."""
    name, value, remove = draw(st.sampled_from(CONFIGS)), draw(VALUES), draw(st.booleans())
    picks = draw(st.lists(st.integers(0, 10**6), min_size=1, max_size=4))

    def damage(folder: Path) -> None:
        content = json.loads(_file(folder, name).read_bytes())
        _change(content, picks, value, remove)
        (folder / name).write_text(_written(content), encoding="utf-8", errors="surrogatepass")

    return damage


def _file(folder: Path, name: str) -> Path:
    """A file that is still one."""
    if not (folder / name).is_file():
        raise FileNotFoundError(name)
    return folder / name


def _change(content: Any, picks: list[int], value: Any, remove: bool) -> None:
    """Change what the picks lead to: each chooses a key or a place."""
    keys = list(content) if isinstance(content, dict) else list(range(len(content)))
    if not keys:
        return
    key = keys[picks[0] % len(keys)]
    if len(picks) > 1 and isinstance(content[key], dict | list) and content[key]:
        _change(content[key], picks[1:], value, remove)
    elif remove:
        del content[key]
    else:
        content[key] = value


def _written(content: Any) -> str:
    """JSON with numbers of any length, which Python refuses to write in decimal."""
    return json.dumps(content)


@st.composite
def _raw(draw: st.DrawFn) -> Damage:
    """A file holds something else."""
    name, content = draw(st.sampled_from((*CONFIGS, *WEIGHTS, OTHERS[0]))), draw(RAW)

    def damage(folder: Path) -> None:
        _file(folder, name).write_bytes(content)

    return damage


@st.composite
def _cut(draw: st.DrawFn) -> Damage:
    """A file ends too early."""
    name, share = draw(st.sampled_from((*CONFIGS, *WEIGHTS, OTHERS[0]))), draw(st.floats(0, 0.999))
    return lambda folder: os.truncate(_file(folder, name), int((folder / name).stat().st_size * share))


@st.composite
def _flip(draw: st.DrawFn) -> Damage:
    """Bytes of a file are others."""
    name = draw(st.sampled_from((*CONFIGS, *WEIGHTS, OTHERS[0])))
    at, content = draw(st.floats(0, 0.999)), draw(st.binary(min_size=1, max_size=8))

    def damage(folder: Path) -> None:
        with _file(folder, name).open("r+b") as file:
            file.seek(int((folder / name).stat().st_size * at * at))
            file.write(content)

    return damage


@st.composite
def _header(draw: st.DrawFn) -> Damage:
    """A header of weights is another one, with the right length before it and the weights behind it."""
    name, value, remove = draw(st.sampled_from(WEIGHTS)), draw(VALUES), draw(st.booleans())
    picks = draw(st.lists(st.integers(0, 10**6), min_size=0, max_size=3))

    def damage(folder: Path) -> None:
        content = _file(folder, name).read_bytes()
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length]) if picks else value
        if picks:
            _change(header, picks, value, remove)
        new = _written(header).encode(errors="surrogatepass")
        (folder / name).write_bytes(len(new).to_bytes(8, "little") + new + content[8 + length :])

    return damage


@st.composite
def _special(draw: st.DrawFn) -> Damage:
    """In the place of a file or a folder stands something that is none."""
    name = draw(st.sampled_from((*CONFIGS, *WEIGHTS, *OTHERS)))
    kind = draw(st.sampled_from(("pipe", "socket", "folder", "loop", "dangling", "file", "device")))

    def damage(folder: Path) -> None:
        path = folder / name
        _remove(path)
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "socket":
            _bind(path)
        elif kind == "folder":
            path.mkdir()
        elif kind == "file":
            path.write_bytes(b"{}")
        else:
            path.symlink_to({"loop": path, "dangling": path / "nowhere", "device": Path("/dev/zero")}[kind])

    return damage


def _bind(path: Path) -> None:
    """A socket, by a short way: the path of one may have 108 characters."""
    short = Path("/tmp") / f"{os.getpid()}.socket"
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(short))
    shutil.move(short, path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@st.composite
def _removed(draw: st.DrawFn) -> Damage:
    """Something is missing."""
    name = draw(st.sampled_from((*CONFIGS, *WEIGHTS, *OTHERS)))
    return lambda folder: _remove(folder / name)


def damaged(good: Path, place: Path, wrong: list[Damage]) -> Path:
    """Copy a folder to `place` and damage it; what a first damage took away, a second one leaves alone."""
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(good, place)
    for damage in wrong:
        try:
            damage(place)
        except (OSError, ValueError, IndexError, KeyError, TypeError):
            continue
    return place

"""Generated sweep files: valid ones, valid ones damaged, arbitrary YAML, and what has broken readers of YAML."""

import json
from typing import Any

from hypothesis import strategies as st

from cogx_runs.definitions.parameters import Parameters

NASTY = (
    "2001-13-45", "2001-12-14t21:59:43.10-05:00", "!!int x", "!!int ''", "!!float x", "!!bool x", "!!timestamp x",
    "!!set x", "!!binary x", "!!omap [1]", "!!python/object/apply:os.system [ls]", "!!str 007", "! 1", "!<x> 1", "0x_",
    "0b1", "0o8", "007", "-0", "1_000", "1:30", "1e1", "1.0e38", "1e-3", "1e400", "-1e400", "5.0e-324", "1e-400",
    ".inf",
    "-.INF", ".nan", "~", "null", "", "on", "no", "off", "yes", "y", "true", "False", "'", '"', "#", "- ", "? ", ": ",
    "9" * 99, "1" + "0" * 400, "9" * 5000, "0." + "1" * 5000, "0x" + "f" * 5000, "x" * 300, "猫" * 200, "k" * 5000,
    "~nobody_here/x", "~/x", "/", "//", "..", "../x.yaml", "/etc/passwd", "a/" * 3000, "\\", "%", "@x", "`x`", "\t",
    '"\\ud800"', '"\\udfff\\ud800"', '"\\0"', '"\\e[31m\\u202e"', '"\\U00110000"', '"\\x"', "'\ufeff'", "\u2028",
    "\x85",
    "😀", "'a'", "|", ">-", "*a", "&a 1", "&a [*a]", "<<", "<<: 3", "{<<: [{seed: 1}, {seed: 2}]}", "{<<: 3}",
    "{low: 1, high: 10}", "{low: 1, high: 1e400}", "{low: 1, high: 1" + "0" * 90 + "}", "{low: 0, high: 1000000000}",
    "{low: 1, high: 12, step: 5.0e-324}", "{low: 1, high: 12, step: 0}", "{low: 12, high: 1, log: true}",
    "{low: .nan, high: .inf}", "{low: -1e18, high: 1e18, step: 1.5}", "{low: true, high: {}}", "{low: 1, high: 100}",
    "[" * 500, "[" * 15 + "]" * 15, "{a: " * 30 + "}" * 30, "[]", "{}", "[[]]", "[1, 1]", "[1, a, null, [2], {b: 3}]",
    "[" + "1, " * 3000 + "]", "[" + ", ".join(map(str, range(2000))) + "]", "[" + ", ".join(["x"] * 300) + "]",
    "{" + ", ".join(f"k{n}: 1" for n in range(150)) + "}", "a: b: c", "{a", "a]", "%YAML 1.1", "---", "...", "\x00",
    "\x1b",
)  # fmt: skip
"""Values and pieces that are told apart from a plain value only by a careful reader."""
BOMBS = (
    "\n".join(["a0: &a0 [x, x, x, x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 4)}]" for n in range(1, 20))]),
    "\n".join(["m0: &m0 {a: 1}", *(f"m{n}: &m{n} {{<<: [{', '.join([f'*m{n - 1}'] * 9)}]}}" for n in range(1, 20))]),
    "name: a\nprompts: all\nvary: grid\naxes:\n"
    + "".join(f"  {key}: [{', '.join(map(str, range(16, 116)))}]\n" for key in ("seed", "fps", "height", "width")),
    "name: a\nprompts: all\nvary: random\nrandom: {count: 784000000}\naxes:\n"
    + "".join(f"  {key}: [{', '.join(map(str, range(16, 116)))}]\n" for key in ("seed", "fps", "height", "width")),
    "name: a\nprompts: all\naxes: {num_frames: {low: 1, high: 1000000000}}\nvary: optuna\n"
    "optuna: {trials: 1000000000, objectives: [clip_score]}\n",
    "name: a\nprompts: [" + ", ".join(f"p{n}" for n in range(5000)) + "]\n",
    "name: a\nprompts: all\nbase: {" + ", ".join(f"key{n}: 1" for n in range(3000)) + "}\n",
    "name: a\nprompts: all\naxes: {model: [" + ", ".join(f"m{n}" for n in range(3000)) + "]}\n",
    "include: [" + ", ".join(["a.yaml"] * 3000) + "]\n",
    "".join(" " * n + "k:\n" for n in range(1300)),
    "name: a\nprompts: all\ndescription: " + "word " * 190_000,
    "name: a\nprompts: all\nbase: {negative_prompt: " + "word " * 50_000 + "}",
)
"""Small files that ask for much."""
KEYS = (
    "name", "prompts", "prompt", "description", "base", "axes", "vary", "random", "optuna", "include", "count",
    "trials",
    "objectives", "directions", "seeds", "startup_trials", "low", "high", "step", "log", "<<", *Parameters.model_fields,
)  # fmt: skip
_VALUES: dict[str, tuple[Any, ...]] = {
    "model": ("2b", "5b", "1.5-5b", "toy"), "revision": (None, "abc"), "num_inference_steps": (1, 10, 50, 1000),
    "guidance_scale": (0, 1, 6.5, 100), "num_frames": (1, 9, 49, 50), "fps": (1, 8, 120), "seed": (0, 42, 2**63 - 1),
    "negative_prompt": ("", "ugly", "猫 😀"), "height": (None, 16, 480), "width": (None, 720, 30), "scheduler": (None,
    "dpm"),
    "use_dynamic_cfg": (True, False), "dtype": (None, "float16"), "vae_tiling": (True, False), "vae_slicing": (True,),
    "placement": ("auto", "group"), "compile": (False, True), "attention": ("sdpa", "fa4"),
    "quantization": (None, "int8"),
    "cache": (None, "pab", "first_block:0.2"),
    "decoder": ("exact", "fused"), "video_quality": (1, 5.5, 10),
    "clip_model": (None, "toy", "ViT-B-32:openai"), "abort_degenerate": (False, True),
}  # fmt: skip
_nasty = st.sampled_from(NASTY)
_keys = st.sampled_from(KEYS)


@st.composite
def valid(draw: st.DrawFn) -> str:
    """A sweep that is read, as JSON, which YAML includes, or in YAML's own lines."""
    chosen = draw(st.lists(st.sampled_from(sorted(_VALUES)), max_size=4, unique=True))
    axes = {name: list(_VALUES[name][: draw(st.integers(1, 3))]) for name in chosen}
    vary = draw(st.sampled_from(("one_at_a_time", "grid", "zip", "random", "optuna")))
    content: dict[str, Any] = {
        "name": draw(st.sampled_from(("a", "exp1_guidance", "0-x.y"))),
        "prompts": draw(st.sampled_from(("all", ["panda_guitar"], ["gatto_hacker", "nobody"]))),
        "base": {
            name: draw(st.sampled_from(_VALUES[name])) for name in draw(st.lists(st.sampled_from(sorted(_VALUES))))
        },
        "axes": axes,
        "vary": vary,
    }
    if vary == "random":
        content["random"] = {"count": draw(st.integers(1, 20)), "seed": draw(st.integers(0, 3))}
    if vary == "optuna":
        content["optuna"] = {"trials": draw(st.integers(1, 20)), "objectives": ["clip_score"]}
    if draw(st.booleans()):
        return json.dumps(content, ensure_ascii=draw(st.booleans()))
    return "".join(f"{key}: {json.dumps(value)}\n" for key, value in content.items())


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """A valid sweep with pieces replaced."""
    text = draw(valid())
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.sampled_from((0, 0, 1, 2, 5, 20))))
        piece = draw(st.one_of(_nasty, _keys, st.text(max_size=3)))
        text = text[:start] + piece + text[end:]
    return text


@st.composite
def replaced(draw: st.DrawFn) -> str:
    """A valid sweep with one of its values replaced as a whole."""
    lines = {"name": "a", "prompts": "all", "base": "{}", "axes": "{}"}
    place = draw(st.sampled_from(("top", "base", "axes", "axes", "optuna", "random")))
    value = draw(_nasty)
    if place == "top":
        lines[draw(_keys)] = value
    elif place == "axes":
        axis = draw(st.sampled_from(sorted(_VALUES)))
        lines["axes"] = f"{{{axis}: {value if draw(st.booleans()) else f'[{value}]'}}}"
        lines["vary"] = draw(st.sampled_from(("grid", "zip", "optuna")))
    else:
        lines[place] = f"{{{draw(_keys)}: {value}, count: 2, trials: 3, objectives: [step_s]}}"
    if lines.get("vary") == "optuna":
        lines["optuna"] = "{trials: 3, objectives: [clip_score]}"
    return "".join(f"{key}: {text}\n" for key, text in lines.items())


_flow = st.recursive(
    st.one_of(_nasty, st.text(max_size=8), st.integers().map(str), st.floats().map(str)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda items: f"[{', '.join(items)}]"),
        st.lists(st.tuples(_keys, inner), max_size=4).map(
            lambda pairs: "{" + ", ".join(f"{key}: {value}" for key, value in pairs) + "}"
        ),
    ),
    max_leaves=8,
)
_arbitrary = st.lists(st.tuples(_keys, _flow), max_size=5).map(
    lambda pairs: "".join(f"{key}: {value}\n" for key, value in pairs)
)

FILES = st.one_of(
    damaged().map(lambda text: text.encode(errors="surrogatepass")),
    replaced().map(lambda text: text.encode(errors="surrogatepass")),
    _arbitrary.map(lambda text: text.encode(errors="surrogatepass")),
    valid().map(str.encode),
    st.binary(max_size=40),
    st.sampled_from((*BOMBS, *NASTY)).map(lambda text: text.encode(errors="surrogatepass")),
)
"""The bytes of a sweep file."""

"""Imports run one way only, and each large dependency stays in its room."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import cogx_runs

PACKAGE = Path(cogx_runs.__file__).parent
LEVELS = (
    {"credentials", "formatting"},
    {"errors"},
    {"progress", "system", "notebook"},
    {"definitions", "video", "toy"},
    {"models"},
    {"metrics"},
    {"generation", "tracking"},
    {"planning", "analysis"},
    {"dashboard"},
    {"execution"},
    {"search", "rescore", "export", "doctor", "report", "verify", "video_sets", "cleanup", "importing"},
    {"api"},
    {"cli"},
)
"""The rooms of docs/architecture.md, from the ground; each may import those of lower levels, and none of its own."""
LEVEL = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}
AT_THE_ROOT = {
    "credentials",
    "errors",
    "formatting",
    "progress",
    "notebook",
    "video",
    "export",
    "doctor",
    "verify",
    "video_sets",
    "api",
}
"""The modules that are no folder, beside the package itself."""
HIDDEN = {
    "diffusers": {"generation", "toy.train"},
    "triton": {"generation"},
    "open_clip": {"metrics", "toy.train"},
    "mlflow": {"tracking"},
    "click": {"cli"},
    "rich": {"cli"},
    "jinja2": {"report"},
    "matplotlib": {"report"},
    "scipy": {"analysis"},
    "skimage": {"metrics"},
    "lpips": {"metrics"},
    "timm": {"metrics"},
    "statsmodels": {"analysis"},
    "optuna": {"search"},
    "ray": {"execution"},
    "ruamel": {"definitions"},
}
"""The rooms that may import a large dependency."""

TOO_LARGE = {
    "torch",
    "numpy",
    "diffusers",
    "transformers",
    "mlflow",
    "pandas",
    "open_clip",
    "ray",
    "pydantic",
    "rich",
    "yaml",
    "ruamel",
    "jinja2",
    "matplotlib",
    "scipy",
    "statsmodels",
    "skimage",
    "optuna",
}
"""What the command line does without until a command needs it."""


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def room_of(module: str) -> str:
    parts = module.split(".")[1:]
    return ".".join(parts[:2]) if parts[:1] == ["toy"] else parts[0] if parts else ""


def imports_of(module: str, with_types: bool = True) -> Iterator[str]:
    """Every module that `module` names in an import, at its top or in a function; without `with_types`, not those
    that only annotations need."""
    yield from _imports(ast.parse(SOURCES[module].read_text(encoding="utf-8")), with_types)


def _imports(node: ast.AST, with_types: bool) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "imports are absolute"
            for alias in child.names:
                full = f"{child.module}.{alias.name}"
                yield full if full in SOURCES else str(child.module)
        elif isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING" and not with_types:
            continue
        else:
            yield from _imports(child, with_types)


def edges() -> set[tuple[str, str]]:
    """Which module imports which; the package itself, whose names are imported when first used, aside."""
    return {
        (module, imported)
        for module in SOURCES
        for imported in imports_of(module)
        if imported in SOURCES and module != "cogx_runs" != imported
    }


def test_imports_are_found_in_functions_in_blocks_and_for_types() -> None:
    found = edges()

    assert ("cogx_runs.api", "cogx_runs.execution.local") in found
    assert ("cogx_runs.cli.plans", "cogx_runs.planning.plan") in found
    assert ("cogx_runs.definitions.prompts", "cogx_runs.definitions.shipped") in found
    assert "diffusers" in set(imports_of("cogx_runs.generation.pipeline"))


def test_every_module_is_in_a_room_and_no_other_file_stands_at_the_root() -> None:
    at_the_root = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}

    assert {room_of(module) for module in SOURCES} - {"", "toy.train"} == set(LEVEL)
    assert at_the_root == AT_THE_ROOT


def test_imports_run_down_from_room_to_room() -> None:
    rooms = {(room_of(module), room_of(imported)) for module, imported in edges() if room_of(module) in LEVEL}
    between = {(room, imported) for room, imported in rooms if room != imported}

    assert {pair for pair in between if LEVEL.get(pair[1], 99) >= LEVEL[pair[0]]} == set()


def test_no_modules_import_each_other_in_a_circle() -> None:
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for module, imported in edges():
        if imported not in {module.rpartition(".")[0], module}:
            sorter.add(module, imported)

    order = list(sorter.static_order())

    assert order.index("cogx_runs.errors") < order.index("cogx_runs.execution.local") < order.index("cogx_runs.api")


def test_each_large_dependency_is_imported_in_its_rooms_and_nowhere_else() -> None:
    importers: dict[str, set[str]] = {name: set() for name in HIDDEN}
    for module in SOURCES:
        for imported in imports_of(module, with_types=False):
            if imported.split(".")[0] in HIDDEN:
                importers[imported.split(".")[0]].add(room_of(module))

    assert {name: rooms - HIDDEN[name] for name, rooms in importers.items()} == {name: set() for name in HIDDEN}
    assert importers["diffusers"] >= {"generation"}
    assert importers["open_clip"] >= {"metrics"}
    assert importers["mlflow"] == {"tracking"}


def test_the_package_itself_imports_nothing_until_a_name_is_used() -> None:
    assert {name.split(".")[0] for name in imports_of("cogx_runs", with_types=False)} == {"lazy_loader"}


def test_the_command_line_and_its_help_load_nothing_large() -> None:
    script = """
import contextlib, sys
from cogx_runs.cli import cli
for arguments in (["--help"], *([name, "--help"] for name in cli.commands)):
    with contextlib.suppress(SystemExit):
        cli(arguments)
print("loaded:", *sorted({name.split(".")[0] for name in sys.modules}))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    output, _, loaded = done.stdout.rpartition("loaded:")
    assert output.count("Usage: ") >= 10
    assert "cogx_runs" in loaded.split()
    assert set(loaded.split()) & TOO_LARGE == set()


def test_a_sweep_with_nothing_to_run_loads_neither_torch_nor_scipys_distributions() -> None:
    script = """
import sys
import cogx_runs.api, cogx_runs.execution.loop, cogx_runs.analysis.headline
print("loaded:", *sorted(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert {"torch", "diffusers", "scipy.stats", "statsmodels"} & set(done.stdout.split()) == set()


def test_each_room_says_what_lives_there_and_what_may_be_imported_from_it() -> None:
    rooms = {path.parent for path in SOURCES.values()} - {PACKAGE}
    files = {room: ast.parse((room / "__init__.py").read_text(encoding="utf-8")) for room in rooms}
    said = {room.relative_to(PACKAGE).as_posix(): ast.get_docstring(file) or "" for room, file in files.items()}

    unclear = {room for room, text in said.items() if not re.match(r"[A-Z][a-z]+s .*\.\n\n.*\b[Ii]mport", text)}
    assert unclear == set()
    named = {(room, name) for room, text in said.items() for name in re.findall(r"`([a-z_]+)`", text)}
    assert named >= {("report", "folder"), ("cli", "main")}
    assert {(room, name) for room, name in named if not _is_known(PACKAGE / room, name)} == set()


def _is_known(room: Path, name: str) -> bool:
    """Whether a room's docstring may name this: a module, folder or function of its own, or another room."""
    own = ast.parse((room / "__init__.py").read_text(encoding="utf-8")).body
    functions = {node.name for node in own if isinstance(node, ast.FunctionDef)}
    return name in functions | LEVEL.keys() or (room / name).is_dir() or (room / f"{name}.py").exists()

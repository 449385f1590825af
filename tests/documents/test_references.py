"""What the documents name is there: links, commands with their options, keys of sweep files, functions."""

import ast
import re
import shlex
from pathlib import Path

import click
import pytest
from jsonschema import Draft202012Validator

import cogx_runs
from cogx_runs.cli import cli
from cogx_runs.definitions.document import read_document
from cogx_runs.definitions.parameters import Parameters
from cogx_runs.definitions.schema import sweep_schema
from cogx_runs.definitions.sweep import load_sweeps
from tests.support.documents import DOCUMENTS, anchors, blocks, commands
from tests.support.paths import ROOT
from tests.support.sweep_files import write

every_document = pytest.mark.parametrize(
    "document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).with_suffix("").as_posix()
)
LONGEST = 300
"""Lines of a document, what is generated and what is a result aside."""


@every_document
def test_links_lead_to_files_and_headings(document: Path) -> None:
    links = re.findall(r"\]\((?!https?://)([^)]+)\)", document.read_text(encoding="utf-8"))

    def leads(link: str) -> bool:
        file, _, anchor = link.partition("#")
        target = document.parent / file if file else document
        return target.exists() and (not anchor or anchor in anchors(target))

    assert [link for link in links if not leads(link)] == []


@every_document
def test_commands_are_there_with_their_options(document: Path) -> None:
    assert [(command, fault) for command in commands(document) if (fault := fault_of(command))] == []


def fault_of(written: str) -> str | None:
    """Parses a command line without running it; None where it holds."""
    _, *arguments = shlex.split(written)
    command: click.Command = cli
    context = click.Context(cli, info_name="cogx-runs")
    while isinstance(command, click.Group):
        if arguments[0] in {"--help", "--version"}:
            return None
        name = arguments.pop(0)
        if name not in command.commands:
            return f"no command {name}"
        command = command.commands[name]
        context = click.Context(command, parent=context, info_name=name)
    try:
        values, _, _ = command.make_parser(context).parse_args(arguments)
    except click.UsageError as error:
        return error.format_message()
    keys = [pair.partition("=")[0] for pair in values.get("settings") or []]
    unknown = [key for key in keys if key not in Parameters.model_fields and key != "KEY"]
    return f"no key {unknown[0]}" if unknown else None


def test_a_command_that_is_not_there_would_be_found() -> None:
    assert fault_of("cogx-runs sweep a.yaml --steps 3 --set seed=1") is None
    assert fault_of("cogx-runs sweeps a.yaml") == "no command sweeps"
    assert "--stops" in str(fault_of("cogx-runs sweep a.yaml --stops 3"))
    assert fault_of("cogx-runs sweep a.yaml --set seeds=1") == "no key seeds"


@every_document
def test_sweep_files_in_the_documents_are_valid(document: Path, tmp_path: Path) -> None:
    """A whole file is loaded; of a part, the keys and values are checked as those of a file around it."""
    part = Draft202012Validator(sweep_schema())
    for block in blocks(document, "yaml"):
        file = write(tmp_path / "a.yaml", block.text)
        content = read_document(file).root.value()
        if {"name", "prompts"} <= content.keys():
            assert load_sweeps([file]), block.place
        else:
            faults = [error.message for error in part.iter_errors({"name": "part", "prompts": "all"} | content)]
            assert (block.place, faults) == (block.place, [])


@every_document
def test_python_in_the_documents_names_what_is_there(document: Path) -> None:
    for block in blocks(document, "python"):
        for node in ast.walk(ast.parse(block.text)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "cogx_runs":
                assert node.attr in cogx_runs.__all__, block.place
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("cogx_runs."):
                module = ROOT.joinpath(*str(node.module).split("."))
                assert module.is_dir() or module.with_suffix(".py").is_file(), block.place


def test_no_document_is_long_but_what_is_generated_and_results() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (generated,) = re.findall(r"^GENERATED := (.*)$", makefile, re.MULTILINE)
    may_be_long = {ROOT / name for name in [*generated.split(), "CHANGELOG.md"]}
    lines = {
        document.relative_to(ROOT).as_posix(): len(document.read_text(encoding="utf-8").splitlines())
        for document in DOCUMENTS
        if document not in may_be_long and ROOT / "docs" / "results" not in document.parents
    }

    assert {name: count for name, count in lines.items() if count > LONGEST} == {}


def test_the_index_names_every_document() -> None:
    index = ROOT / "docs" / "README.md"
    linked = {(index.parent / link).resolve() for link in re.findall(r"\]\(([^)#]+\.md)", index.read_text("utf-8"))}

    assert {path for path in (ROOT / "docs").rglob("*.md") if path != index} - linked == set()

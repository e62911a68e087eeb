"""The documents are true: links lead somewhere, commands parse as written, Python compiles, named tests exist."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from lorarack.registry.cli.app import build_app

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
names = [str(page.relative_to(ROOT)) for page in PAGES]

FENCE = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)


def blocks(page: Path, language: str) -> Iterator[str]:
    for found, text in FENCE.findall(page.read_text()):
        if found == language:
            yield text


def command_lines(page: Path) -> Iterator[str]:
    for block in blocks(page, "bash"):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("lorarack "):
                yield line


COMMANDS = sorted({(name, line) for name, page in zip(names, PAGES, strict=True) for line in command_lines(page)})


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_links_lead_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text())
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_named_files_exist(page: Path) -> None:
    """Paths in backticks that begin with a folder of this repository."""
    for path in re.findall(r"`((?:tests|docs|registry|server|adapters|examples|scripts)/[\w./-]*)`", page.read_text()):
        assert (ROOT / path).exists() or (ROOT / "registry/lorarack" / path).exists(), path


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_python_compiles(page: Path) -> None:
    for block in blocks(page, "python"):
        compile(block, str(page), "exec")


@pytest.mark.parametrize(("page", "line"), COMMANDS, ids=[f"{page}: {line[:60]}" for page, line in COMMANDS])
def test_documented_commands_parse(page: str, line: str) -> None:
    """Command, options and number of arguments are the real ones; nothing is run."""
    words = shlex.split(line, comments=True)[1:]
    command = typer.main.get_command(build_app())
    context = command.make_context("lorarack", list(words), resilient_parsing=False)
    while hasattr(command, "resolve_command"):
        _, command, words = command.resolve_command(context, [*context._protected_args, *context.args])
        context = command.make_context(command.name, words, parent=context)


def test_there_are_commands_to_check() -> None:
    assert len(COMMANDS) > 15


PLACES = re.findall(r"^\| .* \| `([\w./]+\.py)`.* \| `(\w+)` \|$", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)


def test_there_are_places_to_go_to() -> None:
    assert len(PLACES) >= 15


@pytest.mark.parametrize(("file", "name"), PLACES)
def test_what_the_table_names_is_defined_there(file: str, name: str) -> None:
    """Of the table "to change X, go to Y"."""
    assert re.search(rf"^(?:def|class) {name}\b|^{name}\b", (ROOT / file).read_text(), re.MULTILINE)


# Architecture

_ROOM = re.compile(r"^Files are in `([^`]+)`\.$", re.MULTILINE)
_CODE = re.compile(r"`([^`\s]+(?:\.py|/))`")


def test_the_files_that_the_architecture_names_are_there() -> None:
    """Each life names its files below one folder; whatever else the page names lies below the project's."""
    page = (ROOT / "docs" / "architecture.md").read_text()
    sections = re.split(r"^## ", page, flags=re.MULTILINE)
    assert [len(re.findall(r"^\| \d ", section, re.MULTILINE)) for section in sections[1:4]] == [8, 8, 8]
    for section in sections:
        room = _ROOM.search(section)
        named = _CODE.findall(section.replace(room[0], "") if room else section)
        below = ROOT / room[1] if room else ROOT
        assert [name for name in named if not (below / name).exists()] == []
        assert named

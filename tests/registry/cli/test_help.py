"""What the command says of itself, how it fails, and that it starts quickly."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from tests.command_line import lorarack
from typer.main import get_command

from lorarack.registry.cli.app import build_app


def commands(command: object, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every command with its path and its help text; groups are walked through."""
    inner = getattr(command, "commands", None)
    if inner is None:
        yield path, str(getattr(command, "help", ""))
    else:
        for name, found in sorted(inner.items()):
            yield from commands(found, (*path, name))


ALL = dict(commands(get_command(build_app())))


REGISTRYS_OWN = (
    "base add, base list, publish, list, show, alias set, alias list, alias history, fetch, delete, push, pull, "
    "archive, restore, quarantine, verify, retention, gc, "
    "search, best, diff, lineage, events, tag, promote, rollback, base link, "
    "key add, key list, key revoke"
)
OWN = [tuple(name.split()) for name in REGISTRYS_OWN.split(", ")]


def test_the_registrys_commands_are_all_there() -> None:
    assert set(OWN) <= set(ALL)


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_shows_an_example_of_itself(path: tuple[str, ...]) -> None:
    answer = lorarack(*path, "--help")
    assert answer.code == 0
    assert f"Example: lorarack {' '.join(path)}" in " ".join(answer.out.split())


@pytest.mark.parametrize("path", OWN, ids=" ".join)
def test_every_command_of_the_registry_is_told_where_it_is_and_can_speak_json(path: tuple[str, ...]) -> None:
    shown = lorarack(*path, "--help").out
    assert "--registry" in shown
    assert "--json" in shown


def test_the_version_is_the_distributions() -> None:
    from importlib.metadata import version

    assert lorarack("--version").out == f"lorarack {version('lorarack')}\n"


def test_without_a_command_there_is_help() -> None:
    answer = lorarack()
    assert "Usage" in answer.out + answer.err
    for group in ("alias", "base"):
        assert "Usage" in "".join(map(str, (lorarack(group).out, lorarack(group).err)))


@pytest.mark.parametrize(
    "arguments",
    [("no-such-command",), ("show",), ("list", "--no-such-option"), ("alias", "set", "a@b", "zero"), ("alias", "set", "a@b", "0")],
    ids=" ".join,
)  # fmt: skip
def test_wrong_usage_is_exit_code_2(arguments: tuple[str, ...], tmp_path: Path) -> None:
    answer = lorarack(*arguments)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err


def test_an_error_is_a_sentence_for_people_and_an_object_for_programs(home: Path) -> None:
    where = ("--registry", home)
    answer = lorarack("show", "nothing", *where)
    assert (answer.code, answer.out, answer.err) == (1, "", "error: There is no adapter 'nothing'.\n")
    answer = lorarack("show", "nothing", *where, "--json")
    assert (answer.code, answer.out) == (1, "")
    assert json.loads(answer.err) == {
        "error": {"code": "unknown_reference", "message": "There is no adapter 'nothing'."}
    }
    answer = lorarack("show", "No Reference", *where, "--json")
    assert answer.code == 2
    assert json.loads(answer.err)["error"]["code"] == "bad_reference"


def in_a_process(program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )


def test_looking_imports_nothing_large(home: Path) -> None:
    """A list must be there at once; training and serving libraries take seconds to import."""
    program = (
        "import sys\n"
        "from lorarack.registry.cli.main import main\n"
        "sys.argv = ['lorarack', 'list']\n"
        "try:\n    main()\nexcept SystemExit: pass\n"
        "large = {'torch', 'vllm', 'transformers', 'peft', 'trl', 'datasets', 'huggingface_hub', 'numpy', 'alembic',\n"
        "         'scipy', 'openai', 'fastapi', 'httpx'}\n"
        "print(sorted(large & set(sys.modules)), file=sys.stderr)\n"
    )
    done = in_a_process(program, LORARACK_REGISTRY=str(home))
    assert (done.returncode, done.stderr) == (0, "[]\n"), done
    assert "No adapters" in done.stdout


def test_the_installed_command_passes_the_exit_code_on(home: Path) -> None:
    """Through the module, as servers and tests start it."""
    command = [sys.executable, "-m", "lorarack.registry.cli.main", "show", "nothing", "--registry", str(home)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "error: There is no adapter 'nothing'.\n")


def test_a_component_that_is_installed_mounts_its_commands() -> None:
    app = build_app()
    assert isinstance(app, typer.Typer)
    assert ("serve",) in ALL

"""Rules of the whole tree that no other tool holds."""

import ast
import importlib
import re
import statistics
import subprocess
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

import lorarack.registry as face
from lorarack.registry import errors

ROOT = Path(__file__).parents[1]
ROOTS = ("registry", "server", "adapters", "demo")


def files(suffix: str = "") -> list[Path]:
    """The project's own files: those that git tracks, or would."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    return [ROOT / name for name in sorted(set(listed)) if name and name.endswith(suffix) and (ROOT / name).is_file()]


# Layout


@pytest.mark.parametrize("root", ROOTS)
def test_the_roots_share_one_name_space(root: str) -> None:
    """With an ``__init__.py`` there, one component would hide the other two, and type checkers would not notice."""
    assert not (ROOT / root / "lorarack" / "__init__.py").exists()
    assert (ROOT / root / "lorarack" / root / "py.typed").is_file()
    assert importlib.import_module(f"lorarack.{root}").__file__ is not None


def test_no_file_is_longer_than_fits_a_head() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in files(".py")}
    assert {name: length for name, length in lengths.items() if length > 300} == {}
    assert statistics.median(lengths.values()) < 120


SOMEWHERE = re.compile(
    r"(?<![\w.~}])/(work|opt|root|tmp|mnt)/"  # a path of one machine; made-up ones in tests begin otherwise
    r"|https?://[^\s\"'<>)]*(pypi\.org|pythonhosted|/simple\b|artifactory|nexus|devpi)"
)


def test_no_file_knows_the_machine_that_it_was_written_on() -> None:
    """Neither paths nor addresses of package registries: the project installs from wherever its user's tools point."""
    found = []
    for path in files():
        if path == Path(__file__):
            continue
        try:
            lines = path.read_text().splitlines()
        except UnicodeDecodeError:
            continue
        found += [
            f"{path.relative_to(ROOT)}:{number}" for number, line in enumerate(lines, 1) if SOMEWHERE.search(line)
        ]
    assert found == []


# The public face of the registry


def test_what_the_registry_offers_is_what_it_says() -> None:
    """Nothing public is missing from ``__all__``, nothing in it is missing from the module, which imports names when asked."""
    assert dir(face) == face.__all__
    for name in face.__all__:
        assert getattr(face, name) is not None
    public = {
        name
        for name, value in vars(face).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    assert public == set(face.__all__)
    assert face.__all__ == sorted(face.__all__)


# Errors

WALK = re.compile(r"raises (?:like|as) ``|raises likewise|else (?:like|as) ``|errors are those of", re.IGNORECASE)


def test_docstrings_name_their_errors_and_send_nobody_elsewhere() -> None:
    """``interface`` is where the errors of a registry are written; everything else spells its own out."""
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for root in ROOTS
        for path in sorted((ROOT / root).rglob("*.py"))
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if WALK.search(line)
    ]
    assert found == []


def tree_of(error: type[errors.LorarackError], depth: int = 0) -> Iterator[tuple[type[errors.LorarackError], int]]:
    yield error, depth
    for child in error.__subclasses__():
        yield from tree_of(child, depth + 1)


def test_the_error_tree_is_drawn_as_it_is() -> None:
    """Each class, where it hangs, its exit code and its HTTP status."""
    lines = re.finditer(r"^    ([│├└─ ]*)([A-Z]\w+) +(\d+) +(\d+)", errors.__doc__ or "", re.MULTILINE)
    drawn = [(line[2], len(line[1]) // 4, int(line[3]), int(line[4])) for line in lines]
    there = [
        (error.__name__, depth, error.exit_code, error.http_status) for error, depth in tree_of(errors.LorarackError)
    ]
    assert drawn == there


def test_every_error_has_a_code_of_its_own() -> None:
    codes = [error.default_code for error, _ in tree_of(errors.LorarackError)]
    assert len(set(codes)) == len(codes)


def test_only_errors_of_the_tree_are_raised_for_users() -> None:
    """Built-in exceptions may be raised where they are caught again; nothing raises a bare ``Exception``."""
    for path in files(".py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and isinstance(node.exc.func, ast.Name):
                assert node.exc.func.id not in {"Exception", "BaseException"}, f"{path}:{node.lineno}"

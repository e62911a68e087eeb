"""The tests on the session's server run on one process and first; a file's tests stay together."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.spread import ByServerAndFile, order


class Option(SimpleNamespace):
    """As much of pytest's configuration as a scheduler reads when it begins."""

    tx = ("popen", "popen")

    def getvalue(self, name: str) -> Any:
        return getattr(self, name)


def item(file: str, name: str = "test", fixtures: tuple[str, ...] = (), marks: tuple[str, ...] = ()) -> Any:
    return SimpleNamespace(
        nodeid=f"{file}::{name}",
        path=Path(file),
        fixturenames=fixtures,
        get_closest_marker=lambda mark: mark if mark in marks else None,
    )


def sorted_names(*items: Any) -> list[str]:
    found = list(items)
    order(found)
    return [one.nodeid for one in found]


def test_what_uses_the_server_is_one_unit_and_all_else_is_by_file() -> None:
    split = ByServerAndFile(Option())._split_scope
    shared = {
        split(name)
        for name in ("tests/system/test_a.py::one", "tests/system/test_b.py::C::two", "tests/attack/test_c.py::x")
    }
    assert len(shared) == 1
    others = ("tests/starts/test_a.py::one", "tests/starts/test_a.py::C::two[1::2]", "tests/registry/test_a.py::one")
    assert [split(name) for name in others] == [
        "tests/starts/test_a.py",
        "tests/starts/test_a.py",
        "tests/registry/test_a.py",
    ]


def test_what_takes_longest_comes_first_and_files_stay_whole() -> None:
    plain, mixed, server = "tests/a.py", "tests/b.py", "tests/system/c.py"
    assert sorted_names(
        item(plain),
        item(mixed, "first"),
        item(mixed, "last", marks=("torch",)),
        item("tests/d.py", marks=("system",)),
        item(server),
    ) == [f"{server}::test", f"{mixed}::first", f"{mixed}::last", "tests/d.py::test", f"{plain}::test"]


def test_the_sessions_server_is_used_in_its_folders_only() -> None:
    """Another fixture of that name is no matter."""
    fixtures = ("server", "small_base")
    order([item("tests/system/a.py", fixtures=fixtures), item("tests/server/b.py", fixtures=("server",))])
    with pytest.raises(pytest.UsageError, match=r"tests/server/b\.py::test"):
        order([item("tests/server/b.py", fixtures=fixtures)])

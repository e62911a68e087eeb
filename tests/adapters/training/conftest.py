"""A registry with one tiny base, and rows that a tiny model can learn in a few steps."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.tiny import tiny_base

from lorarack.adapters.data import Row, load_rows
from lorarack.adapters.recipe import Recipe, make_recipe
from lorarack.registry import Registry, open_registry

LETTERS = "abcdefghijklmnop"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs are kept in the test's own home."""
    monkeypatch.setenv("LORARACK_HOME", str(tmp_path / "lorarack-home"))


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_base(tmp_path_factory.mktemp("base") / "tiny-base")


@pytest.fixture
def registry(tmp_path: Path, tiny_folder: Path) -> Iterator[Registry]:
    with open_registry(tmp_path / "home") as opened:
        opened.add_base(str(tiny_folder), "tiny")
        yield opened


def write_rows(path: Path, prompts: str, shift: int = 1) -> Path:
    """A row for each letter: its neighbour, three times."""
    rows = [{"prompt": f"{letter}:", "completion": chr(ord(letter) + shift) * 3} for letter in prompts]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def recipe(tmp_path: Path) -> Callable[..., Recipe]:
    """Makes recipes over the letters; keys may be replaced."""
    data = {
        "train": str(write_rows(tmp_path / "train.jsonl", LETTERS[:12])),
        "validation": str(write_rows(tmp_path / "validation.jsonl", LETTERS[12:])),
    }
    settings = {"name": "letters", "base": "tiny", "data": data, "ranks": [4], "max_steps": 6, "batch_size": 4}

    def make(**changes: object) -> Recipe:
        return make_recipe({**settings, "learning_rate": 0.01, "dtype": "float32", **changes})

    return make


def one_row(folder: Path, body: dict[str, Any]) -> Row:
    """The row of a file that holds this one."""
    path = folder / "rows.jsonl"
    path.write_text(json.dumps(body) + "\n")
    return load_rows(path).rows[0]

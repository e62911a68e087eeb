"""A registry with a tiny base, and rows on which a rank can be chosen in seconds."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.adapters.training.conftest import LETTERS, write_rows
from tests.adapters.training.conftest import registry as registry
from tests.adapters.training.conftest import tiny_folder as tiny_folder

from lorarack.adapters.recipe import Recipe, make_recipe


@pytest.fixture
def recipe(tmp_path: Path) -> Callable[..., Recipe]:
    """Makes recipes over letters; keys may be replaced."""
    data = {
        "train": str(write_rows(tmp_path / "train.jsonl", LETTERS[:12])),
        "validation": str(write_rows(tmp_path / "validation.jsonl", LETTERS[12:])),
    }
    settings = {"name": "letters", "base": "tiny", "data": data, "ranks": [8], "max_steps": 20, "batch_size": 6}

    def make(**changes: object) -> Recipe:
        return make_recipe({**settings, "learning_rate": 0.02, "dtype": "float32", **changes})

    return make

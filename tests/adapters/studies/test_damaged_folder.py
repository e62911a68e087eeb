"""A study whose folder was damaged says which part to remove, and makes only that again."""

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from lorarack.adapters.recipe import Recipe
from lorarack.adapters.studies.report import StudyReport
from lorarack.registry import Registry
from lorarack.registry.errors import StoreError

pytestmark = pytest.mark.torch

RUN, LOOKED = "trained-r8", "looked-r4"


@pytest.fixture
def again(registry: Registry, recipe: Callable[..., Recipe], tmp_path: Path) -> Callable[[], StudyReport]:
    """The same study, each time it is called."""
    from lorarack.adapters.studies.run import study

    return lambda: study(recipe(), registry, folder=tmp_path / "studies")


def become_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def become_file(path: Path) -> None:
    shutil.rmtree(path)
    path.touch()


def damage(folder: Path) -> dict[str, Callable[[], object]]:
    """By what it does, to a finished study that has to go on."""
    run, looked = folder / RUN, folder / LOOKED
    return {
        "no record": (run / "run.json").unlink,
        "an empty record": lambda: (run / "run.json").write_bytes(b""),
        "half a record": lambda: (run / "run.json").write_bytes((run / "run.json").read_bytes()[:99]),
        "another program's record": lambda: (run / "run.json").write_text(json.dumps({"key": 1})),
        "a record that is no text": lambda: (run / "run.json").write_bytes(b"\xff\xfe\x00"),
        "a record that is a folder": partial(become_folder, run / "run.json"),
        "a run that is a file": partial(become_file, run),
        "no weights": (run / "adapter_model.safetensors").unlink,
        "half of the weights": lambda: (run / "adapter_model.safetensors").write_bytes(b"\x10\x00\x00"),
        "no configuration": (run / "adapter_config.json").unlink,
        "half of the configuration": lambda: (run / "adapter_config.json").write_bytes(b'{"r": '),
        "no record of a look": (looked / "run.json").unlink,
    }


@pytest.mark.parametrize("how", damage(Path()))
def test_it_says_what_to_remove(again: Callable[[], StudyReport], how: str) -> None:
    report = again()
    for place in report.folder.glob("looked-r[12]"):  # so that weights are needed again
        shutil.rmtree(place)
    damage(report.folder)[how]()
    with pytest.raises(StoreError, match="remove") as caught:
        again()
    damaged = report.folder / (LOOKED if "look" in how else RUN)
    assert str(damaged) in caught.value.message
    assert "\n" not in caught.value.message
    shutil.rmtree(damaged) if damaged.is_dir() else damaged.unlink()
    assert again().recommended == report.recommended

"""A registry with one tiny base, and folders to publish into it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.registry.settable_clock import SettableClock
from tests.registry.shelf import Shelf
from tests.tiny import tiny_adapter, tiny_base

from lorarack.registry import Base, Registry, open_registry


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_base(tmp_path_factory.mktemp("base") / "tiny-base")


@pytest.fixture(scope="session")
def home_template(tmp_path_factory: pytest.TempPathFactory, base_folder: Path) -> Path:
    home = tmp_path_factory.mktemp("template") / "home"
    with open_registry(home) as opened:
        opened.add_base(str(base_folder), "tiny")
    return home


@pytest.fixture
def home(tmp_path: Path, home_template: Path) -> Path:
    return shutil.copytree(home_template, tmp_path / "home")


@pytest.fixture
def clock() -> SettableClock:
    """The clock of ``registry``."""
    return SettableClock()


@pytest.fixture
def registry(home: Path, clock: SettableClock) -> Iterator[Registry]:
    with open_registry(home, clock=clock) as opened:
        yield opened


@pytest.fixture
def base(registry: Registry) -> Base:
    return registry.base("tiny")


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    return tiny_adapter(tmp_path / "adapter")


@pytest.fixture
def shelf(registry: Registry, tmp_path: Path) -> Shelf:
    return Shelf(registry, tmp_path)

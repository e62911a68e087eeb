"""What the contract suites share: each test of blobs runs over every store that there is."""

from pathlib import Path

import pytest
from tests.registry.contract.blob_stores import DATA, LARGE, STORES, Damage

from lorarack.registry.interface import BlobStore


@pytest.fixture(params=STORES)
def made(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[BlobStore, Damage]:
    return STORES[request.param](tmp_path / "store")


@pytest.fixture
def store(made: tuple[BlobStore, Damage]) -> BlobStore:
    return made[0]


@pytest.fixture
def damage(made: tuple[BlobStore, Damage]) -> Damage:
    return made[1]


@pytest.fixture(params=["in one piece", "in parts"])
def data(request: pytest.FixtureRequest) -> bytes:
    return DATA if request.param == "in one piece" else LARGE

"""What the contract suites share: each test runs over every store of blobs, every catalog or every registry that there is."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.registry.contract.blob_stores import DATA, LARGE, STORES, Damage
from tests.registry.contract.catalog_values import reading
from tests.registry.contract.catalogs import CATALOGS, Opener
from tests.registry.contract.postgres import drop_copies
from tests.registry.contract.registries import REGISTRIES

from lorarack.registry import BaseId, Registry
from lorarack.registry.interface import BlobStore, Catalog


@pytest.fixture(autouse=True)
def no_database_is_left() -> Iterator[None]:
    yield
    drop_copies()


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


@pytest.fixture(params=CATALOGS)
def open_catalog(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    """Opens one catalog, each time another instance."""
    opened: list[Catalog] = []
    make = CATALOGS[request.param](tmp_path / "catalog")

    def opener() -> Catalog:
        opened.append(make())
        return opened[-1]

    yield opener
    for catalog in opened:
        catalog.close()


@pytest.fixture
def catalog(open_catalog: Opener) -> Catalog:
    """A catalog with a base called tiny."""
    made = open_catalog()
    made.add_base("ann", reading(), "tiny", "tiny", BaseId(kind="hub", value="org/tiny"), use=True)
    return made


@pytest.fixture(params=REGISTRIES)
def each_registry(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Registry]:
    with REGISTRIES[request.param](tmp_path / "registry") as registry:
        yield registry


@pytest.fixture
def another(request: pytest.FixtureRequest, each_registry: Registry, tmp_path: Path) -> Iterator[Registry]:
    """Another registry of the same kind."""
    with REGISTRIES[request.node.callspec.params["each_registry"]](tmp_path / "another") as registry:
        yield registry

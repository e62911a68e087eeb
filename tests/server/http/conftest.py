"""A gateway over a small registry, in front of an app that answers with what it was asked."""

import shutil
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path
from typing import IO

import httpx
import pytest
from tests.server.http.echo import client_of, echo
from tests.server.values import RecordingEngine
from tests.tiny import tiny_adapter, tiny_base

from lorarack.registry import Version, open_registry
from lorarack.server.app_state import AppState
from lorarack.server.http.model_resolver import ModelResolverMiddleware
from lorarack.server.limits import Limits
from lorarack.server.reference_resolver import ReferenceResolver
from lorarack.server.residency import Residency


@pytest.fixture(scope="session")
def home_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("http")
    with open_registry(place / "home") as registry:
        registry.add_base(str(tiny_base(place / "base")), "tiny")
        registry.publish(tiny_adapter(place / "one", rank=4), "support", base="tiny")
        registry.publish(tiny_adapter(place / "two", rank=32), "support", base="tiny")
        registry.publish(tiny_adapter(place / "three", rank=8), "support", base="tiny")
        registry.archive("support@3", "worse")
        registry.set_alias("support", "prod", 1)
    return place / "home"


@pytest.fixture
async def state(tmp_path: Path, home_template: Path) -> AppState:
    registry = open_registry(shutil.copytree(home_template, tmp_path / "home"))
    resolver = ReferenceResolver(registry, base_names=("tiny",))
    await resolver.refresh()
    limits = Limits("tiny", registry.base("tiny").fingerprint, 16)

    def copy_of(version: Version) -> IO[bytes]:
        return BytesIO(version.digest.encode())

    return AppState.build(frozenset({"tiny"}), resolver, Residency(RecordingEngine(), copy_of, limits))


@pytest.fixture
async def client(state: AppState) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(ModelResolverMiddleware(echo, lambda: state)) as made:
        yield made

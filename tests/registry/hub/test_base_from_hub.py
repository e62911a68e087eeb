"""Adding a base model from the Hub reads headers and samples, not the weights."""

from pathlib import Path

import numpy as np
import pytest
from tests.hub_stand_in.hub import Hub
from tests.hub_stand_in.messages import Answer, Request
from tests.tiny import base_tensors, tiny_base, write_safetensors

from lorarack.registry import Registry
from lorarack.registry.errors import InvalidArtifact, NotFound, Unavailable, UsageError

MEBIBYTES = 24


@pytest.fixture
def big_base(hub: Hub, tmp_path: Path) -> Path:
    """The tiny base and one layer more, much larger than all that is read of it."""
    folder = tiny_base(tmp_path / "big")
    extra = np.random.default_rng(0).normal(size=(MEBIBYTES * 256, 1024)).astype(np.float32)
    write_safetensors(folder / "model.safetensors", {**base_tensors(), "model.extra.weight": extra})
    hub.seed("acme/Big", folder)
    return folder


def test_weights_are_read_by_ranges_alone(hub: Hub, registry: Registry, big_base: Path) -> None:
    base = registry.add_base("acme/Big")
    weights = [e for e in hub.log if e.path.endswith(".safetensors") and e.method == "GET"]
    assert weights
    assert all(e.range and e.status in (206, 302) for e in weights)
    assert hub.sent("model.safetensors") < 2**20
    assert base.modules["model.extra"] == (MEBIBYTES * 256, 1024)
    assert base.name == "big"


def test_the_same_model_in_a_folder_is_the_same_base(hub: Hub, registry: Registry, big_base: Path) -> None:
    """And is known by both ids then; an adapter for it leaves the registry with the one on the Hub."""
    here = registry.add_base(str(big_base), "here")
    there = registry.add_base("acme/Big")
    commit = hub.repositories["acme/Big"].head.sha
    assert (there.name, there.fingerprint) == ("here", here.fingerprint)
    assert there.path == str(big_base)
    assert there.hub_id is not None
    assert (there.hub_id.value, there.hub_id.revision) == ("acme/Big", commit)
    assert there.public_id == "acme/Big"


def test_a_download_is_the_base_that_was_added_from_the_hub(hub: Hub, registry: Registry, big_base: Path) -> None:
    """Its files have the SHA-256 that the Hub states; by its tensors it is known from then on, in any shards."""
    there = registry.add_base("acme/Big", "big")
    here = registry.add_base(str(big_base), "big")
    assert (here.name, here.fingerprint, here.path) == ("big", there.fingerprint, str(big_base))
    assert set(here.fingerprints) > set(there.fingerprints)


def test_other_weights_on_the_hub_are_another_base(hub: Hub, registry: Registry, big_base: Path) -> None:
    """Also where no sample sees the difference, and nothing large is downloaded."""
    registry.add_base("acme/Big", "big")
    with (big_base / "model.safetensors").open("r+b") as file:
        file.seek(2**24 + 5)
        file.write(b"\x01\x02\x03")
    hub.seed("acme/Bigger", big_base)
    other = registry.add_base("acme/Bigger")
    assert (other.name, other.sampled) == ("bigger", registry.base("big").sampled)


def test_a_folder_comes_before_the_hub(hub: Hub, registry: Registry, big_base: Path) -> None:
    registry.add_base(str(big_base), "big")
    assert registry.add_base("acme/Big").source == str(big_base)
    with pytest.raises(UsageError, match="comes before the Hub"):
        registry.add_base("acme/Big", use=True)


def test_a_revision_is_pinned(hub: Hub, registry: Registry, big_base: Path) -> None:
    """Also when the branch moves between the first look and the reading."""
    first = hub.repositories["acme/Big"].head.sha

    def move(request: Request) -> None:
        if "/resolve/" in request.path and hub.repositories["acme/Big"].head.sha == first:
            hub.repositories["acme/Big"].commit({"config.json": b"{}"}, "force push")

    hub.before = move
    base = registry.add_base("acme/Big@main")
    assert base.hub_id is not None
    assert base.hub_id.revision == first
    assert base.architecture == "LlamaForCausalLM"


def test_what_is_not_there_is_said(hub: Hub, registry: Registry, big_base: Path) -> None:
    for source, part in [
        ("acme/nothing", "no repository"),
        ("acme/Big@nowhere", "no such revision"),
        ("nothing", "neither a folder here nor a Hub id"),
        ("./nothing/here", "neither a folder here nor a Hub id"),
    ]:
        with pytest.raises(NotFound, match=part):
            registry.add_base(source)


def test_a_repository_that_is_no_model_is_refused(hub: Hub, registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    hub.seed("acme/empty", tmp_path / "empty")
    with pytest.raises(InvalidArtifact, match="no config\\.json"):
        registry.add_base("acme/empty")


def test_a_hub_that_fails_while_reading_is_unavailable(hub: Hub, registry: Registry, big_base: Path) -> None:
    """Not an error of the client's HTTP library from deep inside."""
    hub.before = lambda request: Answer(status=418) if "/stored/" in request.path else None
    with pytest.raises(Unavailable, match="418"):
        registry.add_base("acme/Big")

"""What is wrong before the engine starts is said in one sentence, at once."""

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.tiny import tiny_base

from lorarack.registry import Registry, open_registry
from lorarack.registry.errors import Conflict, NotFound, UsageError
from lorarack.server import preflight


def test_a_taken_port_is_refused_and_a_free_one_is_not() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(Conflict, match=f"Port {port} on 127.0.0.1 is taken"):
            preflight.check_port("127.0.0.1", port)
    preflight.check_port("127.0.0.1", port)


@pytest.mark.parametrize("host", ["203.0.113.7", "not-a-host.invalid"])
def test_an_address_that_is_not_here_is_refused(host: str) -> None:
    with pytest.raises(UsageError, match="Nothing can listen"):
        preflight.check_port(host, 8000)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.9", "localhost", "::1", None])
def test_a_server_without_keys_may_be_reached_from_here(host: str | None) -> None:
    preflight.check_exposure(host, asks_for_keys=False, close_metrics=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "203.0.113.7", "not-a-host.invalid"])
def test_one_that_others_reach_needs_a_key(host: str) -> None:
    with pytest.raises(UsageError, match="lorarack key add NAME") as refused:
        preflight.check_exposure(host, asks_for_keys=False, close_metrics=False)
    assert repr(host) in refused.value.message
    preflight.check_exposure(host, asks_for_keys=True, close_metrics=False)


def test_metrics_are_not_closed_to_everybody() -> None:
    with pytest.raises(UsageError, match="--scope metrics"):
        preflight.check_exposure("127.0.0.1", asks_for_keys=False, close_metrics=True)
    preflight.check_exposure("127.0.0.1", asks_for_keys=True, close_metrics=True)


@pytest.mark.parametrize("name", ["support", "other@prod"])
def test_the_base_cannot_take_an_adapters_name(name: str) -> None:
    with pytest.raises(UsageError, match="another name"):
        preflight.check_names(["smol", name], ["support"])
    preflight.check_names(["smol", "gpt-4"], ["support"])


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with open_registry(tmp_path / "home") as registry:
        registry.add_base(str(tiny_base(tmp_path / "base")), "tiny")
        yield registry


def test_the_base_is_what_was_added(tmp_path: Path, registry: Registry) -> None:
    checked = preflight.check_base(registry, "tiny")
    assert (checked.source, checked.revision) == (str(tmp_path / "base"), None)
    assert checked.base.fingerprint == registry.base("tiny").fingerprint


@pytest.mark.parametrize("place", [0, -1], ids=["the first tensor", "the last byte"])
def test_one_changed_byte_of_the_weights_is_another_model(tmp_path: Path, registry: Registry, place: int) -> None:
    """Else it would answer under the old fingerprint. The sentence says the way out."""
    weights = tmp_path / "base" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    start = 8 + int.from_bytes(content[:8], "little")
    content[start + 2 if place == 0 else place] ^= 1
    weights.write_bytes(content)
    with pytest.raises(Conflict, match="lorarack base add") as refused:
        preflight.check_base(registry, "tiny")
    assert refused.value.exit_code == 1


def test_a_folder_that_is_gone_is_said(tmp_path: Path, registry: Registry) -> None:
    shutil.rmtree(tmp_path / "base")
    with pytest.raises(NotFound, match="lorarack base add"):
        preflight.check_base(registry, "tiny")

"""What is wrong before the engine starts is said in one sentence, at once."""

import socket
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lorarack.registry import Base, BaseId
from lorarack.registry.errors import Conflict, NotFound, UsageError
from lorarack.server import preflight


def base(*ids: BaseId) -> Base:
    return Base(
        name="smol", fingerprint="sha256:" + "0" * 64, architecture="LlamaForCausalLM", vocab_size=1, parameters=1,
        modules={}, ids=ids, created_at=datetime.now(UTC),
    )  # fmt: skip


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


@pytest.mark.parametrize("name", ["support", "other@prod"])
def test_the_base_cannot_take_an_adapters_name(name: str) -> None:
    with pytest.raises(UsageError, match="another name"):
        preflight.check_names(["smol", name], ["support"])
    preflight.check_names(["smol", "gpt-4"], ["support"])


def test_the_model_comes_from_the_folder_else_from_the_hub(tmp_path: Path) -> None:
    here, gone = BaseId(kind="path", value=str(tmp_path)), BaseId(kind="path", value=str(tmp_path / "gone"))
    hub = BaseId(kind="hub", value="org/smol", revision="ab12")
    assert preflight.model_source(base(hub, here)) == (str(tmp_path),)
    assert preflight.model_source(base(hub)) == ("org/smol", "--revision=ab12")
    assert preflight.model_source(base(hub, gone)) == ("org/smol", "--revision=ab12")
    with pytest.raises(NotFound, match="lorarack base add"):
        preflight.model_source(base(gone))

"""The client's settings."""

import socket
import struct
from urllib.parse import urlsplit

import pytest
from tests.hub_stand_in.hub import Hub

from lorarack.registry.errors import NotAllowed
from lorarack.registry.hub.client import hub_api, hub_endpoint


def test_address_and_token_are_read_at_each_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program may set them late, when huggingface_hub has long read its own settings."""
    for number in ("1", "2"):
        monkeypatch.setenv("HF_ENDPOINT", f"https://hub{number}.example/")
        monkeypatch.setenv("HF_TOKEN", f"hf_{number}")
        api = hub_api()
        assert (api.endpoint, api.token) == (f"https://hub{number}.example", f"hf_{number}")


def test_without_an_address_it_is_the_public_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "")
    assert hub_endpoint() == "https://huggingface.co"


def test_a_ci_provider_that_gives_no_token_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_OIDC_ID_TOKEN", "GITHUB_ACTIONS", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_OIDC_RESOURCE", "acme/orders")
    with pytest.raises(NotAllowed, match="HF_OIDC_RESOURCE"):
        hub_api()


def test_a_client_that_hangs_up_makes_the_stand_in_print_nothing(hub: Hub, capfd: pytest.CaptureFixture[str]) -> None:
    """In the middle of its request, and while it is answered: the tests' output is for what is wrong."""
    address = (urlsplit(hub.url).hostname, urlsplit(hub.url).port)
    for asked in (
        "POST /api/repos/create HTTP/1.1\r\nContent-Length: 9\r\n\r\n{",
        "GET /api/whoami-v2 HTTP/1.1\r\n\r\n" * 99,
    ):
        with socket.create_connection(address) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # its end is a reset
            client.sendall(asked.encode())
    assert hub_api().whoami()["name"] == "acme"
    assert capfd.readouterr().err == ""

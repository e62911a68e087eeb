"""The client's settings."""

import pytest

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

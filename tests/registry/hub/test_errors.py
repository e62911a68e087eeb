"""The client's errors as ours."""

import errno
from collections.abc import Mapping

import httpx2
import pytest
from huggingface_hub import errors
from huggingface_hub.utils._http import hf_raise_for_status
from huggingface_hub.utils._validators import validate_repo_id

from lorarack.registry.errors import LorarackError, NotAllowed, NotFound, StoreError, Unavailable, UsageError
from lorarack.registry.hub.client import hub_errors

ANSWERS: list[tuple[int, Mapping[str, str], type[LorarackError], str]] = [
    (404, {"X-Error-Code": "RepoNotFound"}, NotFound, "no repository 'acme/orders'"),
    (401, {"X-Error-Code": "RepoNotFound"}, NotFound, "HF_TOKEN"),
    (404, {"X-Error-Code": "RevisionNotFound"}, NotFound, "no such revision"),
    (404, {"X-Error-Code": "EntryNotFound"}, NotFound, "no such file"),
    (403, {"X-Error-Code": "GatedRepo"}, NotFound, "accept its conditions"),
    (401, {"X-Error-Message": "Invalid credentials in Authorization header"}, NotAllowed, "does not accept the token"),
    (403, {"X-Error-Message": "You lack the rights"}, NotAllowed, "You lack the rights"),
    (403, {}, NotAllowed, "HF_TOKEN to a token that may write"),
    (429, {}, Unavailable, "slow down"),
    (400, {"X-Error-Message": "No such thing"}, Unavailable, "No such thing"),
    (412, {}, Unavailable, "412"),
    (500, {}, Unavailable, "500"),
    (503, {}, Unavailable, "503"),
]


@pytest.mark.parametrize(("status", "headers", "kind", "part"), ANSWERS)
def test_an_answer_becomes_a_sentence(
    status: int, headers: Mapping[str, str], kind: type[LorarackError], part: str
) -> None:
    """Each answer that says no becomes the class that says what the caller can do, in one line without the token."""
    request = httpx2.Request(
        "GET", "https://hub.example/api/models/acme/orders?signature=hush", headers={"authorization": "Bearer hush"}
    )
    with pytest.raises(LorarackError) as raised, hub_errors("acme/orders"):
        hf_raise_for_status(httpx2.Response(status, headers=headers, request=request))
    assert type(raised.value) is kind
    assert part in raised.value.message
    assert "hush" not in raised.value.message
    assert "\n" not in raised.value.message


@pytest.mark.parametrize(
    ("error", "part"),
    [
        (httpx2.ConnectError("Connection refused"), "cannot be reached (Connection refused)"),
        (httpx2.ReadTimeout(""), "cannot be reached (ReadTimeout)"),
        (errors.OfflineModeIsEnabled("offline"), "HF_HUB_OFFLINE is set"),
        (errors.FileMetadataError("No ETag.\nMore."), "No ETag"),
        (ValueError("Invalid metadata in README.md.\n- what"), "Invalid metadata in README.md"),
        (ConnectionResetError("reset by peer"), "cannot be reached"),
    ],
)
def test_trouble_on_the_way_is_unavailable(error: Exception, part: str) -> None:
    with pytest.raises(Unavailable) as raised, hub_errors("acme/orders"):
        raise error
    assert part in raised.value.message
    assert raised.value.__cause__ is error


def test_a_wrapped_error_says_what_the_inner_one_says() -> None:
    """The client hides why an upload failed in a RuntimeError's cause."""
    error = RuntimeError("Error while uploading 'adapter_model.safetensors' to the Hub.")
    with pytest.raises(errors.HfHubHTTPError) as inner:
        hf_raise_for_status(httpx2.Response(403, request=httpx2.Request("PUT", "https://storage.example/object")))
    error.__cause__ = inner.value
    with pytest.raises(NotAllowed, match="may not do this"), hub_errors("acme/orders"):
        raise error


def test_a_download_that_finds_no_way_out_is_unavailable() -> None:
    error = errors.LocalEntryNotFoundError("not in the cache either")
    error.__cause__ = httpx2.ConnectError("Connection refused")
    with pytest.raises(Unavailable, match="cannot be reached"), hub_errors("acme/orders"):
        raise error


def test_a_name_that_the_client_refuses_is_wrong_usage() -> None:
    with pytest.raises(UsageError, match="acme/--"), hub_errors("acme/--"):
        validate_repo_id("acme/--")


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left"), StoreError("ours"), KeyError("a fault of ours")]
)
def test_what_is_not_the_hubs_passes_through(error: Exception) -> None:
    """A full disk is no trouble of the Hub, and a fault of our own must not look like one."""
    with pytest.raises(type(error)) as raised, hub_errors("acme/orders"):
        raise error
    assert raised.value is error

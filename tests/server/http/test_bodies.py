"""Bodies that are compressed, or forms: resolved as plain JSON is, within the same limit; what cannot be read is said."""

import gzip
import json
import zlib
from contextlib import suppress

import httpx
import pytest

from lorarack.registry.errors import UsageError
from lorarack.server.app_state import AppState
from lorarack.server.http import model_resolver
from lorarack.server.http.request_form import parse_form


def zipped(data: bytes, level: int = 9) -> bytes:
    """The same at every time: pytest's processes compare the names of tests, which have it in them."""
    return gzip.compress(data, level, mtime=0)


ASKED = {"model": "support@prod", "prompt": "ünï ☃"}
JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", zipped(json.dumps(ASKED).encode())),
        ("GZip", zipped(json.dumps(ASKED).encode(), 1)),
        ("x-gzip", zipped(json.dumps(ASKED).encode())),
        ("deflate", zlib.compress(json.dumps(ASKED).encode())),
        ("identity", json.dumps(ASKED).encode()),
    ],
)
async def test_a_compressed_body_is_resolved_and_passed_on_plain(
    client: httpx.AsyncClient, encoding: str, body: bytes
) -> None:
    """The app inside checks that the length fits."""
    response = await client.post("/v1/completions", content=body, headers={**JSON, "content-encoding": encoding})
    assert response.json() == {**ASKED, "model": "support@1"}
    assert response.headers["x-lorarack-version"] == "support@1"


@pytest.mark.parametrize(
    ("encoding", "body", "status", "said"),
    [
        ("br", b"x", 415, "'br' is not read here; send gzip"),
        ("gzip, gzip", b"x", 415, "is not read here"),
        ("gzip", b"{}", 400, "cannot be decompressed"),
        ("gzip", zipped(b'{"model": "tiny"}')[:-9], 400, "cut short"),
        ("gzip", zipped(b"{}") + b"more", 400, "something follows it"),
        ("deflate", zipped(b"{}"), 400, "cannot be decompressed"),
    ],
)
async def test_what_cannot_be_decompressed_is_said(
    client: httpx.AsyncClient, state: AppState, encoding: str, body: bytes, status: int, said: str
) -> None:
    response = await client.post("/v1/completions", content=body, headers={**JSON, "content-encoding": encoding})
    assert response.status_code == status
    assert said in response.json()["error"]["message"]
    assert response.headers["x-should-retry"] == "false"
    assert state.residency.loaded == ()


async def test_the_limit_is_on_what_comes_out(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bomb of a thousandth of the limit is not unpacked further than that."""
    monkeypatch.setattr(model_resolver, "MAX_BODY_BYTES", 1 << 20)
    for size, status in (((1 << 20) - 100, 200), ((1 << 20) + 1, 413), (1 << 28, 413)):
        body = zipped(b'{"model": "tiny", "prompt": "' + b"a" * (size - 31) + b'"}', 9)
        response = await client.post("/v1/completions", content=body, headers={**JSON, "content-encoding": "gzip"})
        assert response.status_code == status, size


AUDIO = ("speech.wav", b"RIFF\r\n--\r\n\x00\xff" * 50, "audio/wav")


def form_of(data: dict[str, str]) -> tuple[str, bytes]:
    """Content type and body, as a client makes them."""
    request = httpx.Request("POST", "http://server", data=data, files={"file": AUDIO})
    return request.headers["content-type"], request.read()


@pytest.mark.parametrize("path", ["/v1/audio/transcriptions", "/v1/audio/translations"])
async def test_a_forms_model_is_resolved_and_the_rest_is_untouched(client: httpx.AsyncClient, path: str) -> None:
    content_type, sent = form_of({"language": "en", "model": "support@prod"})
    response = await client.post(path, content=sent, headers={"content-type": content_type})
    assert response.status_code == 200
    assert response.headers["x-lorarack-version"] == "support@1"
    assert response.content == sent.replace(b"\r\nsupport@prod\r\n", b"\r\nsupport@1\r\n")
    assert response.content != sent


@pytest.mark.parametrize(("data", "version"), [({}, "tiny"), ({"model": "tiny"}, "tiny"), ({"model": ""}, "tiny")])
async def test_a_form_without_a_model_is_the_bases(
    client: httpx.AsyncClient, data: dict[str, str], version: str
) -> None:
    content_type, sent = form_of(data)
    response = await client.post("/v1/audio/transcriptions", content=sent, headers={"content-type": content_type})
    assert response.headers["x-lorarack-version"] == version
    assert response.content == sent


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        ({"model": "nosuch"}, 404, "unknown_reference"),
        ({"model": "support@2"}, 422, "not_serveable"),
        ({"model": ["support", "tiny"]}, 400, "bad_request"),
        ({"model": "sup\r\n--port"}, 404, "bad_reference"),
        ({"model": "tiny", "lora_request": "x"}, 400, "adapter_parameter"),
    ],
)
async def test_what_a_form_must_not_ask(
    client: httpx.AsyncClient, data: dict[str, str], status: int, code: str
) -> None:
    response = await client.post("/v1/audio/transcriptions", data=data, files={"file": AUDIO})
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("application/json", b"{}", 415),
        ("multipart/form-data", b"x", 415),
        ("multipart/form-data; boundary=b", b"garbage", 400),
        ("application/x-www-form-urlencoded", b"model=support", 415),
    ],
)
async def test_what_is_no_form_is_refused(
    client: httpx.AsyncClient, content_type: str, body: bytes, status: int
) -> None:
    headers = {"content-type": content_type}
    response = await client.post("/v1/audio/transcriptions", content=body, headers=headers)
    assert response.status_code == status
    assert response.json()["error"]["message"]


@pytest.mark.parametrize("value", [b"a\r\n--bo", b"\r\n--b", b"a\r\n--boundarx", b"\r", b"a\r\nb"])
def test_a_model_that_looks_like_a_boundary_is_replaced_whole_or_refused(value: bytes) -> None:
    body = b'--boundary\r\nContent-Disposition: form-data; name="model"\r\n\r\n' + value + b"\r\n--boundary--\r\n"
    replaced = None
    with suppress(UsageError):
        replaced = parse_form(body, b"multipart/form-data; boundary=boundary").with_model("x")
    assert replaced in (None, body.replace(value + b"\r\n--boundary--", b"x\r\n--boundary--"))


@pytest.mark.parametrize(
    ("origin", "exposed"), [({"origin": "http://a"}, "x-lorarack-version, x-lorarack-digest"), ({}, None)]
)
async def test_a_browser_may_read_which_version_answered(
    client: httpx.AsyncClient, origin: dict[str, str], exposed: str | None
) -> None:
    response = await client.post("/v1/completions", json={"model": "support"}, headers=origin)
    assert response.headers.get("access-control-expose-headers") == exposed
    refused = await client.post("/v1/completions", json={"model": "nosuch"}, headers=origin)
    assert "access-control-expose-headers" not in refused.headers

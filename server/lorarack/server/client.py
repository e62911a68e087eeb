"""One question to a running server, its answer as it comes."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from lorarack.registry.errors import Conflict, LorarackError, NotAllowed, NotFound, Unavailable, UsageError


@dataclass(frozen=True, slots=True)
class Question:
    """What to ask, and how."""

    model: str
    prompt: str
    system: str | None = None
    max_tokens: int = 256
    temperature: float = 0.0
    #: The prompt as it is to `/v1/completions`, without the chat template.
    raw: bool = False

    @property
    def path(self) -> str:
        """The route under the server's address."""
        return "/v1/completions" if self.raw else "/v1/chat/completions"

    def body(self) -> dict[str, Any]:
        """OpenAI's request, streamed."""
        shared = {
            "model": self.model,
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if self.raw:
            return {**shared, "prompt": self.prompt}
        system = [{"role": "system", "content": self.system}] if self.system else []
        return {**shared, "messages": [*system, {"role": "user", "content": self.prompt}]}


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of an answer. The headers' facts come with every piece; ``tokens`` with the last one."""

    text: str
    version: str
    digest: str
    tokens: int | None = None
    finish_reason: str | None = None


def ask(url: str, question: Question, key: str | None = None, timeout: float = 300.0) -> Iterator[Piece]:
    """Ask the server at ``url`` (with or without ``/v1``).

    Raises:
        NotFound: the server knows no such model.
        Conflict: it has that version, and will not serve it.
        NotAllowed: the key is missing or wrong.
        UsageError: the question, the address or the key cannot be sent, or the server would not take the question.
        Unavailable: no server there, or it failed.
    """
    address = _address(url)
    headers = {"content-type": "application/json", **_authorization(key)}
    content = _encoded(question)
    try:
        with (
            httpx.Client(timeout=httpx.Timeout(timeout, connect=10.0)) as client,
            client.stream("POST", address + question.path, content=content, headers=headers) as response,
        ):
            if response.status_code >= 300:
                raise _refusal(response.status_code, response.read(), address, has_key=bool(key))
            version = response.headers.get("x-lorarack-version", question.model)
            digest = response.headers.get("x-lorarack-digest", "")
            answered = False
            for event in _events(response.iter_lines()):
                answered = True
                yield _piece(event, version, digest)
            if not answered:
                raise Unavailable(
                    f"What listens at {address} gave no answer; is it a server of models? Name one with --url."
                )
    except (httpx.InvalidURL, UnicodeError) as error:
        raise _bad_url(url) from error
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise Unavailable(
            f"No server answers at {address}; start one with 'lorarack serve BASE' or name it with --url."
        ) from error
    except httpx.TimeoutException as error:
        raise Unavailable(f"The server at {address} said nothing for {timeout:.0f} s; try again.") from error
    except httpx.HTTPError as error:
        raise Unavailable(f"The server at {address} broke off: {str(error) or type(error).__name__}.") from error


def _encoded(question: Question) -> bytes:
    try:
        return json.dumps(question.body(), ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError as error:
        raise UsageError("The question holds half of a character, which no server takes; write it anew.") from error
    except ValueError as error:
        raise UsageError(f"The temperature {question.temperature} is not a number that a server takes.") from error


def _authorization(key: str | None) -> dict[str, str]:
    if not key:
        return {}
    if not (key.isascii() and key.isprintable()) or key != key.strip():
        raise NotAllowed("The key (LORARACK_TOKEN) is not plain text in one line; set it anew.", code="bad_key")
    return {"authorization": f"Bearer {key}"}


def _address(url: str) -> str:
    try:
        parsed = urlsplit(url)
        plain = url.isprintable() and " " not in url
        usable = plain and parsed.scheme in ("http", "https") and bool(parsed.hostname) and parsed.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise _bad_url(url)
    return url.rstrip("/").removesuffix("/v1")


def _bad_url(url: str) -> UsageError:
    return UsageError(f"{url!r} is not an address; write for example http://127.0.0.1:8000.", code="bad_url")


def _events(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """The JSON objects of a stream of server-sent events."""
    for line in lines:
        data = line.removeprefix("data:").strip() if line.startswith("data:") else ""
        if data == "[DONE]":
            return
        if data:
            try:
                event = json.loads(data)
            except ValueError:
                event = None
            if not isinstance(event, dict):
                raise Unavailable(f"The server sent what is no answer: {data[:200]!r}.")
            if "error" in event:
                raise Unavailable(f"The server failed: {_message(event) or data}")
            yield event


def _piece(event: dict[str, Any], version: str, digest: str) -> Piece:
    choice: dict[str, Any] = next(iter(event.get("choices") or ()), {})
    text = choice.get("text") or (choice.get("delta") or {}).get("content") or ""
    usage = event.get("usage") or {}
    return Piece(text, version, digest, usage.get("completion_tokens"), choice.get("finish_reason"))


def _refusal(status: int, body: bytes, address: str, *, has_key: bool) -> LorarackError:
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    if status == 401:
        how = "the key in LORARACK_TOKEN is not one of its keys" if has_key else "set LORARACK_TOKEN to its key"
        return NotAllowed(f"The server at {address} wants a key: {how}.")
    text = _message(document) or f"The server at {address} answered {status}: {body[:200].decode(errors='replace')}"
    kinds: dict[int, type[LorarackError]] = {
        400: UsageError,
        403: NotAllowed,
        404: NotFound,
        409: Conflict,
        410: Conflict,
        413: UsageError,
        415: UsageError,
        422: Conflict,
    }
    error = document.get("error") if isinstance(document, dict) else None
    code = error.get("code") if isinstance(error, dict) else None
    return kinds.get(status, Unavailable)(text, code=code if isinstance(code, str) else None)


def _message(document: Any) -> str | None:
    error = document.get("error") if isinstance(document, dict) else None
    found = error.get("message") if isinstance(error, dict) else error
    return str(found) if found else None

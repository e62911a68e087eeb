"""OpenAI's client, as it is pointed at one server of models: the rule of addresses, of keys, and the one table of errors.

Whatever asks a server uses this: `lorarack ask` and every evaluation. Nothing is tried twice, so no failure is hidden. Nothing of
OpenAI's own variables (``OPENAI_API_KEY`` and others) is sent. ``openai`` is imported when a client is made.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from lorarack.registry.errors import (
    Conflict,
    LorarackError,
    NotAllowed,
    NotFound,
    NotServeable,
    RateLimited,
    Unavailable,
    UsageError,
)

if TYPE_CHECKING:
    import openai

#: Seconds until a connection is refused or made.
CONNECT_SECONDS = 10.0
#: What a status of a model server stands for; any other is `Unavailable`.
STATUS_ERRORS: Mapping[int, type[LorarackError]] = {
    400: UsageError,
    403: NotAllowed,
    404: NotFound,
    409: Conflict,
    410: Conflict,
    413: UsageError,
    415: UsageError,
    422: NotServeable,
    429: RateLimited,
}
#: The last one is how OpenAI's client knows that it was asked for the response itself.
_SENT = frozenset({
    "host", "accept", "accept-encoding", "connection", "user-agent", "content-type", "content-length", "transfer-encoding",
    "x-stainless-raw-response",
})  # fmt: skip
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True)
class ModelServer:
    """A server with OpenAI's API.

    Attributes:
        url: its address, with or without ``/v1``.
        key: its key, if it wants one.
        seconds: the longest silence that is waited for.

    Raises:
        UsageError: the address is none.
        NotAllowed: the key cannot be sent in a header.
    """

    url: str
    key: str | None = field(default=None, repr=False)
    seconds: float = 300.0

    def __post_init__(self) -> None:
        if not _is_address(self.url):
            raise _bad_url(self.url)
        key = self.key or ""
        if (not (key.isascii() and key.isprintable()) and key) or key != key.strip():
            raise NotAllowed("The key (LORARACK_TOKEN) is not plain text in one line; set it anew.", code="bad_key")

    @property
    def address(self) -> str:
        """The URL without ``/v1``."""
        return self.url.rstrip("/").removesuffix("/v1")

    def client(self) -> "openai.OpenAI":
        """A client to close after use."""
        import httpx2
        import openai

        return openai.OpenAI(**self._options(), http_client=httpx2.Client(**self._transport()))

    def async_client(self, connections: int) -> "openai.AsyncOpenAI":
        """A client for so many requests at a time, to close after use."""
        import httpx2
        import openai

        limits = httpx2.Limits(max_connections=connections)
        return openai.AsyncOpenAI(**self._options(), http_client=httpx2.AsyncClient(**self._transport(), limits=limits))

    @contextmanager
    def errors(self, subject: str = "") -> Iterator[None]:
        """Translate what the client raises inside. ``subject`` comes before a server's own words.

        Raises:
            NotFound: the server knows no such model.
            Conflict: it has that version and will not serve it.
            NotServeable: it cannot serve it whole.
            NotAllowed: the key is missing or wrong.
            UsageError: the server would not take the request, or its address is none.
            RateLimited: the server wants fewer requests.
            Unavailable: no server there, or it failed.
        """
        import openai

        try:
            yield
        except openai.APIStatusError as error:
            raise self._refusal(error, subject) from error
        except openai.APIConnectionError as error:
            raise self._disconnected(error) from error
        except openai.APIError as error:  # in the midst of a stream
            raise Unavailable(f"{subject}The server failed: {error.message}") from error
        except json.JSONDecodeError as error:
            raise Unavailable(f"The server sent what is no answer: {error.doc[:200]!r}.") from error

    def _options(self) -> dict[str, Any]:
        return {"base_url": f"{self.address}/v1/", "api_key": self.key or "none", "max_retries": 0}

    def _transport(self) -> dict[str, Any]:
        import ssl

        import httpx2

        address = urlsplit(self.url)
        local = address.hostname in _LOOPBACK
        return {
            "timeout": httpx2.Timeout(self.seconds, connect=CONNECT_SECONDS),
            # No proxy for this machine's own addresses.
            "trust_env": not local,
            # Without TLS the system's certificates are not needed; reading them takes 50 ms. This context trusts none.
            "verify": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if local and address.scheme == "http" else True,
            "follow_redirects": False,
            "auth": self._headers,
        }

    def _headers(self, request: Any) -> Any:
        """Only what a request needs: OpenAI's client would add the key, organization and headers of its own variables."""
        for name in set(request.headers) - _SENT:
            del request.headers[name]
        if self.key:
            request.headers["authorization"] = f"Bearer {self.key}"
        return request

    def _refusal(self, error: "openai.APIStatusError", subject: str) -> LorarackError:
        status, document = error.status_code, error.body
        if status == 401:
            how = "the key in LORARACK_TOKEN is not one of its keys" if self.key else "set LORARACK_TOKEN to its key"
            return NotAllowed(f"The server at {self.address} wants a key: {how}.")
        if isinstance(document, Mapping) and isinstance(document.get("error"), Mapping | str):
            document = document["error"]
        message = document.get("message") if isinstance(document, Mapping) else None
        text = message or f"The server at {self.address} answered {status}: {error.response.text[:200]}"
        code = document.get("code") if isinstance(document, Mapping) else None
        kind = STATUS_ERRORS.get(status, Unavailable)
        return kind(f"{subject}{text}", code=code if isinstance(code, str) else None)

    def _disconnected(self, error: "openai.APIConnectionError") -> LorarackError:
        import httpx2
        import openai

        cause = error.__cause__
        if isinstance(cause, httpx2.ConnectError | httpx2.ConnectTimeout):
            return Unavailable(
                f"No server answers at {self.address}; start one with 'lorarack serve BASE' or name it with --url."
            )
        if isinstance(cause, httpx2.InvalidURL | UnicodeError):
            return _bad_url(self.url)
        if isinstance(error, openai.APITimeoutError):
            return Unavailable(f"The server at {self.address} said nothing for {self.seconds:.0f} s; try again.")
        reason = str(cause or "") or type(cause or error).__name__
        return Unavailable(f"The server at {self.address} broke off: {reason}.")


def _is_address(url: str) -> bool:
    try:
        parsed = urlsplit(url)
        plain = url.isprintable() and " " not in url
        return plain and parsed.scheme in ("http", "https") and bool(parsed.hostname) and parsed.port != 0
    except ValueError:
        return False


def _bad_url(url: str) -> UsageError:
    return UsageError(f"{url!r} is not an address; write for example http://127.0.0.1:8000.", code="bad_url")

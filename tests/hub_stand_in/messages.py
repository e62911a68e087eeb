"""What goes over the wire, as values."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs


@dataclass(frozen=True, slots=True)
class Request:
    """One request; header names are in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def token(self) -> str | None:
        """The bearer token, if one was sent."""
        return self.headers.get("authorization", "").removeprefix("Bearer ") or None

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    def form(self) -> dict[str, list[str]]:
        """The body as a form."""
        return parse_qs(self.body.decode())


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. ``length`` is for HEAD, which states the length of a body that it does not send."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    length: int | None = None


def as_json(value: Any, status: int = 200) -> Answer:
    """An answer with a JSON body."""
    return Answer(json.dumps(value).encode(), status, {"Content-Type": "application/json"})


class Refusal(Exception):
    """An answer that says no, as the Hub says it: a status, a code for programs and a message for people."""

    def __init__(self, status: int, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code

    def answer(self) -> Answer:
        """The answer to send; the client looks at the headers first."""
        headers = {"X-Error-Message": self.message, "Content-Type": "application/json"}
        if self.code:
            headers["X-Error-Code"] = self.code
        return Answer(json.dumps({"error": self.message}).encode(), self.status, headers)


@dataclass(frozen=True, slots=True)
class Exchange:
    """One line of the log."""

    method: str
    path: str
    status: int
    range: str | None
    sent_bytes: int

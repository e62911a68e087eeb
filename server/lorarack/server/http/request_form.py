"""A request's form (uploads of audio): its model's name, found and replaced without touching the rest."""

from dataclasses import dataclass
from typing import Any

from lorarack.registry.errors import UsageError


@dataclass(frozen=True, slots=True)
class Form:
    """A multipart form.

    Attributes:
        body: the whole form.
        names: of its fields.
        model: where the value of ``model`` begins and ends in ``body``; None: there is no such field.
    """

    body: bytes
    names: frozenset[str]
    model: tuple[int, int] | None

    @property
    def model_name(self) -> str:
        """The value of ``model``, or empty."""
        return self.body[slice(*self.model)].decode("utf-8", "replace") if self.model else ""

    @property
    def document(self) -> dict[str, str]:
        """What a JSON body would be, as far as routing looks at it: the names of the fields, and the model's."""
        return {**dict.fromkeys(self.names, "…"), "model": self.model_name}

    def with_model(self, name: str) -> bytes:
        """The body with another value of ``model``; the form has one."""
        if self.model is None:
            return self.body
        begin, end = self.model
        return self.body[:begin] + name.encode() + self.body[end:]


def parse_form(body: bytes, content_type: bytes) -> Form:
    """The form in ``body``.

    Raises:
        UsageError: it is no multipart form, or has several fields ``model``.
    """
    from python_multipart.exceptions import FormParserError
    from python_multipart.multipart import MultipartParser, parse_options_header

    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise UsageError(
            "This route takes a form: send it as 'Content-Type: multipart/form-data' with a boundary.", code="not_form"
        )
    fields = _Fields(body)
    try:
        parser = MultipartParser(options[b"boundary"], fields.callbacks())
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise UsageError(f"The form cannot be read: {error}.", code="bad_request") from error
    named = [(name, span) for name, span in fields.found if name == "model"]
    if len(named) > 1:
        raise UsageError("The form names several models; send the field 'model' once.", code="bad_request")
    return Form(body, frozenset(name for name, _ in fields.found), named[0][1] if named else None)


class _Fields:
    """Callbacks of the parser, with offsets in the body, which is parsed in one piece."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.found: list[tuple[str, tuple[int, int]]] = []
        self._header = self._value = b""
        self._name = ""
        self._span: tuple[int, int] | None = None

    def callbacks(self) -> Any:
        """What the parser is told to call."""
        return {
            "on_part_begin": self._part_begin,
            "on_header_field": self._header_field,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_part_data": self._part_data,
            "on_part_end": self._part_end,
        }

    def _part_begin(self) -> None:
        self._name, self._span = "", None

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        from python_multipart.multipart import parse_options_header

        if self._header.lower() == b"content-disposition":
            _, options = parse_options_header(self._value)
            self._name = options.get(b"name", b"").decode("utf-8", "replace")
        self._header = self._value = b""

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if data is not self._body:  # what first looked like a boundary; only there positions are of something else
            if self._name == "model":
                raise UsageError("The form's 'model' is not a name; send it in one line.", code="bad_request")
            return
        self._span = (self._span[0] if self._span else start, end)

    def _part_end(self) -> None:
        self.found.append((self._name, self._span or (0, 0)))

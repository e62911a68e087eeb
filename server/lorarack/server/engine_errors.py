"""The first error of an engine process: vLLM logs it there and raises only "see above" in the API process."""

import logging
from pathlib import Path

from pydantic import ValidationError

from lorarack.registry.errors import LorarackError


class FirstErrorHandler(logging.Handler):
    """Writes the first exception that its process logs as an error to a file of its own in ``folder``."""

    def __init__(self, folder: str) -> None:
        super().__init__(logging.ERROR)
        self._folder = Path(folder)
        self._written = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record's exception, unless one was written before."""
        if self._written or not record.exc_info or record.exc_info[1] is None:
            return
        self._written = True
        try:
            (self._folder / f"{record.created:017.6f}-{record.process}.txt").write_text(error_line(record.exc_info[1]))
        except OSError:
            self.handleError(record)


def first_error(folder: Path) -> str | None:
    """The earliest error in ``folder``; later ones usually follow from it."""
    files = sorted(folder.glob("*.txt"))
    return files[0].read_text() if files else None


def error_line(error: BaseException) -> str:
    """An exception in one line: its first line of text, and its type where that says more."""
    if isinstance(error, ValidationError):  # pydantic's first line only counts the errors
        return str(error.errors()[0]["msg"]).partition("\n")[0]
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    if isinstance(error, LorarackError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__

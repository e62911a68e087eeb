"""A text file that a user names, read without ever waiting for what does not come."""

import os
import stat
from pathlib import Path

from lorarack.registry.errors import NotFound, UsageError


def read_text_file(path: Path, kind: str, code: str) -> str:
    """The UTF-8 text of ``path``, which ``kind`` names in messages (``data file``). A pipe is read to its end.

    Raises:
        NotFound: no such file.
        UsageError: not a file, not readable, or not UTF-8.
    """
    try:
        opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe that nobody writes would hang here
        with os.fdopen(opened, "rb") as file:
            mode = os.fstat(opened).st_mode
            if stat.S_ISDIR(mode):
                raise NotFound(f"There is no {kind} {str(path)!r}: it is a folder.", code=f"no_{code}")
            if not stat.S_ISREG(mode) and not stat.S_ISFIFO(mode):
                raise UsageError(f"{str(path)!r} is not a file; save the {kind} to one.", code=f"bad_{code}")
            os.set_blocking(opened, True)
            return file.read().decode("utf-8-sig")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise NotFound(f"There is no {kind} {str(path)!r}.", code=f"no_{code}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path.name} is not UTF-8 text; save it as UTF-8.", code=f"bad_{code}") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"The {kind} {str(path)!r} cannot be read: {reason}.", code=f"bad_{code}") from error

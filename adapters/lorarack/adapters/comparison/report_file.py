"""A report written whole or not at all."""

import os
from pathlib import Path
from tempfile import NamedTemporaryFile

from lorarack.registry.errors import StoreError
from lorarack.registry.settings import check_path


def write_report(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path``; what was there is replaced at once.

    Raises:
        UsageError: it is no path.
        StoreError: it cannot be written there.
    """
    try:
        with NamedTemporaryFile(dir=check_path(path).parent, prefix=f".{path.name[:60]}.", delete=False) as file:
            try:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
                os.chmod(file.name, 0o644)
                os.replace(file.name, path)
            except BaseException:
                os.unlink(file.name)
                raise
    except OSError as error:
        raise StoreError(f"{str(path)!r} cannot be written: {error.strerror or error}.", code="report_file") from error

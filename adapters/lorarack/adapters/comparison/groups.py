"""Which rows of a data set belong together: those of one conversation, document or template."""

from pathlib import Path

from lorarack.adapters.data.options import ReadOptions
from lorarack.adapters.data.rows import Rows
from lorarack.adapters.data.source import open_source
from lorarack.registry.errors import UsageError


def row_groups(path: Path | str, rows: Rows, key: str) -> tuple[object, ...]:
    """For each row the value that it has under ``key`` in the file that it was read from; without one the row is its own group.

    Raises:
        NotFound: the file is gone.
        UsageError: no row has the key, or a value is no text or number.
    """
    values = {number: found.get(key) for number, found in open_source(path, ReadOptions()).found}
    groups: list[object] = []
    for place, row in enumerate(rows):
        value = None if row.line is None else values.get(row.line)
        if isinstance(value, list | dict):
            raise UsageError(
                f"{rows.where(row)}: its {key!r} must be a text or a number to group by.", code="bad_group"
            )
        groups.append(("row", place) if value is None else value)
    if all(isinstance(group, tuple) for group in groups):
        raise UsageError(f"No row of {rows.name} has {key!r} to group by; leave out --group-by.", code="bad_group")
    return tuple(groups)

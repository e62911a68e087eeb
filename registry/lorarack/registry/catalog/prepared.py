"""Questions that are asked all the time, compiled once.

SQLAlchemy writes the statement and converts the values; between the two it has much to do at each execution, which for the look-up
of one version is three quarters of the time.
"""

from collections.abc import Callable
from functools import cached_property
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.dialects.sqlite import dialect

_DIALECT = dialect()


class Prepared:
    """A SELECT with parameters, built when it is first asked. It reads what the connection's transaction sees."""

    def __init__(self, build: Callable[[], Any]) -> None:
        self._build = build

    def rows(self, connection: Connection, **given: Any) -> list[list[Any]]:
        """The rows, with Python's values."""
        text, names, constants, converters = self._compiled
        values = [given[name] if name in given else constants[name] for name in names]
        if not connection.in_transaction():
            connection.begin()
        driver: Any = connection.connection.driver_connection
        rows = [list(row) for row in driver.execute(text, values)]
        for place, convert in converters:
            for row in rows:
                row[place] = convert(row[place])
        return rows

    def mappings(self, connection: Connection, **given: Any) -> list[dict[str, Any]]:
        """The rows as dictionaries, by the columns' names."""
        return [dict(zip(self.names, row, strict=True)) for row in self.rows(connection, **given)]

    @cached_property
    def names(self) -> list[str]:
        """The columns' names."""
        return [column.name for column in self._statement.selected_columns]

    @cached_property
    def _statement(self) -> Any:
        return self._build()

    @cached_property
    def _compiled(self) -> tuple[str, list[str], dict[str, Any], list[tuple[int, Callable[[Any], Any]]]]:
        compiled = self._statement.compile(dialect=_DIALECT)
        converters = [
            (place, convert)
            for place, column in enumerate(self._statement.selected_columns)
            if (convert := column.type.dialect_impl(_DIALECT).result_processor(_DIALECT, None)) is not None
        ]
        return str(compiled), list(compiled.positiontup or ()), dict(compiled.params), converters

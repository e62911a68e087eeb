"""Questions that are asked all the time, compiled once.

SQLAlchemy writes the statement and converts the values; between the two it has much to do at each execution, which for the look-up
of one version is three quarters of the time, and for a search building the statement comes on top.
"""

import json
from collections.abc import Callable, Hashable
from functools import cached_property, lru_cache, partial
from typing import Any, NamedTuple

from pydantic_core import from_json
from sqlalchemy import Connection
from sqlalchemy.dialects.sqlite import dialect


def read_json(text: str) -> Any:
    """What ``json.loads`` reads, in a third of the time; a version has three columns of it."""
    try:
        return from_json(text)
    except ValueError:  # half a surrogate pair, for one, which Python lets pass
        return json.loads(text)


_DIALECT = dialect(json_deserializer=read_json)
#: How many statements are kept that are written by their shape.
_KEPT = 256

Convert = Callable[[Any], Any]


class _Compiled(NamedTuple):
    """The text, its parameters' names in order, the values of those that are not given, and what converts each kind of value."""

    text: str
    names: list[str]
    constants: dict[str, Any]
    to_store: dict[str, Convert]
    from_store: list[tuple[int, Convert]]


class Prepared:
    """A SELECT with parameters, built when it is first asked. It reads what the connection's transaction sees."""

    def __init__(self, build: Callable[[], Any]) -> None:
        self._build = build

    def rows(self, connection: Connection, **given: Any) -> list[list[Any]]:
        """The rows, with Python's values. A parameter that the statement needs and does not get is a ``KeyError``."""
        compiled = self._compiled
        for name, convert in compiled.to_store.items():
            if name in given:
                given[name] = convert(given[name])
        values = [given[name] if name in given else compiled.constants[name] for name in compiled.names]
        if not connection.in_transaction():
            connection.begin()
        driver: Any = connection.connection.driver_connection
        rows = [list(row) for row in driver.execute(compiled.text, values)]
        for place, convert in compiled.from_store:
            for row in rows:
                row[place] = convert(row[place])
        return rows

    def mappings(self, connection: Connection, **given: Any) -> list[dict[str, Any]]:
        """The rows as dictionaries, by the columns' names."""
        return [dict(zip(self.names, row, strict=True)) for row in self.rows(connection, **given)]

    def scalars(self, connection: Connection, **given: Any) -> list[Any]:
        """The rows' first values."""
        return [row[0] for row in self.rows(connection, **given)]

    @cached_property
    def names(self) -> list[str]:
        """The columns' names."""
        return [column.name for column in self._statement.selected_columns]

    @cached_property
    def _statement(self) -> Any:
        return self._build()

    @cached_property
    def _compiled(self) -> _Compiled:
        compiled = self._statement.compile(dialect=_DIALECT)
        to_store: dict[str, Convert] = {
            name: convert
            for name, parameter in compiled.binds.items()
            if (convert := parameter.type.dialect_impl(_DIALECT).bind_processor(_DIALECT)) is not None
        }
        constants = {
            name: to_store[name](parameter.value) if name in to_store else parameter.value
            for name, parameter in compiled.binds.items()
            if not parameter.required
        }
        from_store: list[tuple[int, Convert]] = [
            (place, convert)
            for place, column in enumerate(self._statement.selected_columns)
            if (convert := column.type.dialect_impl(_DIALECT).result_processor(_DIALECT, None)) is not None
        ]
        return _Compiled(str(compiled), list(compiled.positiontup or ()), constants, to_store, from_store)


@lru_cache(maxsize=_KEPT)
def prepared(build: Callable[..., Any], *shape: Hashable) -> Prepared:
    """The statement that ``build`` writes of a shape; those that were asked last are kept."""
    return Prepared(partial(build, *shape))

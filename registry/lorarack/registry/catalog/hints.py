"""Advice to SQLite about which index to use; other databases are not told."""

from typing import Any

from sqlalchemy import UnaryExpression
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.operators import custom_op

_PLUS: Any = custom_op("+")


class _Unindexed(UnaryExpression[Any]):
    inherit_cache = True


def unindexed(column: Any) -> Any:
    """The column behind a unary plus: SQLite uses no index for a condition on it (https://www.sqlite.org/optoverview.html)."""
    expression = getattr(column, "expression", column)
    return _Unindexed(expression, operator=_PLUS, type_=expression.type)


@compiles(_Unindexed)
def _plain(element: _Unindexed, compiler: Any, **options: Any) -> str:
    return str(compiler.process(element.element, **options))


@compiles(_Unindexed, "sqlite")
def _with_plus(element: _Unindexed, compiler: Any, **options: Any) -> str:
    return f"+{compiler.process(element.element, **options)}"

"""The keys of a server's clients. Rows are never deleted: a name in a server's log means one key."""

from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from lorarack.registry.access import Key
from lorarack.registry.catalog.connection import Database, now
from lorarack.registry.catalog.events import record
from lorarack.registry.catalog.schema import API_KEYS
from lorarack.registry.errors import Conflict, UsageError
from lorarack.registry.interface import KeyTable
from lorarack.registry.records import KeyRow


class SqlKeys(KeyTable):
    """Implements ``KeyTable``: each call is one transaction, around a function of its connection."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(self) -> tuple[Key, ...]:
        """See ``KeyTable.list``."""
        return self._database.read(read_keys)

    def add(self, actor: str, new: KeyRow) -> Key:
        """See ``KeyTable.add``."""
        return self._database.write(add_key, actor, new)

    def revoke(self, actor: str, name: str) -> Key | None:
        """See ``KeyTable.revoke``."""
        return self._database.write(revoke_key, actor, name)


def read_keys(connection: Connection) -> tuple[Key, ...]:
    """All keys, by name."""
    return tuple(_value(row) for row in connection.execute(select(API_KEYS).order_by(API_KEYS.c.name)))


def add_key(connection: Connection, actor: str, new: KeyRow) -> Key:
    """Add a key.

    Raises:
        Conflict: there is one of that name, perhaps revoked.
        UsageError: it would have expired by now.
    """
    moment = now(connection)
    if new.expires_at is not None and new.expires_at <= moment:
        when = f"{new.expires_at:%Y-%m-%d %H:%M} UTC"
        raise UsageError(f"A key that expires at {when} would never open anything.", code="bad_moment")
    if (old := _find(connection, new.name)) is not None:
        raise Conflict(
            f"There is a key {new.name!r} ({old.state(moment)}); give the new one another name, "
            "so that a name in a log means one key.",
            code="key_exists",
        )
    may: dict[str, Any] = {"scopes": [scope.value for scope in new.scopes], "adapters": list(new.adapters)}
    row = {"name": new.name, "prefix": new.prefix, "digest": new.digest, "expires_at": new.expires_at, **may}
    connection.execute(insert(API_KEYS).values(created_at=moment, created_by=actor, **row))
    until = new.expires_at.isoformat() if new.expires_at else None
    record(connection, actor, "key_added", key=new.name, expires_at=until, **may)
    return _get(connection, new.name)


def revoke_key(connection: Connection, actor: str, name: str) -> Key | None:
    """Revoke a key, once; None: there is none of that name."""
    old = _find(connection, name)
    if old is None or old.revoked_at is not None:
        return old
    connection.execute(update(API_KEYS).where(API_KEYS.c.name == name).values(revoked_at=now(connection)))
    record(connection, actor, "key_revoked", key=name)
    return _get(connection, name)


def _find(connection: Connection, name: str) -> Key | None:
    row = connection.execute(select(API_KEYS).where(API_KEYS.c.name == name)).first()
    return _value(row) if row is not None else None


def _get(connection: Connection, name: str) -> Key:
    return _value(connection.execute(select(API_KEYS).where(API_KEYS.c.name == name)).one())


def _value(row: Row[Any]) -> Key:
    return Key(
        name=row.name,
        prefix=row.prefix,
        digest=row.digest,
        scopes=tuple(row.scopes),
        adapters=tuple(row.adapters),
        created_at=row.created_at,
        created_by=row.created_by,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
    )

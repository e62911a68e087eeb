"""What a search for text looks into: of each version one text with its adapter's name, its description and its tags' values.

The text is case-folded by Python's rules, since each database has its own. A search reads all of them.
"""

from collections.abc import Iterable

from sqlalchemy import ColumnElement, Connection, delete, insert, select

from lorarack.registry.catalog.dialect import contains
from lorarack.registry.catalog.schema import ADAPTERS, TAGS, TEXTS, VERSIONS

#: Behind each text of a version, so that no match reaches from one text into the next.
_APART = "\x1f"
#: That separator, and characters that databases end or change a text at, are written otherwise. No code is a part of two others
#: side by side. Databases hold texts written like this: keep it.
_CODES = [f"\x1e{one}{two}" for one in "\x1a\x1b\x1c" for two in "\x1a\x1b\x1c"]
_WRITTEN = str.maketrans(dict(zip(f"\0\x1a\x1b\x1c\x1e{_APART}\ufffe\uffff", _CODES, strict=False)))


def add_text(connection: Connection, version_id: int, texts: Iterable[str]) -> None:
    """Write the searchable text of a new version."""
    connection.execute(insert(TEXTS), {"version_id": version_id, "words": searchable_text(texts)})


def update_text(connection: Connection, version_id: int) -> None:
    """Write the searchable text of a version again, if its rows say something else now."""
    query = select(ADAPTERS.c.name, VERSIONS.c.description).join_from(
        ADAPTERS, VERSIONS, VERSIONS.c.adapter_id == ADAPTERS.c.id
    )
    name, description = connection.execute(query.where(VERSIONS.c.id == version_id)).one()
    values = connection.scalars(select(TAGS.c.value).where(TAGS.c.version_id == version_id).order_by(TAGS.c.key)).all()
    texts = [name, description or "", *values]
    if searchable_text(texts) != connection.scalar(select(TEXTS.c.words).where(TEXTS.c.version_id == version_id)):
        connection.execute(delete(TEXTS).where(TEXTS.c.version_id == version_id))
        add_text(connection, version_id, texts)


def has_text(text: str) -> ColumnElement[bool]:
    """The condition that a version's searchable text contains ``text``."""
    return VERSIONS.c.id.in_(select(TEXTS.c.version_id).where(contains(TEXTS.c.words, written(text))))


def searchable_text(texts: Iterable[str]) -> str:
    """These texts as one: it contains ``written(text)`` exactly if one of them contains ``text``."""
    return "".join(written(text) + _APART for text in texts) + _APART


def written(text: str) -> str:
    """A text as it is stored and looked for."""
    return text.casefold().translate(_WRITTEN)

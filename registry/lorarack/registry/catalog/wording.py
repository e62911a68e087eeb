"""Text that is searched: a version's words are its adapter's name, its description and its tags' values, whatever their case.

They lie in one column, and SQLite's full-text index of their trigrams finds those that contain a text. Triggers keep the index
in step. Another database would have its own kind of index here.
"""

from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Select,
    String,
    column,
    delete,
    exists,
    func,
    insert,
    literal_column,
    select,
    table,
)

from lorarack.registry.catalog.tables import ADAPTERS, TAGS, TEXTS, VERSIONS

_TRIGRAM = 3
#: Of a longer text the index looks for the beginning.
_LONGEST = 100
#: No character comes after it.
_LAST = "\U0010ffff"
#: Behind each text of a version, and twice at the end: so each character begins a trigram. In a text it is written otherwise.
_APART = "\x1f"
#: So are characters that the index stops at or takes for each other. No code is a part of two others side by side.
_CODES = [f"\x1e{one}{two}" for one in "\x1a\x1b\x1c" for two in "\x1a\x1b\x1c"]
_WRITTEN = str.maketrans(dict(zip(f"\0\x1a\x1b\x1c\x1e{_APART}\ufffe\uffff", _CODES, strict=False)))

_NEW = insert(TEXTS)
_index = table("text_index", column("rowid", Integer))
_trigrams = table("text_trigrams", column("term", String), column("doc", Integer))


def add_words(connection: Connection, version_id: int, texts: Iterable[str]) -> None:
    """Write the words of a new version."""
    connection.execute(_NEW, {"version_id": version_id, "words": joined(texts)})


def keep_words(connection: Connection, version_id: int) -> None:
    """Write the words of a version anew, if its rows say something else now."""
    query = select(ADAPTERS.c.name, VERSIONS.c.description).join_from(
        ADAPTERS, VERSIONS, VERSIONS.c.adapter_id == ADAPTERS.c.id
    )
    name, description = connection.execute(query.where(VERSIONS.c.id == version_id)).one()
    values = connection.scalars(select(TAGS.c.value).where(TAGS.c.version_id == version_id).order_by(TAGS.c.key)).all()
    texts = [name, description or "", *values]
    if joined(texts) != connection.scalar(select(TEXTS.c.words).where(TEXTS.c.version_id == version_id)):
        connection.execute(delete(TEXTS).where(TEXTS.c.version_id == version_id))
        add_words(connection, version_id, texts)


def joined(texts: Iterable[str]) -> str:
    """These texts as words: a text is in one of them when ``written`` it is in the words."""
    return "".join(written(text) + _APART for text in texts) + _APART


def written(text: str) -> str:
    """The text as it is looked for."""
    return text.casefold().translate(_WRITTEN)


def is_long(text: str) -> bool:
    """Whether the index finds it by whole trigrams, so that few versions have it as a rule."""
    return len(written(text)) >= _TRIGRAM


def is_longest(text: str) -> bool:
    """Whether the index finds only its beginning."""
    return len(written(text)) > _LONGEST


def parameters(text: str) -> dict[str, str]:
    """What ``indexed`` and ``contains`` are to be given for a text."""
    wanted = written(text)
    phrase = wanted[:_LONGEST].replace('"', '""')
    return {"words": wanted, "end": wanted + 2 * _LAST, "phrase": f'"{phrase}"'}


def indexed(given: Callable[[str], Any], *, is_long: bool, is_longest: bool) -> Select[tuple[int]]:
    """The ids of the versions with a text, along the index, some perhaps more than once."""
    if not is_long:  # then trigrams that begin so
        begins = (_trigrams.c.term >= given("words"), _trigrams.c.term <= given("end"))
        return select(_trigrams.c.doc).where(*begins)
    found = select(_index.c.rowid).where(literal_column("text_index").op("MATCH")(given("phrase")))
    if is_longest:
        found = found.where(exists().where(TEXTS.c.version_id == _index.c.rowid, contains(given)))
    return found


def contains(given: Callable[[str], Any]) -> ColumnElement[bool]:
    """That the words in ``TEXTS`` contain a text."""
    return func.instr(TEXTS.c.words, given("words")) > 0

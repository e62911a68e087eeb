"""What is kept for searching says what the versions say."""

import sqlite3
from pathlib import Path

from lorarack.registry import Registry
from lorarack.registry.catalog.new_version import searchable_text


def check_search_tables(registry: Registry) -> None:
    """The numbers that count and the words are those of the versions."""
    versions = [version for adapter in registry.adapters() for version in registry.versions(adapter.name)]
    finished = {
        (v.engine_id, m.name, m.split, m.dataset or ""): (m.value, m.higher_is_better)
        for v in versions
        for m in v.metrics
        if m.step is None
    }
    words = {
        v.engine_id: searchable_text([v.adapter, v.description or "", *(v.tags[key] for key in sorted(v.tags))])
        for v in versions
    }
    database = sqlite3.connect(Path(registry.location) / "catalog.sqlite")
    found = database.execute(
        "SELECT version_id, name, split, dataset, value, higher_is_better FROM finished"
    ).fetchall()
    assert {tuple(row[:4]): tuple(row[4:]) for row in found} == finished
    assert dict(database.execute("SELECT version_id, words FROM texts").fetchall()) == words
    database.close()

"""Databases of every released schema are upgraded, and everything that was in them is there.

``schema_NNNN.sql`` is the dump of a registry that the release with that schema filled: two bases; ``support`` with versions 1
and 2, two tags, metrics, a curve point, provenance and four moves of aliases, the last one under a clock set back by an hour;
version 3 of it and version 2 of ``acme/orders`` were published and deleted. From 0002 on it is the registry of the release
before, upgraded, to which more has been said: metrics of version 2 that supersede each other, texts of ``acme/orders@1``.
"""

import sqlite3
from pathlib import Path

import pytest
from tests.registry.search_tables import check_search_tables
from tests.tiny import tiny_adapter, tiny_base

from lorarack.registry import Query, Registry, State, open_registry
from lorarack.registry.catalog.connection import SCHEMA

DUMPS = sorted(Path(__file__).parent.glob("schema_*.sql"))


@pytest.fixture(params=DUMPS, ids=lambda path: path.stem)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A home as that release left it."""
    (tmp_path / "old").mkdir()
    database = sqlite3.connect(tmp_path / "old" / "catalog.sqlite")
    database.execute("PRAGMA journal_mode=WAL")
    database.executescript(request.param.read_text())
    database.close()
    return tmp_path / "old"


def test_every_released_schema_has_its_dump() -> None:
    assert [path.stem.removeprefix("schema_") for path in DUMPS] == ["0001", "0002", "0003"]


def test_versions_tags_metrics_and_provenance_are_there(old: Path) -> None:
    with open_registry(old) as registry:
        assert [(a.name, a.base, a.versions) for a in registry.adapters()] == [
            ("acme/orders", "tuned", 1),
            ("gone", "tiny", 1),
            ("support", "tiny", 2),
        ]
        first, second = registry.versions("support", with_curves=True)
        assert (first.number, first.engine_id, first.rank, first.state) == (1, 1, 4, State.READY)
        assert first.tags == {"team": "blue", "odd key": 'ünï → "x"'}
        assert first.description == "the first"
        assert [(m.value, m.step) for m in first.metrics] == [(0.5, None), (0.9, 10)]
        assert first.provenance is not None
        assert (first.provenance.seed, first.provenance.datasets[0].rows) == (7, 10)
        assert [file.name for file in first.files] == ["adapter_config.json", "adapter_model.safetensors"]
        assert (second.number, second.rank, second.tags, second.provenance) == (2, 16, {"team": "red"}, None)
        assert [base.path for base in registry.bases()] == ["/home/ann/base", "/home/ann/other"]


def test_what_was_there_is_found(old: Path) -> None:
    """By the number that counts, and by every text."""
    with open_registry(old) as registry:
        check_search_tables(registry)
        by_loss = [version.reference for version in registry.search(Query(order="eval_loss")).versions]
        newest = registry.resolve("support@2").metric("loss", "validation")
        assert newest is not None
        assert by_loss == (["support@2", "support@1"] if newest.value < 0.5 else ["support@1", "support@2"])
        for text in ("ÜNÏ", "Support", "FIRST"):
            assert "support@1" in [version.reference for version in registry.search(Query(text=text)).versions]


def test_the_index_of_trigrams_is_gone(old: Path) -> None:
    """With its triggers, which would fail at the next description."""
    with open_registry(old) as registry:
        registry.describe("support@1", description="said anew")
        assert [version.reference for version in registry.search(Query(text="SAID ANEW")).versions] == ["support@1"]
    database = sqlite3.connect(old / "catalog.sqlite")
    assert database.execute("SELECT name FROM sqlite_master WHERE name LIKE 'text%' ORDER BY name").fetchall() == [
        ("texts",)
    ]
    database.close()


def test_aliases_and_their_history_are_there_in_the_order_of_the_moves(old: Path) -> None:
    """Also where a clock went back between two of them."""
    with open_registry(old) as registry:
        aliases = {alias.name: (alias.version, alias.previous, alias.reason) for alias in registry.aliases("support")}
        assert aliases == {
            "canary": (2, 3, None),
            "default": (1, None, "first published version"),
            "prod": (2, 1, "lower loss"),
        }
        assert [(move.name, move.version, move.actor) for move in registry.alias_history("support")] == [
            ("default", 1, "ann@workstation"),
            ("prod", 1, "ann@workstation"),
            ("prod", 2, "ann@workstation"),
            ("canary", 3, "ann@workstation"),
            ("canary", 2, "ann@workstation"),
        ]
        replayed: dict[tuple[str | None, object], int | None] = {}
        for event in registry.events(limit=1000):
            if event.kind == "alias_moved":
                replayed[event.adapter, event.detail["alias"]] = event.version
        assert replayed == {(alias.adapter, alias.name): alias.version for alias in registry.aliases()}


def test_numbers_and_engine_ids_never_come_again(old: Path, tmp_path: Path) -> None:
    """Neither those that are in use nor those of what was deleted."""
    with open_registry(old) as registry:
        registry.add_base(str(tiny_base(tmp_path / "base")), "tiny")
        made = registry.publish(tiny_adapter(tmp_path / "new", seed=70), "support", base="tiny").version
        assert (made.number, made.engine_id) == (4, 7)


def test_the_upgraded_registry_works_as_a_new_one(old: Path, tmp_path: Path) -> None:
    """Snapshots, states, retention, gc; and opening it again finds nothing to do."""
    with open_registry(old) as registry:
        _use(registry, tmp_path)
    with open_registry(old) as registry:
        assert registry.aliases("support")[0].version == 2
    database = sqlite3.connect(old / "catalog.sqlite")
    assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert database.execute("PRAGMA foreign_key_check").fetchall() == []
    assert database.execute("SELECT version_num FROM alembic_version").fetchall() == [(SCHEMA,)]
    database.close()


def _use(registry: Registry, tmp_path: Path) -> None:
    before = registry.snapshot()
    assert before.resolve("support@prod").number == 2
    registry.add_base(str(tiny_base(tmp_path / "base")), "tiny")
    registry.publish(tiny_adapter(tmp_path / "new", seed=70), "support", base="tiny")
    registry.set_alias("support", "default", 4)
    registry.archive("support@1")
    after = registry.snapshot(before)
    assert after.resolve("support").number == 4
    assert after.versions == registry.snapshot().versions
    registry.set_retention("support", keep_last=3)
    assert registry.gc(dry_run=True).removed("version") == 0
    registry.set_retention("support")
    assert registry.gc().removed("version") == 1

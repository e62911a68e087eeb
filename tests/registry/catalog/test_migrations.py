"""The migrations make exactly the tables that the code believes in, once, however many open the registry at the same time."""

import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect

from lorarack.registry import open_registry
from lorarack.registry.catalog import migrate
from lorarack.registry.catalog.connection import SCHEMA, Database
from lorarack.registry.catalog.schema import METADATA
from lorarack.registry.catalog.sqlite import SqliteDatabase
from lorarack.registry.errors import StoreError


def structure(engine: Engine) -> dict[str, Any]:
    """Columns, indexes, foreign keys and unique constraints as the database knows them."""
    found = inspect(engine)
    return {
        table: {
            "columns": {c["name"]: (str(c["type"]), c["nullable"]) for c in found.get_columns(table)},
            "key": found.get_pk_constraint(table)["constrained_columns"],
            "indexes": sorted((i["name"], tuple(i["column_names"])) for i in found.get_indexes(table)),
            "unique": sorted((u["name"], tuple(u["column_names"])) for u in found.get_unique_constraints(table)),
            "foreign": sorted((f["name"], tuple(f["constrained_columns"])) for f in found.get_foreign_keys(table)),
        }
        for table in sorted(found.get_table_names())
        if table != "alembic_version"
    }


def autoincremented(database: Database) -> set[str]:
    with database.engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE sql LIKE '%AUTOINCREMENT%'").all()
    return {row[0] for row in rows}


def test_migrated_and_declared_tables_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change of a table without a migration, or the other way round, is caught here."""
    migrated = SqliteDatabase(tmp_path / "migrated.sqlite")
    monkeypatch.setattr(migrate, "upgrade", lambda engine: METADATA.create_all(engine))
    declared = SqliteDatabase(tmp_path / "declared.sqlite")
    assert structure(migrated.engine) == structure(declared.engine)
    assert autoincremented(migrated) == autoincremented(declared) > {"versions", "adapters", "events"}
    with migrated.engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, METADATA) == []
    migrated.close()
    declared.close()


def heads(kind: str) -> list[str]:
    """The newest migrations of that kind of database, as Alembic has it."""
    config = Config()
    config.set_main_option("script_location", str(migrate.MIGRATIONS))
    config.set_main_option("version_locations", str(migrate.MIGRATIONS / kind))
    config.set_main_option("path_separator", "newline")
    return ScriptDirectory.from_config(config).get_heads()


def test_the_schemas_number_is_the_newest_migration() -> None:
    assert heads("sqlite") == [SCHEMA]


def test_opening_again_changes_nothing(home: Path) -> None:
    before = (home / "catalog.sqlite").read_bytes()
    open_registry(home).close()
    assert (home / "catalog.sqlite").read_bytes() == before


def test_a_newer_schema_is_refused(home: Path) -> None:
    """A newer lorarack may keep things there that this one would lose."""
    with sqlite3.connect(home / "catalog.sqlite") as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    with pytest.raises(StoreError, match=r"has schema 9999, newer than this lorarack's .*; upgrade lorarack") as raised:
        open_registry(home)
    assert raised.value.code == "schema_too_new"


@pytest.mark.parametrize("data", [b"no database, but as long as one" * 200, b"SQLite format 3\x00junk" * 300])
def test_a_damaged_catalog_is_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "catalog.sqlite").write_bytes(data)
    with pytest.raises(StoreError, match="is damaged; restore it from a copy"):
        open_registry(tmp_path)


def test_a_file_in_the_registrys_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="The disk failed"):
        open_registry(tmp_path / "file" / "home")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "catalog.sqlite").mkdir()
    with pytest.raises(StoreError, match="cannot be written or opened"):
        open_registry(tmp_path / "home")


@pytest.mark.parametrize("name", ["a?b=c", "per%20cent", "hash#tag", "Ünï code", "a;b"])
def test_any_folder_name_will_do(name: str, tmp_path: Path) -> None:
    """The folder becomes part of no address in which a character could mean something else."""
    with open_registry(tmp_path / name) as opened:
        assert opened.adapters() == ()
    assert (tmp_path / name / "catalog.sqlite").is_file()
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_many_processes_may_open_a_new_registry_at_once(tmp_path: Path) -> None:
    """One makes the tables, the others wait and find them made."""
    program = (
        f"from lorarack.registry import open_registry; print(open_registry({str(tmp_path / 'home')!r}).adapters())"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(3)
    ]
    assert [process.communicate(timeout=60)[0].strip() for process in processes] == ["()"] * 3

"""What is PostgreSQL's own: its tables, its errors in one sentence, connections that are lost, and no secret in any message."""

import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, create_engine, make_url, text
from tests.registry.catalog.test_migrations import heads, structure
from tests.registry.contract.postgres import drop_database, new_database, server

from lorarack.registry.catalog.catalog import SqlCatalog
from lorarack.registry.catalog.connection import SCHEMA
from lorarack.registry.catalog.postgresql import PostgresDatabase
from lorarack.registry.catalog.schema import METADATA
from lorarack.registry.errors import StoreError, UsageError


@pytest.fixture
def address() -> Iterator[str]:
    made = new_database()
    yield made
    drop_database(made)


@pytest.fixture
def database(address: str) -> Iterator[PostgresDatabase]:
    opened = PostgresDatabase(address)
    yield opened
    opened.close()


def test_migrated_and_declared_tables_are_the_same(database: PostgresDatabase) -> None:
    """A change of a table without a migration, or the other way round, is caught here."""
    declared = new_database()
    engine = create_engine(make_url(declared).set(drivername="postgresql+psycopg"))
    METADATA.create_all(engine)
    assert structure(database.engine) == structure(engine)
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
        collations = connection.execute(text(
            "SELECT DISTINCT collation_name FROM information_schema.columns "
            "WHERE table_schema = 'public' AND table_name <> 'alembic_version' AND data_type = 'character varying'"
        ))  # fmt: skip
        assert collations.scalars().all() == ["C"]
    engine.dispose()
    drop_database(declared)


def test_the_schemas_number_is_the_newest_migration() -> None:
    assert heads("postgresql") == heads("sqlite") == [SCHEMA]


def test_many_may_open_a_new_database_at_once(address: str) -> None:
    """One makes the tables, the others wait and find them made."""
    found: list[int] = []

    def work() -> None:
        catalog = SqlCatalog(PostgresDatabase(address))
        found.append(catalog.last_event_id())
        catalog.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == [0] * 4


def test_a_newer_schema_is_refused(address: str) -> None:
    PostgresDatabase(address).close()
    with psycopg.connect(address) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreError, match="has schema 9999, newer than this lorarack's") as raised:
        PostgresDatabase(address)
    assert raised.value.code == "schema_too_new"


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://ann:hunter2@127.0.0.1:1/registry",
        "postgresql://ann@127.0.0.1:1/registry?password=hunter2",
        "postgresql://ann:hunter2@/registry?host=/nowhere",
        "postgresql://ann:hunter2@127.0.0.1:port/registry",
        "postgresql://ann:hunter2@127.0.0.1:1/registry?unknown=hunter2",
        "hunter2",
    ],
)
def test_no_message_has_a_password(address: str) -> None:
    """One sentence says what to do, whatever is wrong with an address."""
    with pytest.raises((StoreError, UsageError)) as raised:
        PostgresDatabase(address)
    said = raised.value.message
    assert "\n" not in said
    assert said.endswith(".")
    told = "".join(traceback.format_exception(raised.value))
    if "=hunter2" not in address:
        assert "hunter2" not in told.replace(address, "")
    assert "hunter2" not in said


def test_a_database_that_does_not_exist_is_told_of(address: str) -> None:
    with pytest.raises(StoreError, match=r"cannot be reached.*database \"nothing\" does not exist"):
        PostgresDatabase(make_url(address).set(database="nothing").render_as_string())


def test_a_read_only_database_is_told_of(address: str) -> None:
    database = PostgresDatabase(address)
    name = make_url(address).database
    with psycopg.connect(server(), autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    database.close()
    catalog = SqlCatalog(database)
    assert catalog.last_event_id() == 0
    with pytest.raises(StoreError, match=f"registry '{name}' on .* is read-only"):
        catalog.set_retention("ann", "support", 1, None)
    catalog.close()


def test_lost_connections_are_opened_again(database: PostgresDatabase) -> None:
    """A server that was started anew is no error of the next call; one that is lost within a call is."""
    catalog = SqlCatalog(database)
    assert catalog.last_event_id() == 0
    _end_all(database)
    assert catalog.last_event_id() == 0

    def lost(connection: Connection) -> None:
        _end_all(database)
        connection.execute(text("SELECT 1"))

    with pytest.raises(StoreError, match="cannot be reached"):
        database.write(lost)
    catalog.exclusively(lambda: None)  # the lock is free again


def test_a_writer_waits_for_another_however_it_ends(database: PostgresDatabase, address: str) -> None:
    """A killed client's transaction is undone by the server, which then lets the next one write."""
    program = (
        "import sys, time; from lorarack.registry.catalog.postgresql import PostgresDatabase\n"
        "def work(connection): print('in', flush=True); time.sleep(600)\n"
        "PostgresDatabase(sys.argv[1]).write(work)"
    )
    with subprocess.Popen([sys.executable, "-c", program, address], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "in\n"
        waiting = threading.Thread(target=database.alone, args=(lambda: None,))
        waiting.start()
        waiting.join(0.3)
        assert waiting.is_alive()
        other.kill()
        waiting.join(30)
        assert not waiting.is_alive()


def test_lists_longer_than_a_database_takes_parameters(database: PostgresDatabase) -> None:
    catalog = SqlCatalog(database)
    assert catalog.prune("ann", [("support", number) for number in range(1, 3)]) == []
    with database.reading() as connection:
        from lorarack.registry.catalog.versions import load_by_ids

        assert list(load_by_ids(connection, range(1, 100_000))) == []


def test_the_tests_own_server_ends_with_them() -> None:
    """However they end."""
    program = "from tests.registry.contract.postgres import server; print(server(), flush=True); input()"
    command, own = [sys.executable, "-c", program], os.environ | {"PYTHONPATH": "."}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=own) as tests:
        assert tests.stdout is not None
        address = tests.stdout.readline().strip()
        psycopg.connect(address).close()
        tests.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            psycopg.connect(address).close()
        except psycopg.OperationalError:
            return
        time.sleep(0.2)
    pytest.fail("the server goes on")


def _end_all(database: PostgresDatabase) -> None:
    with psycopg.connect(server(), autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [database.engine.url.database]
        )

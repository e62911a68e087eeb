"""Bringing a database to today's schema with Alembic. Imported only when there is something to do: Alembic is slow to import."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine

#: Alembic's entry, and beside it a folder of migrations for each kind of database.
MIGRATIONS = Path(__file__).parent / "migrations"


def upgrade(engine: Engine) -> None:
    """Run all missing migrations in one transaction, under the write lock; of two processes, the second finds nothing to do."""
    config = Config()
    escaped = str(MIGRATIONS).replace("%", "%%")
    config.set_main_option("script_location", escaped)
    config.set_main_option("version_locations", f"{escaped}/{engine.dialect.name}")
    config.set_main_option("path_separator", "newline")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")

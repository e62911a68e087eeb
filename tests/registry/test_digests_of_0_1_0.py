"""Versions keep the digest that they were published with, also where today's is another; nothing becomes a second version."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.tiny import change_config, tiny_adapter, tiny_base

from lorarack.registry import Registry, open_registry
from lorarack.registry.artifact.manifest import CONFIG, WEIGHTS, schema_1_digest


@pytest.fixture
def old(home: Path, adapter: Path) -> Iterator[Registry]:
    """A registry in which ``support@1`` has the digest that 0.1.0 gave it."""
    with open_registry(home) as registry:
        version = registry.publish(adapter, "support", base="tiny").version
    files = {file.name: file.digest for file in version.files}
    with closing(sqlite3.connect(home / "catalog.sqlite")) as database, database:
        database.execute("UPDATE versions SET digest = ?", (schema_1_digest(files[CONFIG], files[WEIGHTS]),))
    with open_registry(home) as registry:
        yield registry


def test_an_old_digest_stays_a_reference(old: Registry, adapter: Path) -> None:
    digest = old.resolve("support@1").digest
    assert old.resolve(f"support@{digest}").number == 1
    assert old.resolve(f"support@{digest[:15]}").number == 1


@pytest.mark.parametrize(
    "changed", [{}, {"peft_version": "9.9"}, {"lora_alpha": 8.0}, {"inference_mode": False}], ids=str
)
def test_publishing_it_again_finds_it(changed: dict[str, object], old: Registry, adapter: Path) -> None:
    digest = old.resolve("support@1").digest
    change_config(adapter, **changed)
    again = old.publish(adapter, "support", base="tiny")
    assert (again.version.reference, again.created, again.version.digest) == ("support@1", False, digest)


def test_what_is_applied_otherwise_is_another_version(old: Registry, adapter: Path) -> None:
    change_config(adapter, lora_alpha=9)
    again = old.publish(adapter, "support", base="tiny")
    assert (again.version.reference, again.created) == ("support@2", True)


def test_another_adapter_gets_todays_digest(old: Registry, adapter: Path) -> None:
    other = old.publish(adapter, "orders", base="tiny")
    assert other.created
    assert other.version.digest != old.resolve("support@1").digest


def test_an_old_export_comes_in_under_its_digest(old: Registry, adapter: Path, tmp_path: Path) -> None:
    digest = old.resolve("support@1").digest
    old.export_to(tmp_path / "out")
    with open_registry(tmp_path / "new") as new:
        new.add_base(str(tiny_base(tmp_path / "base")), "tiny")
        (row,) = new.import_from(tmp_path / "out").versions
        assert (row.version, row.created) == ("support@1", True)
        assert new.resolve(f"support@{digest}").number == 1
        assert new.resolve("support").number == 1
        assert not new.publish(adapter, "support", base="tiny").created


def test_an_old_export_finds_what_is_here_under_todays_digest(old: Registry, adapter: Path, tmp_path: Path) -> None:
    """Aliases of the export name it, though it has another digest here."""
    old.set_alias("support", "prod", 1)
    old.export_to(tmp_path / "out")
    with open_registry(tmp_path / "new") as new:
        new.add_base(str(tiny_base(tmp_path / "base")), "tiny")
        new.publish(tiny_adapter(tmp_path / "first", seed=5), "support", base="tiny")
        here = new.publish(adapter, "support", base="tiny").version
        assert here.digest != old.resolve("support@1").digest
        (row,) = new.import_from(tmp_path / "out").versions
        assert (row.version, row.created) == ("support@2", False)
        assert new.resolve("support@prod").digest == here.digest

"""What an import may say of numbers, ancestors and texts: what publishing would have made, and nothing else."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.registry.parts import database_of
from tests.tiny import tiny_adapter

from lorarack.registry import Metric, Parent, Provenance, Registry, open_registry
from lorarack.registry.errors import InvalidArtifact, UsageError
from lorarack.registry.transfer.manifest import MANIFEST


@pytest.fixture
def other(home_template: Path, tmp_path: Path) -> Iterator[Registry]:
    with open_registry(shutil.copytree(home_template, tmp_path / "other")) as opened:
        yield opened


@pytest.fixture
def export(registry: Registry, tmp_path: Path) -> Path:
    """Three versions, each the child of the one before."""
    for number in (1, 2, 3):
        parents = [Parent(version=f"support@{number - 1}", relation="continued")] if number > 1 else []
        source = tiny_adapter(tmp_path / f"made-{number}", seed=number)
        registry.publish(source, "support", base="tiny", parents=parents)
    registry.export_to(tmp_path / "export")
    return tmp_path / "export"


def edit(export: Path, change: Callable[[Any], object]) -> None:
    data = json.loads((export / MANIFEST).read_text())
    change(data["versions"])
    (export / MANIFEST).write_text(json.dumps(data))


def parent(versions: Any, place: int) -> dict[str, str]:
    version = versions[place]
    return {"version": f"support@{version['number']}", "relation": "x", "digest": version["digest"]}


@pytest.mark.parametrize("last", [0, 1, 2])
def test_a_circle_of_any_length_is_refused(other: Registry, export: Path, last: int) -> None:
    edit(export, lambda versions: versions[0].update(parents=[parent(versions, last)]))
    with pytest.raises(InvalidArtifact, match="a version is its own ancestor"):
        other.import_from(export)
    assert other.adapters() == ()


def test_a_parent_is_what_the_export_has_under_that_name(other: Registry, export: Path) -> None:
    edit(export, lambda versions: versions[1]["parents"][0].update(digest=f"sha256:{'0' * 64}"))
    with pytest.raises(InvalidArtifact, match="has a parent support@1 of another digest"):
        other.import_from(export)


def test_parents_come_before_their_children_in_whatever_order_they_are_listed(other: Registry, export: Path) -> None:
    edit(export, lambda versions: versions.reverse())
    done = other.import_from(export)
    assert (done.notes, {v.version for v in done.versions}) == ((), {"support@1", "support@2", "support@3"})
    assert other.lineage("support@3").ancestors[-1].parent == "support@1"
    for number in (3, 2):
        other.archive(f"support@{number}")
        other.set_alias("support", "default", 1)
        other.delete(f"support@{number}")


def pick(export: Path, numbers: set[int], to: Path) -> Path:
    """An export of some of the versions."""
    shutil.copytree(export, to)
    data = json.loads((to / MANIFEST).read_text())
    data["versions"] = [version for version in data["versions"] if version["number"] in numbers]
    for adapter in data["adapters"]:
        adapter["aliases"] = {}
    (to / MANIFEST).write_text(json.dumps(data))
    return to


def test_a_free_number_is_kept_whatever_came_before(other: Registry, export: Path, tmp_path: Path) -> None:
    assert other.import_from(pick(export, {3}, tmp_path / "third")).versions[0].version == "support@3"
    done = other.import_from(pick(export, {1, 2}, tmp_path / "rest"))
    assert [(v.was, v.version) for v in done.versions] == [("support@1",) * 2, ("support@2",) * 2]
    assert other.publish(tiny_adapter(tmp_path / "new", seed=9), "support", base="tiny").version.number == 4


def test_a_number_that_something_deleted_had_is_not_free(other: Registry, export: Path, tmp_path: Path) -> None:
    for seed in (21, 22, 23):
        other.publish(tiny_adapter(tmp_path / f"own-{seed}", seed=seed), "support", base="tiny")
    other.delete("support@2")
    done = other.import_from(pick(export, {1, 2}, tmp_path / "some"))
    assert [v.version for v in done.versions] == ["support@4", "support@5"]
    assert done.notes[0] == "support@1 is support@4 here: its number was used here already."


def test_a_number_that_an_old_log_does_not_know_is_not_free(other: Registry, export: Path, tmp_path: Path) -> None:
    """Publishing leaves none out."""
    for seed in (21, 22, 23):
        other.publish(tiny_adapter(tmp_path / f"own-{seed}", seed=seed), "support", base="tiny")
    other.delete("support@2")
    with database_of(other).writer.begin() as connection:
        connection.exec_driver_sql("DELETE FROM events WHERE version = 2")
    assert other.import_from(pick(export, {2}, tmp_path / "some")).versions[0].version == "support@4"


def test_what_another_version_takes_in_the_same_import_is_free_for_its_owner(
    other: Registry, export: Path, tmp_path: Path
) -> None:
    other.publish(tiny_adapter(tmp_path / "own", seed=21), "support", base="tiny")
    done = other.import_from(export)
    assert [v.version for v in done.versions] == ["support@4", "support@2", "support@3"]


BAD_TEXTS = {
    "NUL": "a\0b",
    "half a pair": "a\udc80",
    "too long": "x" * 10_001,
    "number": 7,
}
BAD_KEYS = BAD_TEXTS | {
    "empty": "",
    "blank": "  ",
    "equals": "a=b",
    "blank end": "a ",
    "newline": "a\n",
    "long": "k" * 256,
}


@pytest.mark.parametrize("key", BAD_KEYS.values(), ids=BAD_KEYS)
def test_bad_keys_of_tags_come_in_nowhere(registry: Registry, adapter: Path, key: Any) -> None:
    registry.publish(adapter, "support", base="tiny")
    changes = registry.last_event_id()
    for use in (
        lambda: registry.publish(adapter, "support", base="tiny", tags={key: "v"}),
        lambda: registry.describe("support@1", tags={key: "v"}),
    ):
        with pytest.raises(UsageError):
            use()
    assert registry.last_event_id() == changes


@pytest.mark.parametrize("text", BAD_TEXTS.values(), ids=BAD_TEXTS)
def test_bad_texts_come_in_nowhere(registry: Registry, adapter: Path, text: Any) -> None:
    registry.publish(adapter, "support", base="tiny")
    registry.set_alias("support", "prod", 1)
    changes = registry.last_event_id()
    for use in (
        lambda: registry.publish(adapter, "support", base="tiny", description=text),
        lambda: registry.publish(adapter, "support", base="tiny", tags={"key": text}),
        lambda: registry.describe("support@1", description=text),
        lambda: registry.set_alias("support", "prod", 1, reason=text),
        lambda: registry.promote("support", "prod", 1, reason=text),
        lambda: registry.rollback("support", "prod", reason=text),
        lambda: registry.archive("support@1", text),
        lambda: registry.quarantine("support@1", text),
        lambda: registry.restore("support@1", text),
        lambda: registry.lease(registry.resolve("support@1"), text),
        lambda: open_registry(registry.location, actor=text).archive("support@1"),
        lambda: registry.add_metrics("support@1", [Metric.model_construct(
            name="loss", split="test", value=1.0, step=None, dataset=text, higher_is_better=False)]),
    ):  # fmt: skip
        with pytest.raises(UsageError):
            use()
    assert registry.last_event_id() == changes


def test_a_provenance_that_is_no_json_is_refused(registry: Registry, adapter: Path) -> None:
    with pytest.raises(UsageError, match="provenance cannot be kept"):
        registry.publish(adapter, "support", base="tiny", provenance=Provenance(recipe={"rate": float("inf")}))


@pytest.mark.parametrize(
    "said",
    [
        {"tags": {"a=b": "c"}},
        {"tags": {" ": "c"}},
        {"tags": {"a": "b\0"}},
        {"description": "a\0b"},
        {"description": "x" * 10_001},
        {"state": "archived", "state_reason": "\0"},
        {"created_by": "\0"},
        {"created_at": "0001-01-01T00:00:00+14:00"},
        {"created_at": "9999-12-31T23:59:59-14:00"},
        {"metrics": [{"name": "loss", "split": "test", "value": 1.0, "dataset": "d" * 72}]},
        {"parents": [{"version": "../x", "relation": "x", "digest": f"sha256:{'0' * 64}"}]},
        {"number": 0},
        {"state": "damaged"},
    ],
    ids=str,
)
def test_bad_texts_are_not_imported(other: Registry, export: Path, said: dict[str, Any]) -> None:
    edit(export, lambda versions: versions[1].update(said))
    with pytest.raises(InvalidArtifact, match="cannot be imported"):
        other.import_from(export)
    assert other.adapters() == ()

"""What every registry keeps to; ``registries`` lists them."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.tiny import tiny_adapter, tiny_base

from lorarack.registry import Metric, Parent, Query, Registry, Rule, State, Version, replay_aliases
from lorarack.registry.errors import (
    BadReference,
    Conflict,
    GateRefused,
    InvalidArtifact,
    LorarackError,
    NotFound,
    UsageError,
)

LOSS = Rule(label="eval_loss")
NEVER = "support@9"


def loss(value: float) -> tuple[Metric, ...]:
    return (Metric(name="loss", split="validation", value=value),)


@pytest.fixture
def source(tmp_path: Path) -> Callable[[int], Path]:
    """An adapter's folder; each number has other weights."""
    return lambda number: tiny_adapter(tmp_path / f"source-{number}", rank=8 if number % 2 else 4, seed=number)


@pytest.fixture
def filled(each_registry: Registry, base_folder: Path, source: Callable[[int], Path]) -> Registry:
    """Base ``tiny`` and two versions: ``support@1``, the default, and ``support@2``."""
    each_registry.add_base(str(base_folder), "tiny")
    each_registry.publish(source(1), "support", base="tiny", metrics=loss(0.5), description="the first")
    each_registry.publish(source(2), "support", base="tiny", metrics=loss(0.4), tags={"kind": "second"})
    return each_registry


def test_a_new_registry_is_empty(each_registry: Registry) -> None:
    assert (each_registry.bases(), each_registry.adapters()) == ((), ())
    assert (each_registry.aliases(), each_registry.events()) == ((), ())
    assert each_registry.last_event_id() == 0
    assert each_registry.snapshot().versions == ()
    assert each_registry.gc().items == ()
    assert each_registry.search(Query()).versions == ()


def test_it_can_be_closed_and_used_again(filled: Registry) -> None:
    filled.close()
    filled.close()
    with filled as opened:
        assert [version.number for version in opened.versions("support")] == [1, 2]
    assert filled.resolve("support").number == 1


def test_each_selector_names_its_version(filled: Registry) -> None:
    filled.set_alias("support", "prod", 2)
    digest = filled.resolve("support@1").digest
    wanted = {
        "support": 1,
        "support@1": 1,
        "support@prod": 2,
        "support@latest": 2,
        "support@r8": 1,
        f"support@{digest}": 1,
    }
    assert {reference: filled.resolve(reference).number for reference in wanted} == wanted
    snapshot = filled.snapshot()
    assert {reference: snapshot.resolve(reference).number for reference in wanted} == wanted
    assert filled.get_version("support@prod").aliases == ("prod",)


def test_what_was_published_comes_back(filled: Registry, source: Callable[[int], Path], tmp_path: Path) -> None:
    version = filled.resolve("support@2")
    assert (version.description, version.tags, version.rank) == (None, {"kind": "second"}, 4)
    assert version.metric("loss", "validation") == loss(0.4)[0]
    folder = filled.fetch(version, tmp_path / "fetched")
    weights = "adapter_model.safetensors"
    assert (folder / weights).read_bytes() == (tmp_path / "source-2" / weights).read_bytes()
    assert filled.verify("support@2") == version
    again = filled.publish(folder, "support", base="tiny", tags={"more": "tags"})
    assert (again.created, again.version.number, again.version.tags) == (False, 2, {"kind": "second", "more": "tags"})


def test_a_base_is_known_by_its_names_and_what_it_was_made_from(
    filled: Registry, base_folder: Path, tmp_path: Path
) -> None:
    tiny = filled.base("tiny")
    assert tiny == filled.base(tiny.fingerprint) == filled.base(str(base_folder)) == filled.add_base(str(base_folder))
    copy = filled.add_base(str(tiny_base(tmp_path / "copy", seed=1)), "copy")
    filled.link_base("copy", "tiny", "quantized")
    assert [base.name for base in filled.originals(filled.base("copy"))] == ["copy", "tiny"]
    assert filled.check_base("tiny", full=True).source == str(base_folder)
    for wrong in (
        lambda: filled.link_base("tiny", "copy", "converted"),
        lambda: filled.link_base("copy", "tiny", "eaten"),
    ):
        refuses(filled, UsageError, wrong)
    refuses(filled, Conflict, lambda: filled.check_adapter("support", copy.name))
    assert filled.check_adapter("support", "tiny") == filled.base("tiny")


def test_a_version_is_described_and_measured_later(filled: Registry) -> None:
    found = filled.describe("support@2", tags={"a": "b"}, without=["kind"], description="told")
    assert (found.tags, found.description) == ({"a": "b"}, "told")
    assert filled.describe("support@2", description="").description is None
    assert filled.add_metrics("support@1", loss(0.3)).metrics == (*loss(0.5), *loss(0.3))
    assert filled.best("support", "eval_loss").version.number == 1


def test_search_finds_by_all_that_is_said_a_page_at_a_time(filled: Registry, source: Callable[[int], Path]) -> None:
    filled.publish(source(3), "other", base="tiny")

    def found(query: Query) -> list[str]:
        return [version.reference for version in filled.search(query).versions]

    assert found(Query()) == ["other@1", "support@2", "support@1"]
    assert found(Query(tags=("kind",))) == found(Query(rank_max=4)) == ["support@2"]
    assert found(Query(text="FIRST")) == ["support@1"]
    assert found(Query(base="tiny", adapter="sup*", order="eval_loss")) == ["support@2", "support@1"]
    first = filled.search(Query(limit=1))
    filled.publish(source(5), "other", base="tiny")
    assert found(Query(limit=2, cursor=first.next)) == ["support@2", "support@1"]
    refuses(filled, UsageError, lambda: filled.search(Query(cursor="made up")))
    refuses(filled, NotFound, lambda: filled.search(Query(base="unheard-of")))


def test_aliases_are_compared_and_set_and_their_moves_kept(filled: Registry) -> None:
    filled.set_alias("support", "prod", 1, expect=0, reason="begin")
    refuses(filled, Conflict, lambda: filled.set_alias("support", "prod", 2, expect=2))
    refuses(filled, Conflict, lambda: filled.set_alias("support", "prod", 2, expect=0))
    filled.set_alias("support", "prod", 2, expect=1)
    assert filled.rollback("support", "prod").version == 1
    refuses(filled, Conflict, lambda: filled.rollback("support", "prod"))
    assert [move.version for move in filled.alias_history("support", "prod")] == [1, 2, 1]
    assert replay_aliases(filled.events()) == filled.aliases()


def test_a_promotion_is_held_to_its_rule(filled: Registry) -> None:
    assert filled.promote("support", "prod", 2, rule=LOSS).version == 2
    refuses(filled, GateRefused, lambda: filled.promote("support", "prod", 1, rule=LOSS))
    assert filled.promote("support", "prod", 1, rule=LOSS, force=True).forced
    assert {alias.name: alias.version for alias in filled.aliases("support")} == {"default": 1, "prod": 1}


def test_states_say_what_may_be_done(filled: Registry) -> None:
    refuses(filled, Conflict, lambda: filled.archive("support@1"))
    assert filled.archive("support@2", "old").state is State.ARCHIVED
    assert filled.resolve("support@2").number == 2
    refuses(filled, Conflict, lambda: filled.set_alias("support", "prod", 2))
    assert filled.resolve("support@latest").number == 1
    filled.quarantine("support@2", "bad")
    refuses(filled, Conflict, lambda: filled.resolve("support@2"))
    assert filled.get_version("support@2").state_reason == "bad"
    assert filled.restore("support@2").state is State.READY
    refuses(filled, UsageError, lambda: filled.archive("support@latest"))


@pytest.mark.parametrize("hold", ["alias", "lease", "child", "retention"])
def test_what_is_held_is_not_deleted(filled: Registry, source: Callable[[int], Path], hold: str) -> None:
    version = filled.resolve("support@2")
    if hold == "alias":
        filled.set_alias("support", "prod", 2)
    elif hold == "lease":
        filled.lease(version, "server")
    elif hold == "child":
        filled.publish(source(3), "support", base="tiny", parents=[Parent(version="support@2", relation="resized")])
        assert [link.child for link in filled.lineage("support@2").descendants] == ["support@3"]
    else:
        filled.set_retention("support", keep_last=1)
        assert filled.retention("support").keep_last == 1
    refuses(filled, Conflict, lambda: filled.delete("support@2"))
    assert filled.get_version("support@2").digest == version.digest


def test_numbers_never_come_again(filled: Registry, source: Callable[[int], Path]) -> None:
    filled.lease(filled.resolve("support@2"), "server")
    filled.release("server")
    gone = filled.delete("support@2")
    refuses(filled, NotFound, lambda: filled.resolve("support@2"))
    again = filled.publish(source(2), "support", base="tiny").version
    assert (again.number, again.digest) == (3, gone.digest)
    assert again.engine_id > gone.engine_id


def test_gc_does_what_it_announces(filled: Registry) -> None:
    filled.archive("support@2")
    planned = filled.gc(dry_run=True, grace_seconds=0)
    assert filled.get_version("support@2").state is State.ARCHIVED
    done = filled.gc(grace_seconds=0)
    assert done.items == planned.items
    assert (done.removed("version"), done.removed("blob")) == (1, 2)
    refuses(filled, NotFound, lambda: filled.get_version("support@2"))
    filled.verify("support@1")
    assert not any(item.removed for item in filled.gc(grace_seconds=0).items)


def test_an_export_is_the_same_in_another_registry(
    filled: Registry, another: Registry, base_folder: Path, tmp_path: Path
) -> None:
    filled.set_alias("support", "prod", 2)
    assert filled.export_to(tmp_path / "out").versions == ("support@1", "support@2")
    refuses(another, NotFound, lambda: another.import_from(tmp_path / "out"))
    another.add_base(str(base_folder), "tiny")
    assert [version.created for version in another.import_from(tmp_path / "out").versions] == [True, True]
    assert [version.created for version in another.import_from(tmp_path / "out").versions] == [False, False]
    for reference in ("support@1", "support@prod"):
        same = {"adapter", "number", "digest", "metrics", "tags", "description", "created_at", "aliases", "files"}
        there, here = another.resolve(reference), filled.resolve(reference)
        assert there.model_dump(include=same) == here.model_dump(include=same)
        another.verify(reference)


def test_followers_see_each_change(filled: Registry, source: Callable[[int], Path]) -> None:
    def steps() -> list[Callable[[], object]]:
        return [
            lambda: filled.publish(source(3), "new", base="tiny"),
            lambda: filled.set_alias("support", "prod", 2),
            lambda: filled.quarantine("support@2", "bad"),
            lambda: filled.describe("new@1", tags={"a": "b"}),
            lambda: filled.delete("support@2") if filled.set_alias("support", "prod", 1) else None,
        ]

    followed = filled.snapshot()
    for step in steps():
        before = filled.last_event_id()
        step()
        assert filled.last_event_id() > before
        assert filled.events(before)[-1].cursor == filled.last_event_id()
        followed = filled.snapshot(followed)
        assert followed.changes == filled.last_event_id()
        assert seen(followed.versions) == seen(filled.snapshot().versions)


def test_a_refused_call_changes_nothing(filled: Registry, source: Callable[[int], Path], tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    refuses(filled, InvalidArtifact, lambda: filled.publish(empty, "support", base="tiny"))
    refuses(filled, NotFound, lambda: filled.publish(source(3), "support", base="none"))
    refuses(filled, UsageError, lambda: filled.publish(source(3), "No Name", base="tiny"))
    refuses(filled, UsageError, lambda: filled.set_retention("support", keep_last=0))
    refuses(filled, UsageError, lambda: filled.gc(grace_seconds=-1))
    refuses(filled, UsageError, lambda: filled.quarantine("support@1", " "))
    refuses(filled, UsageError, lambda: filled.events(limit=0))
    for call in (
        filled.resolve, filled.get_version, filled.verify, filled.lineage, filled.delete, filled.archive, filled.restore,
        lambda reference: filled.fetch(reference, tmp_path / "out"), lambda reference: filled.diff("support@1", reference),
        lambda reference: filled.describe(reference, description="x"), lambda reference: filled.add_metrics(reference, loss(1)),
    ):  # fmt: skip
        refuses(filled, NotFound, lambda: call(NEVER))  # noqa: B023 - called at once
        refuses(filled, NotFound, lambda: call("nobody@1"))  # noqa: B023
        refuses(filled, BadReference, lambda: call("support@@"))  # noqa: B023
    for ask in (
        filled.versions,
        filled.aliases,
        filled.alias_history,
        filled.retention,
        filled.base,
        filled.check_base,
    ):
        refuses(filled, NotFound, lambda: ask("nobody"))  # noqa: B023
    assert not (tmp_path / "out").exists()


def test_versions_differ_by_what_was_said(filled: Registry) -> None:
    found = filled.diff("support@1", "support@2")
    assert [(change.what, change.a, change.b) for change in found.configuration if change.what == "rank"] == [
        ("rank", 8, 4)
    ]
    assert [round(metric.change or 0, 3) for metric in found.metrics] == [-0.1]
    assert found.modules


def refuses(registry: Registry, error: type[LorarackError], call: Callable[[], object]) -> None:
    """The call raises exactly that, and nothing has happened."""
    before = registry.last_event_id()
    with pytest.raises(error) as raised:
        call()
    assert str(raised.value)
    assert registry.last_event_id() == before


def seen(versions: tuple[Version, ...]) -> list[dict[str, object]]:
    return [version.to_json() for version in versions]

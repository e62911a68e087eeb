"""Every catalog: what was published can be read again, once, under a number that never comes again."""

from dataclasses import replace

import pytest
from tests.registry.contract.catalog_values import (
    LONG_AGO,
    added,
    digest,
    hub,
    loss,
    new,
    put,
    reading,
    stored,
    version,
)
from tests.registry.contract.catalogs import Opener

from lorarack.registry import Dataset, Metric, Parent, Provenance, State
from lorarack.registry.errors import BlobGone, Conflict, NotFound, UsageError
from lorarack.registry.interface import Catalog
from lorarack.registry.reference import parse_reference

PROVENANCE = Provenance(
    recipe={"learning_rate": 2e-4, "steps": 2**60, "é": ["x", None, True, {"\\u0000 as text": '"'}]},
    datasets=(Dataset(split="train", name="rows", rows=2**40, digest=digest("rows")),),
    seed=2**62,
    wall_seconds=0.1,
)


def test_an_empty_catalog_answers(open_catalog: Opener) -> None:
    catalog = open_catalog()
    assert (catalog.bases(), catalog.adapters(), catalog.adapter_names(), catalog.aliases()) == ((), (), (), ())
    assert catalog.last_event_id() == 0
    assert catalog.events(0, 10) == ()
    assert not catalog.has_adapter("support")
    assert catalog.adapter("support") is None
    assert catalog.retention("support") is None
    assert catalog.find_version(parse_reference("support")) is None
    assert catalog.same_weights("support", new().files) == []
    assert catalog.alias_moves("support") == catalog.alias_moves("support", "default") == ()
    assert dict(catalog.snapshot().adapters) == {}
    assert catalog.gc_plan() == ()
    assert catalog.references().digests == frozenset()


def test_a_version_is_read_as_it_was_written(catalog: Catalog) -> None:
    """Numbers of 64 bits, whatever text, moments with their zone, JSON in its order."""
    metrics = (loss(0.1 + 0.2), loss(-5e-324), loss(1.7e308, step=2**53 - 1), loss(0.5, dataset=digest("rows"), step=0))
    exact = Metric(name="exact", split="test", value=1, higher_is_better=True)
    tags = {"b": "%_\\'\" é ß 漢 \U0001f600", "a": "x" * 10_000, "team": ""}
    wanted = new(
        metrics=(*metrics, exact), tags=tags, description="one\ntwo\t\x01", provenance=PROVENANCE, rank=2**31 - 1
    )
    assert added(catalog, "ann", wanted) == (1, True)
    found = version(catalog, "support", 1)
    for name in (
        "adapter",
        "digest",
        "rank",
        "alpha",
        "rslora",
        "target_modules",
        "dtype",
        "parameters",
        "bytes",
        "files",
    ):
        assert getattr(found, name) == getattr(wanted, name), name
    assert set(found.metrics) == set(wanted.metrics)
    assert (found.tags, found.description, found.provenance) == (tags, "one\ntwo\t\x01", PROVENANCE)
    assert found.provenance is not None
    assert list(found.provenance.recipe) == ["learning_rate", "steps", "é"]
    assert (found.base, found.base_fingerprint, found.created_by, found.state) == (
        "tiny", digest("tensors tiny"), "ann", State.READY,
    )  # fmt: skip
    assert found.created_at.utcoffset() is not None
    assert found.created_at > LONG_AGO
    assert found.aliases == ("default",)
    assert [event.kind for event in catalog.events(0, 10)] == ["base_added", "published", "alias_moved"]


def test_the_same_content_is_the_same_version(catalog: Catalog) -> None:
    """It gets the metrics, tags, parents and the description that are new."""
    put(catalog, "parent")
    first = put(catalog, content="same", metrics=[loss(0.5)], tags={"a": "1", "b": "1"}, description="old")
    more = new(
        content="same", metrics=[loss(0.5), loss(0.4)], tags={"b": "2"}, measured=loss(9.0),
        parents=[Parent(version="parent@1", relation="merged")],
    )  # fmt: skip
    put(catalog, "parent", "younger")
    younger = new(content="same", parents=[Parent(version="parent@2", relation="merged")])
    with pytest.raises(UsageError, match="descends from older ones"):
        catalog.add_version("bob", younger, stored)
    assert added(catalog, "bob", more) == (1, False)
    found = version(catalog, "support", 1)
    assert [metric.value for metric in found.metrics] == [0.5, 0.4]
    assert (found.tags, found.description, found.created_by) == ({"a": "1", "b": "2"}, "old", "ann")
    assert [parent.version for parent in found.parents] == ["parent@1"]
    assert (found.engine_id, found.created_at) == (first.engine_id, first.created_at)
    assert catalog.events(0, 100)[-1].kind == "published_again"


@pytest.mark.parametrize("state", [State.ARCHIVED, State.QUARANTINED])
def test_what_was_put_aside_is_not_published_again(catalog: Catalog, state: State) -> None:
    put(catalog)
    put(catalog, content="aside")
    catalog.set_state("ann", "support", 2, state, "why not")
    with pytest.raises(Conflict, match="why not") as raised:
        catalog.add_version("ann", new(content="aside"), stored)
    assert raised.value.code == "not_ready"


def test_what_a_run_measured_counts_for_a_new_version_only(catalog: Catalog) -> None:
    assert put(catalog, content="1", measured=loss(0.3)).metrics == (loss(0.3),)
    catalog.add_version("ann", new(content="1", measured=loss(0.2)), stored)
    assert version(catalog, "support", 1).metrics == (loss(0.3),)


def test_an_adapter_has_one_base_and_no_name_of_another_thing(catalog: Catalog) -> None:
    catalog.add_base("ann", reading("other"), "other", "other", hub("org/other"), use=True)
    put(catalog)
    for refused, code in ((new(base="other"), "other_base"), (new("other"), "name_taken")):
        before = catalog.last_event_id()
        with pytest.raises(Conflict) as raised:
            catalog.add_version("ann", refused, stored)
        assert raised.value.code == code
        with pytest.raises(Conflict):
            catalog.check_adapter(refused.adapter, refused.base)
        assert catalog.last_event_id() == before
    with pytest.raises(NotFound) as unknown:
        catalog.add_version("ann", new(base="nothing"), stored)
    assert unknown.value.code == "unknown_base"
    catalog.check_adapter("brand-new", "tiny")
    assert catalog.adapter_names() == ("support",)


def test_a_version_whose_files_are_gone_is_not_written(catalog: Catalog) -> None:
    with pytest.raises(BlobGone):
        catalog.add_version("ann", new(), lambda digest: digest == new().files[0].digest)
    with pytest.raises(ZeroDivisionError):
        catalog.add_version("ann", new(), lambda _: bool(1 / 0))
    assert catalog.adapters() == ()
    assert put(catalog).number == 1


def test_numbers_and_ids_never_come_again(catalog: Catalog) -> None:
    put(catalog)
    second = put(catalog)
    catalog.delete_version("ann", "support", 2)
    third = put(catalog)
    assert third.number == 3
    assert third.engine_id > second.engine_id
    assert catalog.find_version(parse_reference("support@2")) is None


def test_each_selector_finds_its_version(catalog: Catalog) -> None:
    for number, rank in ((1, 4), (2, 8), (3, 8), (4, 4)):
        put(catalog, content=str(number), rank=rank)
    catalog.set_state("ann", "support", 4, State.ARCHIVED, None)
    catalog.set_alias("ann", "support", "prod", 2)

    def found(selector: str) -> int | None:
        named = catalog.find_version(parse_reference(f"support{selector}"))
        return named.number if named else None

    assert [found(text) for text in ("", "@prod", "@latest", "@r8", "@r4", "@4")] == [1, 2, 3, 3, 1, 4]
    assert [found(text) for text in ("@dev", "@r16", "@999999999", "@sha256:00000000")] == [None] * 4
    whole = digest("version 3")
    assert found(f"@{whole}") == found(f"@{whole[:15]}") == 3
    assert catalog.find_version(parse_reference("nobody@1")) is None


def test_a_prefix_of_two_digests_names_none(catalog: Catalog) -> None:
    like = [f"sha256:{'ab' * 8}{'0' * 47}{last}" for last in (1, 2)]
    for turn, one in enumerate(like):
        catalog.add_version("ann", replace(new(content=str(turn)), digest=one), stored)
    assert catalog.find_version(parse_reference(f"support@{like[0][:20]}")) is None
    found = catalog.find_version(parse_reference(f"support@{like[0]}"))
    assert found is not None
    assert found.number == 1


def test_versions_with_the_same_weights(catalog: Catalog) -> None:
    put(catalog, content="1")
    put(catalog, content="2")
    put(catalog, "other", "1")
    assert catalog.same_weights("support", new(content="2").files) == [(digest("version 2"), new(content="2").files)]
    assert catalog.same_weights("support", new(content="3").files) == []


def test_metrics_are_added_once_and_curves_only_read_when_asked_for(catalog: Catalog) -> None:
    put(catalog, metrics=[loss(0.5)])
    points = [loss(1 / (step + 1), step=step) for step in range(300)]
    catalog.add_metrics("ann", "support", 1, [*points, loss(0.5), loss(0.4), loss(0.4)])
    assert list(version(catalog, "support", 1).metrics) == [loss(0.5), *points, loss(0.4)]
    without = catalog.find_version(parse_reference("support@1"))
    view, whole = catalog.adapter("support"), catalog.adapter("support", with_curves=True)
    assert without is not None
    assert view is not None
    assert whole is not None
    assert without.metrics == view.versions[0].metrics == (loss(0.5), loss(0.4))
    assert whole.versions[0] == version(catalog, "support", 1)
    with pytest.raises(NotFound):
        catalog.add_metrics("ann", "support", 2, points)


def test_descriptions_and_tags(catalog: Catalog) -> None:
    put(catalog, tags={"a": "1", "b": "2"}, description="first")
    catalog.describe("ann", "support", 1, {"c": "3", "a": "4"}, ["b", "nothing"], None)
    assert version(catalog, "support", 1).tags == {"a": "4", "c": "3"}
    assert version(catalog, "support", 1).description == "first"
    catalog.describe("ann", "support", 1, {}, [], "")
    assert version(catalog, "support", 1).description is None
    with pytest.raises(NotFound):
        catalog.describe("ann", "support", 2**63, {}, [], None)

"""Every catalog: base models, the names by which the world knows them, and adapters over them."""

from pathlib import Path

import pytest
from tests.registry.contract.catalog_values import digest, hub, put, reading, version
from tests.registry.contract.catalogs import Opener

from lorarack.registry import BaseId
from lorarack.registry.errors import Conflict, NotFound, UsageError
from lorarack.registry.interface import Catalog


def test_a_base_is_read_as_it_was_written(catalog: Catalog) -> None:
    (base,) = catalog.bases()
    wanted = reading()
    for name in ("architecture", "config", "vocabulary", "vocab_size", "parameters", "modules", "template", "sampled"):
        assert getattr(base, name) == getattr(wanted, name), name
    assert (base.name, base.fingerprint, base.original, base.relation) == ("tiny", wanted.fingerprint, None, None)
    assert base.fingerprints == (wanted.fingerprint, wanted.by_files)
    assert base.ids == (hub("org/tiny"),)
    assert base.created_at.utcoffset() is not None


def test_a_model_that_shares_a_fingerprint_is_the_same_base(catalog: Catalog) -> None:
    """By its files it is known again; each place is kept, and the used one comes last."""
    again = reading(fingerprint=digest("tensors unknown"))
    added = catalog.add_base("bob", again, None, "copy", hub("org/copy"), use=True)
    assert (added.name, added.created, added.used) == ("tiny", False, True)
    assert [known.value for known in catalog.bases()[0].ids] == ["org/tiny", "org/copy"]
    assert set(catalog.bases()[0].fingerprints) == {reading().fingerprint, reading().by_files, again.fingerprint}
    added = catalog.add_base("bob", reading(), "tiny", "x", hub("org/tiny"), use=False)
    assert not added.used
    assert catalog.bases()[0].public_id == "org/copy"
    assert [event.kind for event in catalog.events(0, 10)] == ["base_added"] * 3


def test_names_of_bases(catalog: Catalog) -> None:
    put(catalog)
    for name, read, code in (
        ("other", reading(), "known_base"), ("tiny", reading("b"), "name_taken"), ("support", reading("b"), "name_taken"),
    ):  # fmt: skip
        with pytest.raises(Conflict) as raised:
            catalog.add_base("ann", read, name, name, hub("org/b"), use=True)
        assert raised.value.code == code
    catalog.add_base("ann", reading("b"), None, "a-default", hub("org/b"), use=True)
    assert [base.name for base in catalog.bases()] == ["a-default", "tiny"]


def test_a_folder_is_known_for_one_base(catalog: Catalog, tmp_path: Path) -> None:
    """Other files came into it. A folder inside the catalog's own is one too."""
    for place in (tmp_path / "ö % folder", tmp_path / "catalog" / "bases" / "one"):
        place.mkdir(parents=True)
        known = BaseId(kind="path", value=str(place.resolve()), template=digest("template"))
        catalog.add_base("ann", reading(place.name), place.name.replace("ö % ", ""), "x", known, use=True)
        assert next(base for base in catalog.bases() if base.fingerprint == reading(place.name).fingerprint).ids == (
            known,
        )
        added = catalog.add_base("ann", reading(), None, "x", known, use=True)
        assert added.taken_from == (place.name.replace("ö % ", ""),)
        assert next(base for base in catalog.bases() if base.name == "tiny").path == known.value


def test_bases_descend_from_bases(catalog: Catalog) -> None:
    for name in ("quantised", "tuned"):
        catalog.add_base("ann", reading(name), name, name, hub(f"org/{name}"), use=True)
    catalog.link_base("ann", "quantised", "tuned", "quantized")
    catalog.link_base("ann", "tuned", "tiny", "finetuned")
    assert {base.name: (base.original, base.relation) for base in catalog.bases()} == {
        "quantised": ("tuned", "quantized"), "tuned": ("tiny", "finetuned"), "tiny": (None, None),
    }  # fmt: skip
    with pytest.raises(UsageError):
        catalog.link_base("ann", "tiny", "quantised", "quantized")
    with pytest.raises(NotFound):
        catalog.link_base("ann", "tiny", "nothing", "quantized")


def test_a_base_of_an_older_lorarack_is_renewed(catalog: Catalog) -> None:
    """It and its versions carry the new fingerprint, also for those who follow."""
    put(catalog)
    before = catalog.snapshot()
    newer = reading(fingerprint=digest("renewed"), by_files=digest("renewed files"), sampled=digest("ignored"))
    catalog.renew_base("ann", "tiny", newer, [hub("org/a"), hub("org/b")])
    (base,) = catalog.bases()
    assert (base.fingerprint, base.fingerprints) == (newer.fingerprint, (newer.fingerprint, newer.by_files))
    assert (base.sampled, base.ids) == (reading().sampled, (hub("org/a"), hub("org/b")))
    assert version(catalog, "support", 1).base_fingerprint == newer.fingerprint
    assert catalog.snapshot(before).resolve("support").base_fingerprint == newer.fingerprint
    catalog.add_base("ann", reading("b"), "b", "b", hub("org/x"), use=True)
    with pytest.raises(Conflict):
        catalog.renew_base("ann", "b", newer, [])


def test_adapters_are_counted_and_ordered_by_the_numbers_of_their_characters(catalog: Catalog) -> None:
    """Not by a language's rules, which differ between servers."""
    names = ["b", "a.b", "a-b", "a_b", "a/b", "a0", "ab", "a", "a-", "0"]
    for turn, name in enumerate(names):
        put(catalog, name, rank=4 * (1 + turn % 2))
    put(catalog, "a", rank=16)
    put(catalog, "a", rank=2)
    catalog.set_alias("ann", "a", "prod", 2)
    assert catalog.adapter_names() == tuple(sorted(names))
    assert [adapter.name for adapter in catalog.adapters()] == sorted(names)
    found = next(adapter for adapter in catalog.adapters() if adapter.name == "a")
    assert (found.base, found.versions, found.latest, found.ranks) == ("tiny", 3, 3, (2, 8, 16))
    assert found.aliases == {"default": 1, "prod": 2}
    view = catalog.adapter("a")
    assert view is not None
    assert view.created_at == found.created_at
    assert [one.number for one in view.versions] == [1, 2, 3]
    assert catalog.has_adapter("a/b")
    assert not catalog.has_adapter("a/")


def test_every_instance_sees_what_another_wrote(open_catalog: Opener, catalog: Catalog) -> None:
    other = open_catalog()
    assert other.bases() == catalog.bases()
    put(catalog)
    assert version(other, "support", 1) == version(catalog, "support", 1)
    other.close()
    put(other)  # it opens again
    assert version(catalog, "support", 2).number == 2

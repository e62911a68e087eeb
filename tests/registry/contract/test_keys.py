"""Every catalog and every registry: keys of clients are made, shown once, followed and revoked; their secrets stay nowhere."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.registry.contract.catalogs import Opener
from tests.tiny import tiny_adapter, tiny_base

from lorarack.registry import Registry, Scope
from lorarack.registry.access import Key, matches, prefix_of, secret_digest
from lorarack.registry.errors import Conflict, NotFound, UsageError
from lorarack.registry.interface import Catalog
from lorarack.registry.records import KeyRow


def row(name: str, **changes: object) -> KeyRow:
    may = {"scopes": (Scope.INFERENCE,), "adapters": ("*",), "expires_at": None}
    return KeyRow(**{"name": name, "prefix": f"lrk_{name}", "digest": secret_digest(name.encode()), **may, **changes})  # type: ignore[arg-type]


# Catalogs


def test_a_catalog_keeps_all_of_a_key_and_says_so_in_events(catalog: Catalog) -> None:
    until = datetime(2126, 1, 2, 3, 4, tzinfo=UTC)
    made = catalog.keys.add("ann", row("b", scopes=(Scope.METRICS, Scope.ADMIN), adapters=("é*",), expires_at=until))
    catalog.keys.add("bob", row("a"))
    assert catalog.keys.list()[1] == made
    assert [key.name for key in catalog.keys.list()] == ["a", "b"]
    assert (made.scopes, made.adapters, made.expires_at) == ((Scope.METRICS, Scope.ADMIN), ("é*",), until)
    assert (made.created_by, made.revoked_at, made.is_of(b"b"), made.is_of(b"a")) == ("ann", None, True, False)
    revoked = catalog.keys.revoke("bob", "b")
    assert revoked is not None
    assert revoked.revoked_at is not None
    assert catalog.keys.revoke("cleo", "b") == revoked, "once: when and by whom stays true"
    assert catalog.keys.revoke("bob", "nobody") is None
    said = [(e.actor, e.kind, e.adapter, e.detail["key"]) for e in catalog.events(0, 99) if e.kind.startswith("key_")]
    assert said == [
        ("ann", "key_added", None, "b"),
        ("bob", "key_added", None, "a"),
        ("bob", "key_revoked", None, "b"),
    ]


def test_a_name_is_one_keys_for_ever(catalog: Catalog) -> None:
    catalog.keys.add("ann", row("ci"))
    catalog.keys.revoke("ann", "ci")
    before = catalog.last_event_id()
    with pytest.raises(Conflict, match=r"a key 'ci' \(revoked\)"):
        catalog.keys.add("ann", row("ci", prefix="lrk_other"))
    assert catalog.last_event_id() == before


def test_a_key_that_would_never_open_anything_is_refused(catalog: Catalog) -> None:
    with pytest.raises(UsageError, match="2001-01-01 00:00 UTC would never open"):
        catalog.keys.add("ann", row("ci", expires_at=datetime(2001, 1, 1, tzinfo=UTC)))
    assert catalog.keys.list() == ()


def test_followers_see_keys_come_and_go(catalog: Catalog, open_catalog: Opener) -> None:
    """From snapshot to snapshot as in a whole one, and with nothing else read again."""
    first = catalog.snapshot()
    other = open_catalog()
    other.keys.add("ann", row("a"))
    second = catalog.snapshot(first)
    assert list(second.keys) == ["lrk_a"]
    assert second.bases is first.bases
    other.keys.revoke("ann", "a")
    third = catalog.snapshot(second)
    assert third.keys["lrk_a"].revoked_at is not None
    assert third.keys == catalog.snapshot().keys
    assert catalog.snapshot(third) is third


# Registries


def test_a_key_is_shown_once_and_kept_nowhere(each_registry: Registry, tmp_path: Path) -> None:
    """Neither in values, events and exports, nor in any file of the registry; its digest leaves the registry neither."""
    made = each_registry.keys.add("web-shop", adapters=["acme-*"])
    key, secret = made.key, made.secret
    assert key.is_of(secret.encode())
    assert prefix_of(secret.encode()) == key.prefix
    each_registry.add_base(str(tiny_base(tmp_path / "base")), "tiny")
    each_registry.publish(tiny_adapter(tmp_path / "in"), "support", base="tiny")
    each_registry.export_to(tmp_path / "export")
    said = [repr(made), repr(key), json.dumps(key.to_json()), repr(each_registry.keys.list())]
    said += [json.dumps(event.to_json()) for event in each_registry.events()]
    said += [path.read_text("latin-1") for path in (tmp_path / "export").rglob("*") if path.is_file()]
    assert [text for text in said if secret[17:] in text or key.digest in text] == []
    kept = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert [data for data in kept if secret[17:].encode() in data] == []


def test_two_keys_have_nothing_in_common(each_registry: Registry) -> None:
    one, other = (each_registry.keys.add(name).secret for name in ("one", "other"))
    assert one[:16] != other[:16]
    assert one[17:] != other[17:]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"name": ""}, "cannot name a key"),
        ({"name": "Web Shop"}, "cannot name a key"),
        ({"name": "x" * 64}, "cannot name a key"),
        ({"name": "a/b"}, "cannot name a key"),
        ({"name": "anonymous"}, "give the key another name"),
        ({"name": "key-2"}, "give the key another name"),
        ({"scopes": []}, "without a scope"),
        ({"scopes": ["write"]}, "'write' is no scope; there are inference, metrics, admin"),
        ({"adapters": []}, "for no adapter"),
        ({"adapters": ["acme/*", "[ab]"]}, "matches no adapter"),
        ({"adapters": ["Acme*"]}, "matches no adapter"),
        ({"expires_at": datetime(2126, 1, 1)}, "needs a time zone"),  # noqa: DTZ001
    ],
)
def test_what_cannot_be_a_key_is_refused(each_registry: Registry, given: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        each_registry.keys.add(**{"name": "ci", **given})  # type: ignore[arg-type]
    assert each_registry.keys.list() == ()
    assert each_registry.last_event_id() == 0


def test_a_mistyped_name_revokes_nothing_and_offers_the_right_one(each_registry: Registry) -> None:
    each_registry.keys.add("web-shop")
    with pytest.raises(NotFound, match="web-shop") as unknown:
        each_registry.keys.revoke("web-shp")
    assert unknown.value.code == "unknown_key"
    assert each_registry.keys.list()[0].revoked_at is None


# Values


def key(**changes: object) -> Key:
    made = {
        "name": "ci",
        "prefix": "lrk_x",
        "digest": secret_digest(b"s"),
        "scopes": ("inference",),
        "adapters": ("*",),
    }
    return Key.model_validate({**made, "created_at": datetime(2026, 1, 1, tzinfo=UTC), "created_by": "ann", **changes})


def test_a_key_is_active_until_the_moment_at_which_it_expires() -> None:
    end = datetime(2026, 2, 1, tzinfo=UTC)
    assert key(expires_at=end).state(end - timedelta(seconds=1)) == "active"
    assert key(expires_at=end).state(end) == "expired"
    assert key(expires_at=end, revoked_at=end).state(end) == "revoked"
    assert key().state(end) == "active"


@pytest.mark.parametrize(
    ("name", "glob", "expected"),
    [
        ("support", "*", True), ("acme/support", "*", True), ("acme/support", "acme/*", True), ("acme", "acme/*", False),
        ("acme-a", "acme-*", True), ("acme-", "acme-*", True), ("bacme-a", "acme-*", False), ("v1", "v?", True),
        ("v12", "v?", False), ("support", "support", True), ("support2", "support", False), ("a.b", "a?b", True),
        ("axb", "a.b", False),
    ],
)  # fmt: skip
def test_globs_match_whole_names(name: str, glob: str, expected: bool) -> None:
    assert matches(name, ["nothing", glob]) is expected


@pytest.mark.parametrize("text", [b"", b"lrk_", b"sk-123", b"lrk_0123456789ab", b"\xff\x00", b"lrk_0123456789ab_x"])
def test_what_is_no_key_of_a_registry_has_no_prefix(text: bytes) -> None:
    assert prefix_of(text) is None

"""What an unknown name may have meant is offered, however other servers would have written it, and at a bounded price."""

import time

import pytest
from tests.server.values import MOMENT, version
from tests.tiny import tiny_adapter, tiny_base

from lorarack.registry import AdapterView, Snapshot, open_registry
from lorarack.registry.errors import BadReference, NotFound
from lorarack.registry.values import BaseId
from lorarack.server.close_names import CloseNames


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> CloseNames:
    place = tmp_path_factory.mktemp("names")
    with open_registry(place / "home") as registry:
        base = registry.add_base(str(tiny_base(place / "base")), "tiny-base")
        for seed, name in enumerate(["support", "support", "support", "acme/orders", "my-adapter"]):
            registry.publish(tiny_adapter(place / f"{seed}", seed=seed), name, base="tiny-base")
        registry.set_alias("support", "prod", 2)
        snapshot = registry.snapshot()
    hub = base.model_copy(update={"ids": (BaseId(kind="hub", value="Acme/Tiny-1B-Instruct"),)})
    known = Snapshot(snapshot.changes, {"tiny-base": hub}, snapshot.adapters)
    return CloseNames(known, ["tiny-base"])


@pytest.mark.parametrize(
    ("asked", "offered"),
    [
        ("Support", "support"),
        ("SUPPORT@prod", "support@prod"),
        (" support", "support"),
        ("support @ prod", "support@prod"),
        ("support@PROD", "support@prod"),
        ("My Adapter", "my-adapter"),
        ("tiny-base:support", "support"),
        ("tiny-base/support", "support"),
        ("tiny-base:support@3", "support@3"),
        ("Acme/Tiny-1B-Instruct:support", "support"),
        ("Acme/Tiny-1B-Instruct/support@prod", "support@prod"),
        ("tiny-base#support", "support"),
        ("support:3", "support@3"),
        ("support/3", "support@3"),
        ("support:prod", "support@prod"),
        ("tiny-base:support:3", "support@3"),
        ("support-3", "support@3"),
        ("support@v3", "support@3"),
        ("support-v2", "support@2"),
        ("acme/Orders", "acme/orders"),
        ("orders", "acme/orders"),
        ("acme/order", "acme/orders"),
        ("suport", "support"),
        ("upport", "support"),
        ("support@prd", "support@prod"),
        ("support@9", "support@3"),
        ("Acme/Tiny-1B-Instruct", "tiny-base"),
        ("acme/tiny-1b-instruct", "tiny-base"),
        ("Tiny-Base", "tiny-base"),
        ("openai/tiny-base", "tiny-base"),
        ("tinny-base", "tiny-base"),
    ],
)
def test_what_was_meant_is_offered(names: CloseNames, asked: str, offered: str) -> None:
    error = names.error(asked)
    assert repr(offered) in error.message.partition("Did you mean")[2], error.message
    assert isinstance(error, BadReference if any(c in asked for c in ":# ABCDEFGHIJKLMNOPQRSTUVWXYZ") else NotFound)


@pytest.mark.parametrize(
    "asked", ["", "@", "@@@", ":" * 256, "/" * 256, "x" * 256, "\x00", "☃", "zzqq", "a:b/c#d,e|f" * 20]
)
def test_nothing_near_is_nothing_offered(names: CloseNames, asked: str) -> None:
    assert "Did you mean" not in names.error(asked).message


def test_among_ten_thousand_adapters_the_price_is_bounded() -> None:
    adapters = {
        name: AdapterView.of(name, "smol", [version(1, adapter=name)], {"default": 1}, MOMENT)
        for name in (f"team-{n % 100}/adapter-{n}" for n in range(10_000))
    }
    close = CloseNames(Snapshot(1, {}, adapters), ["smol"])
    assert "'team-1/adapter-101'" in close.error("team-1/adaptor-101").message
    began = time.thread_time()
    for n in range(20):
        close.error(f"team-{n}/unheard-of")
    assert (time.thread_time() - began) / 20 < 0.1  # a quarter of a second, compared with all letter by letter

"""Every registry: texts and numbers that a database could refuse are refused before, in one sentence, or simply found nowhere."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.tiny import tiny_adapter, tiny_base

from lorarack.registry import Query, Registry
from lorarack.registry.errors import NotFound, UsageError


@pytest.fixture
def stocked(each_registry: Registry, tmp_path: Path) -> Registry:
    each_registry.add_base(str(tiny_base(tmp_path / "base")), "tiny")
    each_registry.publish(tiny_adapter(tmp_path / "one"), "support", base="tiny", tags={"a": "b"})
    return each_registry


@pytest.mark.parametrize("text", ["A\0B", "x" * 256, "\ud800"])
def test_a_base_of_no_such_class_is_refused(each_registry: Registry, tmp_path: Path, text: str) -> None:
    base = tiny_base(tmp_path / "base")
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps(config | {"architectures": [text]}))
    with pytest.raises(UsageError, match="architecture in config"):
        each_registry.add_base(str(base), "tiny")
    (base / "config.json").write_text(json.dumps(config | {"vocab_size": 2**70}))
    assert each_registry.add_base(str(base), "tiny").vocab_size == 0


REFUSED: list[Callable[[Registry], object]] = [
    lambda registry: registry.search(Query(tags=("a\0",))),
    lambda registry: registry.search(Query(tags=("a=\0",))),
    lambda registry: registry.search(Query(adapter="a\0*")),
    lambda registry: registry.search(Query(base="\0")),
    lambda registry: registry.search(Query(order="eval_loss", dataset="\0")),
    lambda registry: registry.search(Query(cursor="newest:\0")),
    lambda registry: registry.describe("support@1", tags={"a": "\0"}),
    lambda registry: registry.describe("support@1", without=["\0"]),
    lambda registry: registry.describe("support@1", description="\0"),
    lambda registry: registry.set_alias("support", "prod", 1, reason="\0"),
    lambda registry: registry.quarantine("support@1", "x" * 10_001),
    lambda registry: registry.lease(registry.resolve("support"), "\0"),
    lambda registry: registry.release("\0"),
    lambda registry: registry.set_retention("support", keep_last=2**70),
]


@pytest.mark.parametrize("call", range(len(REFUSED)))
def test_what_no_database_keeps_is_refused(stocked: Registry, call: int) -> None:
    before = stocked.last_event_id()
    with pytest.raises(UsageError):
        REFUSED[call](stocked)
    assert stocked.last_event_id() == before


def test_what_cannot_be_there_is_not_found(stocked: Registry) -> None:
    assert stocked.search(Query(text="\0")).versions == ()
    assert stocked.search(Query(tags=("a" * 10_000,))).versions == ()
    assert stocked.events(after=2**70) == ()
    assert stocked.events(after=-(2**70), limit=2**70) == stocked.events()
    for call in (
        lambda: stocked.set_alias("support", "prod", 2**70), lambda: stocked.alias_history("support", "\0"),
        lambda: stocked.resolve("support@999999999"), lambda: stocked.best("support", "eval_loss", dataset="\0"),
    ):  # fmt: skip
        with pytest.raises(NotFound):
            call()

"""A registry with as many versions as wanted, written straight into the tables: published one by one they would take hours.

The rows look as publishing leaves them, with the events that go with them. There are no weight files.
"""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, insert

from lorarack.registry.catalog.new_version import searchable_text
from lorarack.registry.catalog.schema import ADAPTERS, ALIASES, BASES, EVENTS, FINISHED, METRICS, TAGS, TEXTS, VERSIONS
from lorarack.registry.catalog.sqlite import SqliteDatabase

RANKS = (4, 8, 16, 32, 64)
_AT_ONCE = 5000
_START = datetime(2026, 1, 1, tzinfo=UTC)
_BY = "benchmark@localhost"
_TARGETS = ["q_proj", "v_proj"]


def populate(home: Path, adapters: int, each: int) -> None:
    """Write a registry with ``adapters`` adapters (``adapter-0000`` …) of ``each`` versions to ``home``."""
    database = SqliteDatabase(home / "catalog.sqlite")
    try:
        database.write(lambda connection: _fill(connection, adapters, each))
    finally:
        database.close()


def _fill(connection: Connection, adapters: int, each: int) -> None:
    connection.execute(insert(BASES), _base())
    owners = [
        {"id": number + 1, "name": f"adapter-{number:04}", "base_id": 1, "next_number": each + 1, "created_at": _START}
        for number in range(adapters)
    ]
    connection.execute(insert(ADAPTERS), owners)
    total = adapters * each
    for start in range(0, total, _AT_ONCE):
        places = range(start, min(start + _AT_ONCE, total))
        connection.execute(insert(VERSIONS), [_version(place, each) for place in places])
        connection.execute(insert(TAGS), [row for place in places for row in _tags(place)])
        connection.execute(insert(METRICS), [row for place in places for row in _metrics(place)])
        connection.execute(insert(FINISHED), [_finished(row) for place in places for row in _metrics(place)])
        connection.execute(insert(TEXTS), [_words(place, each) for place in places])
        connection.execute(insert(EVENTS), [_event(place, each) for place in places])
    for event, adapter in enumerate(range(adapters), total + 1):
        detail = {"alias": "default", "previous": None, "reason": "first published version", "forced": False}
        row = {"id": event, "at": _START, "actor": _BY, "kind": "alias_moved", "adapter": f"adapter-{adapter:04}"}
        connection.execute(insert(EVENTS), [row | {"version": 1, "detail": detail}])
        alias = {"adapter_id": adapter + 1, "name": "default", "version_id": adapter * each + 1, "event_id": event}
        connection.execute(insert(ALIASES), [alias])


def _base() -> dict[str, Any]:
    modules = {f"model.layers.{layer}.self_attn.{name}": [2048, 2048] for layer in range(24) for name in _TARGETS}
    return {
        "name": "tiny",
        "fingerprint": digest("base"),
        "architecture": "LlamaForCausalLM",
        "vocab_size": 32000,
        "parameters": 10**9,
        "modules": modules,
        "created_at": _START,
    }


def _version(place: int, each: int) -> dict[str, Any]:
    adapter, number = divmod(place, each)
    rank = RANKS[place % len(RANKS)]
    files = [
        {"name": name, "digest": digest(f"{name} {place}"), "bytes": size}
        for name, size in (("adapter_config.json", 700), ("adapter_model.safetensors", 786432 * rank))
    ]
    return {
        "id": place + 1,
        "adapter_id": adapter + 1,
        "number": number + 1,
        "digest": digest(f"version {place}"),
        "rank": rank,
        "alpha": 2.0 * rank,
        "rslora": False,
        "target_modules": _TARGETS,
        "dtype": "f32",
        "parameters": 196608 * rank,
        "bytes": 786432 * rank,
        "state": "archived" if place % 50 == 49 else "ready",
        "state_reason": None,
        "description": f"run {place} on orders" if place % 10 == 0 else None,
        "provenance": {"recipe": {"learning_rate": 2e-4}, "datasets": [], "seed": place, "versions": {"peft": "0.21.2"}},
        "files": files,
        "created_at": _START + timedelta(seconds=30 * place),
        "created_by": _BY,
    }  # fmt: skip


def _tags(place: int) -> Iterator[dict[str, Any]]:
    yield {"version_id": place + 1, "key": "recipe", "value": digest(f"recipe {place // len(RANKS)}")}
    yield {"version_id": place + 1, "key": "team", "value": f"team-{place % 97}"}


def _metrics(place: int) -> Iterator[dict[str, Any]]:
    spread = int(digest(f"loss {place}")[7:15], 16) / 2**32
    for split, value in (("train", 0.2 + spread), ("validation", 0.4 + spread)):
        yield {
            "version_id": place + 1, "name": "loss", "split": split, "value": value,
            "step": None, "dataset": None, "higher_is_better": False,
        }  # fmt: skip


def _finished(metric: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in metric.items() if key != "step"} | {"dataset": ""}


def _words(place: int, each: int) -> dict[str, Any]:
    texts = [
        f"adapter-{place // each:04}",
        _version(place, each)["description"] or "",
        *(row["value"] for row in _tags(place)),
    ]
    return {"version_id": place + 1, "words": searchable_text(texts)}


def _event(place: int, each: int) -> dict[str, Any]:
    adapter, number = divmod(place, each)
    detail = {"digest": digest(f"version {place}"), "rank": RANKS[place % len(RANKS)]}
    at = _START + timedelta(seconds=30 * place)
    return {
        "id": place + 1, "at": at, "actor": _BY, "kind": "published",
        "adapter": f"adapter-{adapter:04}", "version": number + 1, "detail": detail,
    }  # fmt: skip


def digest(text: str) -> str:
    """A digest that depends on ``text`` alone."""
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"

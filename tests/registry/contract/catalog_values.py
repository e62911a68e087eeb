"""What the tests hand to catalogs."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from lorarack.registry import BaseId, Metric, Parent, Provenance, State, StoredFile, Version
from lorarack.registry.base_model.fingerprint import Reading
from lorarack.registry.base_model.weights import Weights
from lorarack.registry.interface import Catalog
from lorarack.registry.records import ImportRow, NewVersion
from lorarack.registry.reference import ByNumber, Reference, parse_reference

LONG_AGO = datetime(2020, 2, 29, 12, 30, 15, 123456, tzinfo=UTC)


def digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def reading(name: str = "tiny", **more: Any) -> Reading:
    """What reading the files of a base gave; another ``name``, another base."""
    known: dict[str, Any] = {
        "architecture": "LlamaForCausalLM",
        "config": {"hidden_size": 8, "é": [1, None]},
        "vocabulary": digest(f"vocabulary {name}"),
        "vocab_size": 32,
        "parameters": 3 * 2**40,
        "modules": {"model.layers.0.self_attn.q_proj": (8, 8)},
        "template": None,
        "sampled": digest(f"sampled {name}"),
        "weights": Weights((), [], "", {}),
        "fingerprint": digest(f"tensors {name}"),
        "by_files": digest(f"files {name}"),
    }
    return Reading(**{**known, **more})


def hub(value: str) -> BaseId:
    return BaseId(kind="hub", value=value)


def new(
    adapter: str = "support",
    content: str = "1",
    *,
    base: str = "tiny",
    rank: int = 4,
    metrics: Sequence[Metric] = (),
    tags: Mapping[str, str] | None = None,
    description: str | None = None,
    provenance: Provenance | None = None,
    parents: Sequence[Parent] = (),
    measured: Metric | None = None,
) -> NewVersion:
    """A version to be; other ``content``, another digest."""
    sizes = (("adapter_config.json", 700), ("adapter_model.safetensors", 2**40))
    return NewVersion(
        adapter=adapter,
        base=base,
        digest=digest(f"version {content}"),
        rank=rank,
        alpha=2.0 * rank,
        rslora=False,
        target_modules=("q_proj", "v_proj"),
        dtype="bf16",
        parameters=5 * 2**33,
        bytes=2**40,
        files=tuple(StoredFile(name=name, digest=digest(f"{name} {content}"), bytes=size) for name, size in sizes),
        metrics=tuple(metrics),
        tags=tags or {},
        description=description,
        provenance=provenance,
        parents=tuple(parents),
        measured=measured,
    )


def put(catalog: Catalog, adapter: str = "support", content: str = "", **more: Any) -> Version:
    """Add a version (by default one of its own content); as it is then."""
    content = content or f"{adapter} {catalog.last_event_id()}"
    added, _ = catalog.add_version("ann", new(adapter, content, **more), stored)
    return added


def added(catalog: Catalog, actor: str, wanted: NewVersion) -> tuple[int, bool]:
    """The number of ``wanted`` in the catalog, and whether it is new; what is returned is what is read."""
    found, created = catalog.add_version(actor, wanted, stored)
    assert found == catalog.find_version(Reference(found.adapter, ByNumber(found.number)), with_curves=True)
    return found.number, created


def version(catalog: Catalog, adapter: str, number: int) -> Version:
    found = catalog.find_version(parse_reference(f"{adapter}@{number}"), with_curves=True)
    assert found is not None
    return found


def loss(value: float, **more: Any) -> Metric:
    return Metric(**{"name": "loss", "split": "validation", "value": value, **more})


def row(number: int = 1, content: str = "1", **more: Any) -> ImportRow:
    """A version of an export; ``parents``, ``state`` and ``state_reason`` are of the row, the rest is of its version."""
    its = {key: more.pop(key) for key in ("parents", "state", "state_reason") if key in more}
    known: dict[str, Any] = {"state": State.READY, "state_reason": None, "parents": ()}
    return ImportRow(
        new=new(content=content, **more), number=number, created_at=LONG_AGO, created_by="far@away", **(known | its)
    )


def stored(_: str) -> bool:
    return True

"""The frozen values that pass between modules and over the seams: Python, command line (``--json``) and HTTP."""

from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from pydantic import Field, JsonValue, SerializerFunctionWrapHandler, model_serializer, model_validator

from lorarack.registry.reference_logprobs import ReferenceLogprobs
from lorarack.registry.value import InputValue, Value

#: Module name (as in the base's weight file, without ``.weight``) to (out_features, in_features).
#: Of an embedding: (rows of the table, width).
ModuleTable = dict[str, tuple[int, int]]


#: What people call the loss on the three usual splits; every other metric is SPLIT/NAME.
LOSS_LABELS = {"train_loss": "train", "eval_loss": "validation", "test_loss": "test"}

#: The largest whole number that JSON readers and SQLite agree on.
MAX_STEP = 2**53 - 1


class BaseId(Value):
    """An external name of a base model: a Hub repository at a revision, or a local folder."""

    kind: str = Field(pattern="^(hub|path)$")
    value: str
    revision: str | None = None
    template: str | None = Field(default=None, description="digest of the chat template there")


class Base(Value):
    """A base model: what adapters were trained on and are served over."""

    name: str
    fingerprint: str = Field(pattern="^sha256:[0-9a-f]{64}$")
    architecture: str
    vocabulary: str | None = Field(
        default=None, description="digest of the tokenizer's token table, if the base has one"
    )
    vocab_size: int
    parameters: int
    modules: ModuleTable = Field(repr=False)
    fingerprints: tuple[str, ...] = Field(
        default=(),
        description="all by which it is known: by its tensors, by its files; empty where only 0.1.0 has seen it",
    )
    sampled: str | None = Field(default=None, description="the fingerprint of 0.1.0, which saw a sample of the weights")
    config: dict[str, JsonValue] | None = Field(default=None, repr=False, description="what its function depends on")
    template: str | None = Field(default=None, description="digest of its chat template")
    ids: tuple[BaseId, ...] = ()
    original: str | None = Field(default=None, description="name of the base that this one was made from")
    relation: str | None = Field(default=None, description="how: quantized, converted, finetuned")
    created_at: datetime

    @property
    def path(self) -> str | None:
        """The local folder that is used: the last one."""
        return next((known.value for known in reversed(self.ids) if known.kind == "path"), None)

    @property
    def hub_id(self) -> BaseId | None:
        """Its newest id on the Hub."""
        return next((known for known in reversed(self.ids) if known.kind == "hub"), None)

    @property
    def source(self) -> str:
        """What to hand to transformers or vLLM: the local folder, else the Hub id, else the plain name."""
        return self.path or (self.hub_id.value if self.hub_id else self.name)

    @property
    def public_id(self) -> str:
        """What a published adapter names as its base: its Hub id, else its plain name; never a machine's path."""
        return self.hub_id.value if self.hub_id else self.name


class CheckedBase(Value):
    """A base whose files were looked at, and what to hand to transformers or vLLM."""

    base: Base
    source: str = Field(description="a local folder, or a repository on the Hub")
    revision: str | None = Field(default=None, description="commit of the repository")
    notes: tuple[str, ...] = ()


class Metric(InputValue):
    """A number measured on one split of one data set, at one training step or (``step=None``) of the finished version."""

    code = "bad_metric"

    name: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_./-]{0,63}$")
    split: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")
    value: float = Field(allow_inf_nan=False)
    step: int | None = Field(default=None, ge=0, le=MAX_STEP)
    dataset: str | None = Field(default=None, description="digest of the data set")
    higher_is_better: bool = False

    @property
    def label(self) -> str:
        """``eval_loss``, ``train_loss`` or ``test_loss`` for the loss on these splits, else ``split/name``."""
        short = (label for label, split in LOSS_LABELS.items() if split == self.split and self.name == "loss")
        return next(short, f"{self.split}/{self.name}")


class Dataset(Value):
    """Which rows a split held; ``digest`` is of the rows in canonical JSON, so formatting does not matter."""

    split: str
    name: str
    rows: int
    digest: str
    row_digests: str | None = Field(
        default=None,
        repr=False,
        description="of the rows that shaped the version: the smallest 4,096 of the 48-bit digests of their prompts, in base64",
    )


class Provenance(Value):
    """Where a version comes from, complete enough to run it again."""

    recipe: dict[str, JsonValue] = Field(default_factory=dict)
    datasets: tuple[Dataset, ...] = ()
    seed: int | None = None
    versions: dict[str, str] = Field(default_factory=dict)
    hardware: str | None = None
    wall_seconds: float | None = None
    source: str | None = Field(default=None, description="for an import: ORG/REPO@revision")
    reference: ReferenceLogprobs | None = Field(default=None, repr=False)


class State(StrEnum):
    """What may be done with a version."""

    READY = "ready"
    ARCHIVED = "archived"
    QUARANTINED = "quarantined"  # by somebody, for a reason
    DAMAGED = "damaged"  # by the registry, which has read bytes of another digest


class StoredFile(Value):
    """A file of a version and the digest of its bytes as stored."""

    name: str
    digest: str
    bytes: int


class Parent(InputValue):
    """What a version was derived from, and how: ``resized``, ``merged``, ``continued``, ``pulled`` or a word of your own."""

    code = "bad_parent"

    version: str = Field(pattern=r"^[a-z0-9._/-]+@[1-9][0-9]*$")
    relation: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")


class Version(Value):
    """One immutable trained artifact of an adapter."""

    adapter: str
    number: int = Field(ge=1)
    digest: str = Field(pattern="^sha256:[0-9a-f]{64}$")
    engine_id: int = Field(ge=1, le=2**31 - 1)
    base: str
    base_fingerprint: str
    rank: int = Field(ge=1)
    alpha: float
    rslora: bool = False
    target_modules: tuple[str, ...]
    dtype: str
    parameters: int
    bytes: int
    state: State = State.READY
    state_reason: str | None = None
    description: str | None = None
    tags: dict[str, str] = Field(default_factory=dict)
    metrics: tuple[Metric, ...] = ()
    provenance: Provenance | None = None
    files: tuple[StoredFile, ...] = ()
    parents: tuple[Parent, ...] = ()
    aliases: tuple[str, ...] = ()
    created_at: datetime
    created_by: str

    @property
    def reference(self) -> str:
        """``support@3``: always names this version."""
        return f"{self.adapter}@{self.number}"

    def file_digest(self, name: str) -> str | None:
        """The digest of its stored file of that name; None where it has none."""
        return next((file.digest for file in self.files if file.name == name), None)

    def brief(self) -> dict[str, Any]:
        """What every record about this version begins with, in JSON (docs/json.md)."""
        return {**naming(self.adapter, self.number), "digest": self.digest, "rank": self.rank}

    @model_validator(mode="before")
    @classmethod
    def _from_json(cls, data: Any) -> Any:
        """What ``_in_json`` wrote is read again."""
        if not isinstance(data, dict) or "reference" not in data:
            return data
        return {"number" if key == "version" else key: value for key, value in data.items() if key != "reference"}

    @model_serializer(mode="wrap")
    def _in_json(self, whole: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """As everywhere in JSON a version is named; also inside other values."""
        data: dict[str, Any] = whole(self)
        number = data.pop("number", None)
        return data if number is None else naming(self.adapter, number) | data

    def metric(self, name: str, split: str) -> Metric | None:
        """The finished version's metric of that name and split (the newest), if any."""
        found = [m for m in self.metrics if m.name == name and m.split == split and m.step is None]
        return found[-1] if found else None

    def curve(self, name: str, split: str) -> tuple[Metric, ...]:
        """That metric at each training step where it was measured, in order of steps."""
        points = [m for m in self.metrics if m.name == name and m.split == split and m.step is not None]
        return tuple(sorted(points, key=lambda m: m.step or 0))


def naming(adapter: str, number: int) -> dict[str, Any]:
    """How JSON names a version."""
    return {"reference": f"{adapter}@{number}", "adapter": adapter, "version": number}


class Adapter(Value):
    """A named line of work on one base model."""

    name: str
    base: str
    versions: int
    latest: int | None
    ranks: tuple[int, ...] = ()
    aliases: dict[str, int] = Field(default_factory=dict)
    created_at: datetime


class Alias(Value):
    """A movable name and the version it names now, or named after one past move."""

    adapter: str
    name: str
    version: int
    previous: int | None = None
    moved_at: datetime
    actor: str
    reason: str | None = None
    forced: bool = Field(default=False, description="moved although a gate said no")
    rollback: bool = Field(default=False, description="moved back to where it was before")

    @classmethod
    def after(cls, move: "Event") -> Self:
        """The alias as an ``alias_moved`` event left it."""
        detail: dict[str, Any] = {"rollback": False, **move.detail}
        name = detail.pop("alias")
        return cls(
            adapter=move.adapter or "",
            name=name,
            version=move.version or 0,
            moved_at=move.at,
            actor=move.actor,
            **detail,
        )


class Published(Value):
    """What ``publish`` did: ``created`` is false when the same digest was there already."""

    version: Version
    created: bool
    notes: tuple[str, ...] = ()


class Event(Value):
    """Something that happened to the registry; ``cursor`` grows with each, in the order in which they were committed."""

    cursor: int
    at: datetime
    actor: str
    kind: str
    adapter: str | None = None
    version: int | None = None
    detail: dict[str, JsonValue] = Field(default_factory=dict)

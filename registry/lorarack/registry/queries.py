"""What can be asked of a registry and what it answers: frozen values, like those that they are about."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, JsonValue, ModelWrapValidatorHandler, ValidationError, model_validator

from lorarack.registry.errors import UsageError
from lorarack.registry.value import Value, corrections
from lorarack.registry.values import LOSS_LABELS, Metric, State, Version

#: A point in time; one without a zone is in UTC.
Moment = Annotated[datetime, AfterValidator(lambda moment: moment if moment.tzinfo else moment.replace(tzinfo=UTC))]

Operator = Literal["<", "<=", ">", ">=", "="]

_CONDITION = re.compile(r"\s*([A-Za-z][A-Za-z0-9_./-]{0,96}?)\s*(<=|>=|<|>|=)\s*(\S+)\s*", re.ASCII)
_LABEL = re.compile(r"([a-z][a-z0-9_-]{0,31})/([A-Za-z][A-Za-z0-9_./-]{0,63})", re.ASCII)


class Asked(Value):
    """Part of a query; an invalid one raises ``UsageError``, like everything else that is wrong in a call."""

    @model_validator(mode="wrap")
    @classmethod
    def _in_one_sentence(cls, data: Any, build: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return build(data)
        except ValidationError as error:
            raise UsageError(f"This {cls.__name__} is invalid; {corrections(error)}", code="bad_query") from error


class Condition(Asked):
    """The finished version's newest metric of that label must be so."""

    label: str
    operator: Operator
    value: float = Field(allow_inf_nan=False)


class Query(Asked):
    """Which versions to find; every part that is given must hold."""

    base: str | None = Field(default=None, description="a base's name, Hub id, folder or fingerprint")
    adapter: str | None = Field(default=None, description="an adapter's name, or the beginning of names and '*'")
    rank_min: int | None = Field(default=None, ge=1, le=2**31)
    rank_max: int | None = Field(default=None, ge=1, le=2**31)
    metrics: tuple[Condition, ...] = ()
    tags: tuple[str, ...] = Field(default=(), description="KEY, or KEY=VALUE")
    state: State | None = Field(default=None, description="without it, all states")
    text: str | None = Field(
        default=None, description="in the name, the description or a tag's value; case-insensitive"
    )
    since: Moment | None = Field(default=None, description="published then or later; in UTC unless it says otherwise")
    until: Moment | None = Field(default=None, description="published before that")
    dataset: str | None = Field(
        default=None, description="rank by the metric on this data set: its digest, or its beginning, or none"
    )
    order: str = Field(
        default="newest", description="newest, oldest, or a metric's label: best first, versions with it only"
    )
    limit: int = Field(default=50, ge=1, le=1000)
    cursor: str | None = Field(default=None, description="``next`` of the page before")


class Page(Value):
    """Some of the versions that were found, without the points of their curves; ``next`` is the cursor of the page behind it."""

    versions: tuple[Version, ...]
    next: str | None = None


class Best(Value):
    """The best ready version of an adapter by one metric on ``dataset``, of ``datasets`` that versions name (None: they name none).

    ``unnamed`` of the versions that were ranked do not say on which data they were measured; ``lacking`` ready versions do not
    have the metric at all; ``left_out`` are those that have it on other data only.
    """

    version: Version
    metric: Metric
    dataset: str | None = None
    datasets: int = 0
    unnamed: int = 0
    lacking: int
    left_out: tuple[str, ...] = ()


class Rule(Asked):
    """A gate: the metric must be better than the present version's by ``min_gain`` or more (0: not worse).

    Values on different data sets are never compared; ``dataset`` names one of several that both versions were measured on.
    """

    label: str
    dataset: str | None = Field(default=None, description="a data set's digest, or its beginning, or none")
    min_gain: float = Field(default=0.0, ge=0, allow_inf_nan=False)


class Judgement(Value):
    """What was found elsewhere of a version that is to be promoted: whether it may be, and the sentence that says why.

    ``present`` is the number of the version that the alias named then (0: none), where the finding is about that one.
    """

    holds: bool
    sentence: str
    present: int | None = None


class Link(Value):
    """``child`` was derived from ``parent``."""

    child: str
    parent: str
    relation: str


class Lineage(Value):
    """Where a version comes from and what came of it: each link once, the nearest first."""

    version: Version
    base: tuple[str, ...] = Field(description="its base, the base that this was made from, and so on")
    ancestors: tuple[Link, ...]
    descendants: tuple[Link, ...]


class Change(Value):
    """One thing that two versions have differently; None where one has it not at all."""

    what: str
    a: JsonValue = None
    b: JsonValue = None


class MetricChange(Value):
    """One finished metric of two versions, the newest of each on one data set; ``change`` is b - a where both have it.

    ``comparable`` is false where both have the metric, and name data sets that differ; then there is no change.
    """

    label: str
    dataset: str | None = None
    a: float | None = None
    b: float | None = None
    change: float | None = None
    higher_is_better: bool
    comparable: bool = True


class ModuleChange(Value):
    """Frobenius norms of one module's delta weight (scale times B times A) in two versions, and of the difference of the two.

    None for a version that leaves the module alone; ``difference`` is None where the shapes differ.
    """

    module: str
    a: float | None = None
    b: float | None = None
    difference: float | None = None


class Diff(Value):
    """How version ``b`` differs from version ``a``. Modules come with the largest difference first."""

    a: str
    b: str
    configuration: tuple[Change, ...]
    metrics: tuple[MetricChange, ...]
    provenance: tuple[Change, ...]
    tags: tuple[Change, ...]
    modules: tuple[ModuleChange, ...]


class Exported(Value):
    """What an export wrote: references of versions, and those it left out because they are quarantined or damaged."""

    folder: str
    versions: tuple[str, ...]
    left_out: tuple[str, ...] = ()


class ImportedVersion(Value):
    """One version of an export: what it was called there, what it is called here, and whether it is new here."""

    was: str
    version: str
    created: bool


class Imported(Value):
    """What an import did; ``notes`` say what is not as it was."""

    versions: tuple[ImportedVersion, ...]
    notes: tuple[str, ...] = ()


#: What ``gc`` removes.
GC_KINDS = ("version", "blob", "leftover", "evaluation", "experiment")


class GcItem(Value):
    """One version, one stored file that no version has, one file that a killed publisher left half-written, the evaluations of a
    version that is gone, or the answers of an experiment that ended long ago.
    """

    kind: Literal["version", "blob", "leftover", "evaluation", "experiment"]
    name: str = Field(
        description="support@3, a digest, a file's name, or an alias with the number of an experiment on it"
    )
    removed: bool
    reason: str
    bytes: int = Field(default=0, description="what its removal frees; a version's files are items of their own")


def file_item(kind: Literal["blob", "leftover"], name: str, age: float, size: int, grace: float) -> GcItem:
    """What becomes of a file that no version has: it goes once it is ``grace`` seconds old."""
    removed = age >= grace
    what = "no version has it" if kind == "blob" else "its writer is gone"
    reason = what if removed else f"{what}, but it is younger than {grace:g} s: a publisher may be at work with it"
    return GcItem(kind=kind, name=name, removed=removed, reason=reason, bytes=size)


class GcReport(Value):
    """What one run of ``gc`` did, or with ``dry_run`` would have done, with every version and every file that no version has."""

    dry_run: bool
    grace_seconds: float
    items: tuple[GcItem, ...] = ()

    @property
    def freed(self) -> int:
        """Bytes freed."""
        return sum(item.bytes for item in self.items if item.removed)

    def removed(self, kind: str) -> int:
        """How many things of that kind were removed."""
        return sum(item.removed for item in self.items if item.kind == kind)


class Retention(Value):
    """An adapter's rule: which of its versions can neither be deleted nor collected. None: no rule of that kind."""

    keep_last: int | None = None
    keep_days: int | None = None


def parse_label(label: str) -> tuple[str, str]:
    """Name and split of a metric's label: ``eval_loss``, ``SPLIT/NAME``, or ``NAME`` alone for the validation split.

    Raises:
        UsageError: it cannot be a label.
    """
    if label in LOSS_LABELS:
        return "loss", LOSS_LABELS[label]
    found = _LABEL.fullmatch(label if "/" in label else f"validation/{label}")
    if found is None:
        raise UsageError(
            f"{label!r} cannot be a metric's name; use letters, digits and '_', optionally behind SPLIT/.",
            code="bad_metric",
        )
    return found[2], found[1]


def parse_condition(text: str) -> Condition:
    """``eval_loss<0.5`` or ``test/exact>=0.9`` as a condition.

    Raises:
        UsageError: not of that form.
    """
    found = _CONDITION.fullmatch(text)
    try:
        condition = (
            Condition.model_validate({"label": found[1], "operator": found[2], "value": found[3]}) if found else None
        )
    except UsageError:
        condition = None
    if condition is None:
        raise UsageError(
            f"{text!r} is not a condition; write METRIC, one of < <= > >= =, and a number, for example 'eval_loss<0.5'.",
            code="bad_condition",
        )
    parse_label(condition.label)
    return condition

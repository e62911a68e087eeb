"""What a comparison is to do, checked before a server is started or asked."""

from collections.abc import Sequence
from dataclasses import dataclass

from lorarack.adapters.comparison.seen import SEEN_SPLIT, SeenRows, check_unseen
from lorarack.adapters.data.rows import Rows
from lorarack.adapters.evaluation.answers import Subject
from lorarack.adapters.evaluation.judge import JudgeServer
from lorarack.adapters.evaluation.run import check_texts, request_count
from lorarack.adapters.evaluation.scores import Score, find_score, fitting_score
from lorarack.registry import Base, Registry, Version
from lorarack.registry.errors import Conflict, UsageError


@dataclass(frozen=True, slots=True)
class ComparisonPlan:
    """Who is asked which rows, and how answers are scored.

    Attributes:
        versions: those to compare.
        base: the base of all of them.
        subjects: who is asked: the versions, and the base where it is wanted.
        rows: what.
        score: what an answer is worth.
        seen: rows that the versions know from training.
        groups: for each row the group that it belongs to, where rows are not independent of each other.
    """

    versions: tuple[Version, ...]
    base: Base
    subjects: tuple[Subject, ...]
    rows: Rows
    score: Score
    seen: tuple[SeenRows, ...] = ()
    groups: tuple[object, ...] | None = None

    @property
    def requests(self) -> int:
        """How many questions that makes."""
        return request_count(self.subjects, self.rows)

    @property
    def split(self) -> str:
        """The split under which the scores are kept: apart where rows were seen."""
        return SEEN_SPLIT if self.seen else "test"


def plan_comparison(
    registry: Registry,
    references: Sequence[str],
    rows: Rows,
    *,
    score: str | None = None,
    judge: JudgeServer | None = None,
    include_base: bool = False,
    base_stride: int = 1,
    allow_seen: bool = False,
    groups: tuple[object, ...] | None = None,
    at_least: int = 2,
) -> ComparisonPlan:
    """Find the versions, and check that they can be compared on ``rows``.

    Args:
        registry: where the versions are.
        references: two or more.
        rows: held-out rows.
        score: a score's name; without it the one that fits the rows.
        judge: the server of the judge, for the score ``judge:MODEL``.
        include_base: ask the bare base too.
        base_stride: ask the base one row in so many.
        allow_seen: score rows that the versions know from training.
        groups: for each row the group that it belongs to; of ``row_groups``.
        at_least: how many versions there must be.

    Raises:
        NotFound: no such version.
        BadReference: a reference is malformed.
        UsageError: too few versions, no such score, or answers that are not text.
        Conflict: the versions are of different bases.
        GateRefused: a version was trained on some of the rows.
    """
    check_texts(rows)
    chosen = find_score(score, judge) if score else fitting_score(row.completion for row in rows)
    versions, base = _contenders(registry, references, at_least)
    seen = check_unseen(registry, versions, rows, allow=allow_seen)
    subjects = [Subject(model=version.reference, digest=version.digest) for version in versions]
    if include_base:
        subjects.append(Subject(model=base.name, stride=base_stride))
    return ComparisonPlan(versions, base, tuple(subjects), rows, chosen, seen, groups)


def _contenders(registry: Registry, references: Sequence[str], at_least: int) -> tuple[tuple[Version, ...], Base]:
    """The versions that the references name, each once, and their common base."""
    named = [registry.resolve(reference) for reference in references]
    versions = tuple({version.reference: version for version in named}.values())
    if len(versions) < at_least:
        only = f" ({' and '.join(references)} is {versions[0].reference})" if len(references) > 1 else ""
        raise UsageError(
            f"A comparison needs two different versions or more{only}; name another reference, for example "
            f"{versions[0].adapter if versions else 'support'}@r16.",
            code="nothing_to_compare",
        )
    first = versions[0]
    for other in versions[1:]:
        if other.base_fingerprint != first.base_fingerprint:
            raise Conflict(
                f"{first.reference} belongs to {first.base!r} and {other.reference} to {other.base!r}; "
                "one engine holds one base, so compare versions of the same.",
                code="other_base",
            )
    return versions, registry.base(first.base)

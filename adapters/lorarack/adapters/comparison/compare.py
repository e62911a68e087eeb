"""The operation behind ``lorarack compare``: from references and an evaluation to a verdict, kept in the registry."""

from collections.abc import Sequence

from lorarack.adapters.comparison.candidates import candidates
from lorarack.adapters.comparison.report import Comparison
from lorarack.adapters.comparison.seen import SEEN_SPLIT, SeenRows
from lorarack.adapters.comparison.verdict import decide
from lorarack.adapters.evaluation.answers import Evaluation, Subject
from lorarack.registry import Base, Metric, Registry, Version
from lorarack.registry.errors import Conflict, UsageError


def contenders(registry: Registry, references: Sequence[str]) -> tuple[tuple[Version, ...], Base]:
    """The versions that the references name, each once, and the base that they all stand on.

    Raises:
        UsageError: they name fewer than two versions. Conflict: they stand on different bases. Else like ``resolve``.
    """
    named = [registry.resolve(reference) for reference in references]
    versions = tuple({version.reference: version for version in named}.values())
    if len(versions) < 2:
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
                f"{first.reference} stands on {first.base!r} and {other.reference} on {other.base!r}; "
                "one engine holds one base, so compare versions of the same.",
                code="other_base",
            )
    return versions, registry.base(first.base)


def subjects(versions: Sequence[Version], base: Base | None) -> tuple[Subject, ...]:
    """Who to ask: the versions by their exact references, and the base if it is given."""
    asked = [Subject(model=version.reference, digest=version.digest) for version in versions]
    return (*asked, *([Subject(model=base.name)] if base else []))


def conclude(evaluation: Evaluation, versions: Sequence[Version], seen: Sequence[SeenRows] = ()) -> Comparison:
    """What the evaluation says about the versions; ``seen`` are rows that they know from training.

    Raises:
        UsageError: fewer than two versions.
    """
    lines = candidates(evaluation, versions)
    verdict = decide(lines, binary=evaluation.binary)
    warnings = [f"{one.sentence}: its score says nothing about new rows." for one in seen]
    return Comparison(
        score=evaluation.score,
        dataset=evaluation.dataset.model_copy(update={"split": _split(seen)}),
        candidates=lines,
        verdict=verdict.model_copy(update={"warnings": (*verdict.warnings, *warnings)}),
    )


def record(
    registry: Registry, evaluation: Evaluation, versions: Sequence[Version], seen: Sequence[SeenRows] = ()
) -> None:
    """Keep each version's score in the registry, as a metric with the data set's digest.

    Its split is ``test``, or ``seen`` where the versions know rows of it from training, so that nothing ranks the two together.
    """
    for version in versions:
        metric = Metric(
            name=evaluation.score,
            split=_split(seen),
            value=evaluation.of(version.reference).mean,
            dataset=evaluation.dataset.digest,
            higher_is_better=True,
        )
        registry.add_metrics(version.reference, [metric])


def _split(seen: Sequence[SeenRows]) -> str:
    return SEEN_SPLIT if seen else "test"

"""The evaluations of a version that are kept beside the registry, so that later gates and pages can read them row by row.

They lie in ``evaluations/`` of the registry's folder (of ``LORARACK_HOME`` where the registry is none), one file for each
version, data set and score; a later evaluation of the same takes the place of the earlier one.
"""

import hashlib
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import NamedTemporaryFile

from pydantic import ValidationError

from lorarack.adapters.evaluation.answers import Answer, Evaluation, JudgeReport
from lorarack.registry import Registry
from lorarack.registry.errors import StoreError
from lorarack.registry.evaluations import evaluations_folder
from lorarack.registry.value import Value
from lorarack.registry.values import Dataset, Version

FORMAT = 1


class KeptEvaluation(Value):
    """What a version answered to the rows of a data set, in their order, and what that was worth.

    ``groups`` has the group of each row, None where it stands for itself.
    """

    format: int = FORMAT
    version: str
    digest: str
    dataset: Dataset
    score: str
    higher_is_better: bool
    made_at: datetime
    answers: tuple[Answer, ...]
    judge: JudgeReport | None = None
    groups: tuple[str | int | float | None, ...] | None = None

    @property
    def label(self) -> str:
        """The metric's label: ``test/json_exact``."""
        return f"{self.dataset.split}/{self.score}"

    def groups_or(self, other: "KeptEvaluation") -> tuple[object, ...] | None:
        """The groups of the rows, or those of another evaluation of the same rows; rows without one stand for themselves."""
        groups = self.groups or other.groups
        return groups and tuple(("row", place) if group is None else group for place, group in enumerate(groups))


def keep_evaluation(
    registry: Registry,
    version: Version,
    evaluation: Evaluation,
    dataset: Dataset,
    groups: Sequence[object] | None = None,
) -> None:
    """Keep what ``version`` answered in ``evaluation``.

    Args:
        registry: whose version it is.
        version: one that was evaluated.
        evaluation: of it and maybe of others.
        dataset: the rows, with the split under which the score is kept.
        groups: for each row the group that it belongs to.

    Raises:
        StoreError: it cannot be written.
    """
    kept = KeptEvaluation(
        version=version.reference,
        digest=version.digest,
        dataset=dataset,
        score=evaluation.score,
        higher_is_better=evaluation.higher_is_better,
        made_at=datetime.now(UTC),
        answers=evaluation.of(version.reference).answers,
        judge=evaluation.of(version.reference).judge,
        groups=None if groups is None else tuple(_plain(group) for group in groups),
    )
    name = hashlib.sha256(f"{dataset.digest} {kept.label}".encode()).hexdigest()
    path = _folder(registry, version) / f"{name}.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=path.parent, prefix=".new-", delete=False) as file:
            try:
                file.write(kept.model_dump_json().encode("utf-8", "backslashreplace"))
                file.flush()
                os.fsync(file.fileno())
                os.replace(file.name, path)
            except BaseException:
                os.unlink(file.name)
                raise
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror or error}.") from error


def kept_evaluations(registry: Registry, version: Version) -> tuple[KeptEvaluation, ...]:
    """Those that are kept of a version, the latest first.

    Raises:
        StoreError: a file is damaged or cannot be read.
    """
    found = []
    for path in _folder(registry, version).glob("[!.]*.json"):
        try:
            found.append(KeptEvaluation.model_validate_json(path.read_bytes()))
        except (OSError, ValidationError) as error:
            raise StoreError(
                f"{path} is not an evaluation that can be read; delete it, and evaluate {version.reference} again."
            ) from error
    return tuple(sorted(found, key=lambda kept: kept.made_at, reverse=True))


def _folder(registry: Registry, version: Version) -> Path:
    """By the digest of the weights: numbers of another registry in the same home are other versions."""
    return evaluations_folder(registry.location) / version.digest.removeprefix("sha256:")


def _plain(group: object) -> str | int | float | None:
    return group if isinstance(group, str | int | float) else None

"""The comparison's answers, kept: the same versions, rows and limits need not be asked again."""

import os
from pathlib import Path

from pydantic import ValidationError

from lorarack.adapters.evaluation.answers import Evaluation, Subject


def load_answers(
    path: Path, subjects: tuple[Subject, ...], digest: str, score: str, max_tokens: int
) -> Evaluation | None:
    """The evaluation in ``path`` if it is of just these, else None."""
    try:
        found = Evaluation.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError):  # none yet, or of another version of lorarack
        return None
    same = (
        tuple(result.subject for result in found.results) == subjects
        and found.dataset.digest == digest
        and found.score == score
        and found.max_tokens == max_tokens
    )
    return found if same else None


def save_answers(path: Path, evaluation: Evaluation) -> None:
    """Write the evaluation to ``path``, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text(evaluation.model_dump_json(indent=1), encoding="utf-8")
    os.replace(new, path)

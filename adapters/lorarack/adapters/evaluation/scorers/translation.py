"""BLEU and chrF of one answer, as sacrebleu computes them for a sentence, from 0 to 1."""

from functools import cache
from typing import Any

from lorarack.registry.errors import UsageError


def bleu(answer: str, expected: str) -> float:
    """Sentence BLEU with sacrebleu's defaults and effective order: n-grams longer than the answer do not count."""
    return _score(_bleu(), answer, expected)


def chrf(answer: str, expected: str) -> float:
    """Sentence chrF with sacrebleu's defaults: F2 of character n-grams up to 6, white space ignored."""
    return _score(_chrf(), answer, expected)


def _score(metric: Any, answer: str, expected: str) -> float:
    if not answer.strip() or not expected.strip():
        return float(answer.strip() == expected.strip())
    return min(1.0, max(0.0, metric.sentence_score(answer, [expected]).score / 100))


@cache
def _bleu() -> Any:
    return _metrics().BLEU(effective_order=True)


@cache
def _chrf() -> Any:
    return _metrics().CHRF()


def _metrics() -> Any:
    try:
        from sacrebleu import metrics
    except ImportError as error:
        raise UsageError(
            "The scores bleu and chrf need the package 'sacrebleu'; install it with: pip install 'lorarack[compare]'.",
            code="not_installed",
        ) from error
    return metrics

"""How fast a version answered, in the batches that it shared with the others."""

from collections.abc import Sequence

import numpy as np

from lorarack.adapters.comparison.verdict import Quantiles, Speed
from lorarack.adapters.evaluation.answers import Answers


def speed_of(answers: Answers) -> Speed | None:
    """Of one version; None where nothing was generated, or the answers are of an evaluation that did not measure it."""
    first = _quantiles([answer.first_token for answer in answers.answers])
    if first is None:
        return None
    return Speed(ttft=first, itl=_quantiles([answer.between_tokens for answer in answers.answers]))


def _quantiles(seconds: Sequence[float | None]) -> Quantiles | None:
    known = [value for value in seconds if value is not None]
    if not known:
        return None
    median, high = np.quantile(known, (0.5, 0.95)).tolist()
    return Quantiles(median=median, p95=high)

"""The error rate of the test of graded scores, counted through every outcome: nothing is drawn, so nothing passes by luck.

The scores are the hardest ones known: small gains, to which the test's weights are fitted, hide rare large losses. On each row
the version loses ``loss``, gains ``gain`` or is equal, with a true mean of exactly minus the margin.
"""

from functools import cache

import numpy as np
import pytest
from scipy.stats import multinomial

from lorarack.adapters.comparison.paired import Graded

pytestmark = pytest.mark.thorough

#: Levels of two to six versions, by Holm's steps.
LEVELS = (0.05, 0.025, 0.05 / 3, 0.0125, 0.01)


@cache
def outcomes(rows: int, gain: float, gaining: float, loss: float, margin: float) -> tuple[tuple[float, float], ...]:
    """The probability of each outcome that may be rejected, and its p-value; ``gaining``: of the rows that are not lost."""
    lost = (margin + gain * gaining) / (loss + gain * gaining)
    chances = np.array([lost, (1 - lost) * gaining, (1 - lost) * (1 - gaining)])
    losses, gains = (axis.ravel() for axis in np.meshgrid(np.arange(rows + 1), np.arange(rows + 1)))
    counts = np.column_stack([losses, gains, rows - losses - gains])[losses + gains <= rows]
    probable = multinomial(rows, chances).pmf(counts)
    found = []
    for some, probability in zip(counts[probable > 1e-7], probable[probable > 1e-7], strict=True):
        values = np.repeat([-loss, gain, 0.0], some)
        if values.mean() + margin > values.std() / np.sqrt(rows):  # else its p-value is far above every level
            found.append((float(probability), Graded(values, np.ones(rows)).p_value(-margin)))
    return tuple(found)


@pytest.mark.parametrize("rows", [10, 30, 60])
@pytest.mark.parametrize("margin", [0.02, 0.05, 0.1])
def test_a_version_at_the_margin_is_rarely_called_not_worse(rows: int, margin: float) -> None:
    for gain in (0.02, 0.1, 0.3):
        for gaining in (0.1, 0.4, 0.8):
            for loss in (1.0, 0.5):
                if (margin + gain * gaining) / (loss + gain * gaining) > 0.5:
                    continue
                found = outcomes(rows, gain, gaining, loss, margin)
                for level in LEVELS:
                    rate = sum(probability for probability, p in found if p <= level)
                    assert rate <= level, (gain, gaining, loss, level)


def test_without_ties_by_a_tenth_it_would_not_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Why sums that are nearly equal count as equal: else a nominal 2.5 % were 3.5 %."""
    monkeypatch.setattr("lorarack.adapters.comparison.tilted_test._EQUAL", 0.0)
    found = outcomes.__wrapped__(60, 0.02, 0.1, 1.0, 0.05)
    assert sum(probability for probability, p in found if p <= 0.025) > 0.034

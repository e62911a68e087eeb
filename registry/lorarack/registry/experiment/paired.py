"""What pairs say: requests that both arms of a pair answered, one of them in shadow, with feedback on the answer that was returned.

Where both gave the same answer, the difference of their scores is 0, whatever was said. Where the answers differ, only one of them
has a score ``y``, and chance chose which: the challenger's with probability ``share``. Then

    x = (y - 1/2) / share         where the challenger's answer was returned
    x = (1/2 - y) / (1 - share)   where the reference's was

has the difference of their two scores as its mean, given the request. Its variance is about the share of differing answers, not
that of the scores: arms that answer alike are told apart, or found equal, by few requests. With 50 to 50 and scores of 0 and 1 it
is -1, 0 or 1.

Each ``share`` that was in force is a kind of observation by itself, with a largest value of its own; so weights may change.
"""

from functools import reduce

import numpy as np
from pydantic import Field

from lorarack.registry.experiment.evidence import Floats, log_wealths_above, log_wealths_above_from_sums, spread
from lorarack.registry.value import Value

_HALVINGS = 24  # of [-1, 1]: finer than 1e-6


class Sums(Value):
    """Sums over the scores of one arm's answers, where the other's differ: of ``y - 1/2`` and of its square."""

    count: float = 0.0
    total: float = 0.0
    squares: float = 0.0

    def observe(self, score: float) -> "Sums":
        """With one more score."""
        centred = score - 0.5
        return Sums(count=self.count + 1, total=self.total + centred, squares=self.squares + centred**2)


class Stratum(Value):
    """Pairs that came while the challenger had one share of the requests of both."""

    share: float
    same: float = 0.0
    challenger: Sums = Field(default=Sums(), description="differing answers, the challenger's returned")
    reference: Sums = Field(default=Sums(), description="differing answers, the reference's returned")

    @property
    def count(self) -> float:
        """Pairs."""
        return self.same + self.challenger.count + self.reference.count

    @property
    def total(self) -> float:
        """The sum of ``x``."""
        return self.challenger.total / self.share - self.reference.total / (1 - self.share)

    def swapped(self) -> "Stratum":
        """With challenger and reference changed over."""
        return Stratum(share=1 - self.share, same=self.same, challenger=self.reference, reference=self.challenger)

    def log_wealths_above(self, bound: float, *, graded: bool) -> Floats:
        """Of each bet, the log wealth against a mean of ``x`` of ``bound`` or less."""
        largest = 0.5 / min(self.share, 1 - self.share)
        if graded:
            # Empirical Bernstein on (x + largest) / (2 largest), which is in [0, 1], around an estimate of 1/2: x of 0.
            squares = self.challenger.squares / self.share**2 + self.reference.squares / (1 - self.share) ** 2
            scale = 1 / (2 * largest)
            sums = (scale * self.count, scale * self.total, scale**2 * squares)
            return log_wealths_above_from_sums(bound, *(np.asarray(each) for each in sums))
        mine, theirs = 0.5 / self.share, 0.5 / (1 - self.share)
        counts = [self.same, *_right_and_wrong(self.challenger), *_right_and_wrong(self.reference)]
        return log_wealths_above(bound, np.array([0.0, mine, -mine, -theirs, theirs]), np.array(counts), -largest)


class PairedScores(Value):
    """All pairs of a challenger and a reference."""

    graded: bool = False
    strata: tuple[Stratum, ...] = ()

    @property
    def count(self) -> float:
        """Pairs."""
        return sum(stratum.count for stratum in self.strata)

    @property
    def difference(self) -> float | None:
        """The estimated difference of the means, challenger minus reference; None of no pairs."""
        return sum(stratum.total for stratum in self.strata) / self.count if self.count else None

    def observe(self, score: float, share: float, *, same: bool, of_challenger: bool) -> "PairedScores":
        """With one more pair.

        Args:
            score: of the answer that was returned, from 0 to 1.
            share: the challenger's, of the requests that either of the two would have been returned for; above 0 and below 1.
            same: both gave that answer.
            of_challenger: the challenger's answer was returned; otherwise the reference's.
        """
        found = next((each for each in self.strata if each.share == share), Stratum(share=share))
        if same:
            more = found.model_copy(update={"same": found.same + 1})
        else:
            side = "challenger" if of_challenger else "reference"
            more = found.model_copy(update={side: getattr(found, side).observe(score)})
        others = tuple(each for each in self.strata if each.share != share)
        return PairedScores(graded=self.graded, strata=(*others, more))

    def swapped(self) -> "PairedScores":
        """With challenger and reference changed over."""
        return PairedScores(graded=self.graded, strata=tuple(stratum.swapped() for stratum in self.strata))

    def log_above(self, bound: float) -> float:
        """The log evidence that the challenger's mean is more than ``bound`` above the reference's; ``bound`` above -1."""
        wealths = [stratum.log_wealths_above(bound, graded=self.graded) for stratum in self.strata]
        return float(spread(reduce(np.add, wealths))) if wealths else 0.0

    def lower_bound(self, level: float) -> float:
        """The largest difference against which the evidence that it is more reaches ``level``; -1 if there is none."""
        low, high = -1.0, 1.0
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if self.log_above(middle) >= level else (low, middle)
        return low


def expected_pairs(count: float, differing: float, share: float) -> PairedScores:
    """What ``count`` pairs of equally good arms give on average, where ``differing`` of their answers differ and half are right."""

    def half_right(of_these: float) -> Sums:
        return Sums(count=of_these, squares=0.25 * of_these)

    stratum = Stratum(
        share=share,
        same=count * (1 - differing),
        challenger=half_right(count * differing * share),
        reference=half_right(count * differing * (1 - share)),
    )
    return PairedScores(strata=(stratum,))


def _right_and_wrong(sums: Sums) -> tuple[float, float]:
    return sums.count / 2 + sums.total, sums.count / 2 - sums.total

"""Right or wrong by the text itself: equal to the expected one, or matching a pattern."""

from collections.abc import Callable

import regex

from lorarack.registry.errors import UsageError

#: A pattern that takes longer on one answer is refused; some patterns take exponential time.
_SECONDS = 2.0


def exact_match(answer: str, expected: str) -> float:
    """1 when the texts are equal, white space at both ends aside."""
    return float(answer.strip() == expected.strip())


def matches(pattern: str) -> Callable[[str, str], float]:
    """1 when the pattern is found in the answer; ``^`` and ``$`` anchor it. The expected text does not matter.

    Raises:
        UsageError: the pattern is none, or (when called) takes too long.
    """
    try:
        compiled = regex.compile(pattern)
    except regex.error as error:
        raise UsageError(
            f"--score regex: {pattern!r} is not a regular expression: {error}.", code="bad_score"
        ) from error

    def score(answer: str, _: str) -> float:
        try:
            return float(compiled.search(answer, timeout=_SECONDS) is not None)
        except TimeoutError as error:
            raise UsageError(
                f"--score regex: {pattern!r} takes more than {_SECONDS:.0f} s on one answer; write a simpler pattern.",
                code="bad_score",
            ) from error

    return score

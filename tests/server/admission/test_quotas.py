"""An adapter or a key has so many requests at once and so many tokens a minute, and no more over time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorarack.registry.errors import RateLimited
from lorarack.server.admission.quotas import Quotas


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_without_limits_everything_goes() -> None:
    quotas = Quotas("adapter", None, None)
    for _ in range(100):
        quotas.spend("a", 10**9)
        with quotas.held("a"), quotas.held("a"):
            pass


def test_so_many_at_once_and_others_are_not_concerned() -> None:
    quotas = Quotas("adapter", 2, None)
    with quotas.held("a"), quotas.held("a"):
        with pytest.raises(RateLimited, match="2 requests of the adapter 'a' run already") as refused, quotas.held("a"):
            raise AssertionError("let in")
        assert refused.value.retry_after == 1
        with quotas.held("b"):
            pass
    with quotas.held("a"):
        pass


def test_a_request_that_fails_gives_its_place_back() -> None:
    quotas = Quotas("key", 1, None)
    for _ in range(3):
        with pytest.raises(ValueError, match="x"), quotas.held("a"):
            raise ValueError("x")


def test_what_was_spent_is_paid_before_the_next_one() -> None:
    clock = Clock()
    quotas = Quotas("key", None, 60, clock)
    with quotas.held("a"):
        pass
    quotas.spend("a", 90)
    with pytest.raises(RateLimited, match="'a' has used its 60 tokens a minute") as refused, quotas.held("a"):
        raise AssertionError("let in")
    assert refused.value.retry_after == 31
    with quotas.held("b"):
        pass
    clock.now += refused.value.retry_after
    with quotas.held("a"):
        pass


def test_a_whole_minute_can_be_saved_up_and_not_more() -> None:
    clock = Clock()
    quotas = Quotas("key", None, 60, clock)
    quotas.spend("a", 1)
    clock.now += 3600
    quotas.spend("a", 60)
    with pytest.raises(RateLimited), quotas.held("a"):
        raise AssertionError("let in")


@given(st.lists(st.tuples(st.floats(0, 20), st.integers(0, 200)), max_size=60))
def test_over_time_nobody_gets_more_than_the_limit(requests: list[tuple[float, int]]) -> None:
    """A saved minute and one request's overshoot aside; and who waits as long as it is told is let in."""
    clock = Clock()
    quotas = Quotas("key", None, 120, clock)
    spent = 0
    for pause, tokens in requests:
        clock.now += pause
        try:
            with quotas.held("a"):
                pass
        except RateLimited as refused:
            clock.now += refused.retry_after
            with quotas.held("a"):
                pass
        quotas.spend("a", tokens)
        spent += tokens
        assert spent <= 120 + 200 + clock.now * 2


def test_who_has_all_its_tokens_left_is_forgotten() -> None:
    clock = Clock()
    quotas = Quotas("key", None, 60, clock)
    for number in range(5000):
        quotas.spend(f"a{number}", 1)
        clock.now += 1
    assert len(quotas._budgets) <= 1001

"""Splits that share nothing."""

import pytest

from lorarack.adapters.data import Row, Rows, check_leaks, split_rows
from lorarack.registry.errors import UsageError


def _rows(*prompts: str) -> Rows:
    return Rows("rows.jsonl", tuple(Row(completion="x", prompt=prompt) for prompt in prompts))


def test_a_split_is_whole_repeatable_and_moves_with_the_seed() -> None:
    """Every row lands on exactly one side; the same seed sets aside the same rows."""
    rows = _rows(*(str(number) for number in range(100)))
    train, aside = split_rows(rows, 0.2, seed=1)
    assert len(aside) == 20
    assert sorted([*train, *aside], key=repr) == sorted(rows, key=repr)
    assert split_rows(rows, 0.2, seed=1) == (train, aside)
    assert split_rows(rows, 0.2, seed=2)[1] != aside


def test_equal_questions_stay_together() -> None:
    """A question that appears twice cannot be on both sides."""
    rows = _rows(*(str(number % 10) for number in range(40)))
    train, aside = split_rows(rows, 0.3, seed=0)
    assert len(aside) == 12
    assert not {row.question for row in train} & {row.question for row in aside}


def test_neither_side_is_ever_empty() -> None:
    train, aside = split_rows(_rows("a", "b"), 0.01, seed=0)
    assert len(train) == len(aside) == 1
    with pytest.raises(UsageError, match="too few different rows"):
        split_rows(_rows("a", "a"), 0.5, seed=0)


def test_shared_rows_are_refused_with_their_number_and_place() -> None:
    """A leak names split, count and the first row; splits that share nothing pass."""
    train = _rows("a", "b")
    check_leaks(train, [("validation", _rows("c")), ("test", _rows("d"))])
    with pytest.raises(UsageError, match=r"2 of the 3 test rows .* \(the first is row 2\)"):
        check_leaks(train, [("validation", _rows("c")), ("test", _rows("d", "a", "b"))])

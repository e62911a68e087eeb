"""What is counted of a split: repeated rows, several answers, near copies of training rows, lengths."""

import random
from dataclasses import replace

from lorarack.adapters.data import Message, PromptOptions, Row, Rows
from lorarack.adapters.data import overlap as module
from lorarack.adapters.data.overlap import near_rows
from lorarack.adapters.data.report import lengths, report_split

WORDS = [*"abcdefgh"]


def _rows(*prompts: str, name: str = "rows.jsonl") -> Rows:
    return Rows(name, tuple(Row(completion="x", prompt=prompt) for prompt in prompts))


def test_near_rows_are_found_whatever_their_case_and_punctuation() -> None:
    train = _rows("Please change the delivery address of my order to the new office", "hi")
    near = "please change the delivery address of my order, to the new office!"
    assert [(found.place, found.train_place) for found in near_rows(train, _rows("something else", near, "Hi!"))] == [
        (2, 1),
        (3, 2),
    ]
    other = "please change the billing name of my account to the old owner"
    assert near_rows(train, _rows(other)) == ()


def test_all_near_rows_are_found_as_by_comparing_each_with_each() -> None:
    pick = random.Random(0)
    for _ in range(100):
        train = [Row("x", prompt=" ".join(pick.choices(WORDS, k=pick.randint(1, 14)))) for _ in range(15)]
        others = [Row("x", prompt=f"{row.prompt} {pick.choice(WORDS)}") for row in train[:6]] + train[:1]
        known = [module._runs(row.question) for row in train]
        wanted = [
            place
            for place, row in enumerate(others, start=1)
            if any(module._alike(module._runs(row.question), runs) for runs in known)
        ]
        assert [found.place for found in near_rows(train, others)] == wanted


def test_repeated_rows_and_questions_with_several_answers_are_counted_and_said() -> None:
    rows = Rows("r.jsonl", (Row("x", prompt="a"), Row("x", prompt="a"), Row("y", prompt="a"), Row("z", prompt="b")))
    report, notes = report_split("train", rows, None)
    assert (report.repeated, report.conflicting, report.near_train) == (1, 1, None)
    assert [note.partition(": ")[2] for note in notes] == [
        "1 of 4 train rows repeat an earlier one; each counts again.",
        "1 questions of the train rows have more than one answer.",
    ]
    report, notes = report_split("validation", _rows("what is the name of it"), _rows("What is the name of it?"))
    assert report.near_train == 1
    assert (
        "1 of the 1 validation rows are nearly the same as training rows (the first is row 1, like row 1 of" in notes[0]
    )


def test_lengths_are_of_rows_that_are_there() -> None:
    found = lengths([5, 1, 2, 3, 100], 7)
    assert found.to_json() == {"median": 3, "p95": 100, "longest": 100, "total": 111, "learned": 7}


def _random_texts(count: int, words: int = 4) -> list[str]:
    pick = random.Random(1)
    return [" ".join(f"w{pick.randrange(10_000)}" for _ in range(words)) for _ in range(count)]


OPENING = " ".join(f"rule{number}" for number in range(80))


def test_a_system_message_that_rows_share_makes_them_not_alike() -> None:
    """Nor do tools and template arguments; a row that is asked again is still found."""
    options = PromptOptions(({"type": "function", "function": {"name": "f", "description": OPENING}},))
    rows = [
        Row("x", messages=(Message("system", OPENING), Message("user", text)), options=options)
        for text in _random_texts(33)
    ]
    assert near_rows(rows[:30], rows[30:]) == ()
    again = replace(rows[4], messages=(Message("system", OPENING), Message("user", f"{rows[4].messages[1].text}!")))
    assert [(near.place, near.train_place) for near in near_rows(rows[:30], [*rows[30:], again])] == [(4, 5)]


def test_an_opening_that_rows_share_makes_them_not_alike() -> None:
    """Also one of more words than are compared; a row without the opening is compared whole."""
    for opening in (OPENING, " ".join([OPENING] * 6)):
        rows = [Row("x", prompt=f"{opening} {text}") for text in _random_texts(33)]
        rows[7] = Row("x", prompt="please change the delivery address of my order to the new office")
        assert near_rows(rows[:30], rows[30:]) == ()
        again = [Row("x", prompt=f"{row.prompt}!") for row in (rows[3], rows[7])]
        assert [near.train_place for near in near_rows(rows[:30], again)] == [4, 8]


def test_a_system_message_of_one_row_counts() -> None:
    texts = _random_texts(4, 30)
    train = [Row("x", messages=(Message("system", text), Message("user", "go on please now"))) for text in texts[:3]]
    other = Row("x", messages=(Message("system", texts[3]), Message("user", "go on please now")))
    assert near_rows(train, [other]) == ()
    assert [near.train_place for near in near_rows(train, [other, train[1]])] == [2]

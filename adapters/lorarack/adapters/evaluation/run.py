"""The same rows asked of several versions in one mixed batch, and scored."""

from collections.abc import Callable, Sequence

from lorarack.adapters.data.rows import Row, Rows
from lorarack.adapters.evaluation.answers import Answer, Answers, Evaluation, Reply, Subject
from lorarack.adapters.evaluation.client import Question, ServerClient
from lorarack.adapters.evaluation.scores import Score
from lorarack.registry.errors import Conflict, UsageError
from lorarack.registry.values import Dataset


def evaluate(
    subjects: Sequence[Subject],
    rows: Rows,
    score: Score,
    client: ServerClient,
    done: Callable[[int], None] = lambda _: None,
) -> Evaluation:
    """Ask the rows of every subject, and score the answers.

    The requests go out row by row, each row to all subjects before the next, so that every batch of the engine holds
    them all: what load or noise there is falls on all alike.

    Args:
        subjects: who is asked.
        rows: what, and the answers expected.
        score: what an answer is worth.
        client: the server.
        done: called after each answer with the number of answers so far, of ``how_many(subjects, rows)``.

    Raises:
        UsageError: an answer to score is no text.
        Conflict: the server answered with another version than was asked for. Else like ``ServerClient.ask``.
    """
    check_texts(rows)
    asked = [(subject, row) for place, row in enumerate(rows) for subject in subjects if place % subject.stride == 0]
    replies = client.ask([Question(subject.asked_as or subject.model, row) for subject, row in asked], done)
    scored: dict[str, list[Answer]] = {subject.model: [] for subject in subjects}
    for (subject, row), reply in zip(asked, replies, strict=True):
        scored[subject.model].append(_scored(subject, row, reply, score))
    return Evaluation(
        score=score.name,
        binary=score.binary,
        dataset=Dataset(split="test", name=rows.name, rows=len(rows), digest=rows.digest),
        max_tokens=client.max_tokens,
        results=tuple(Answers(subject=subject, answers=tuple(scored[subject.model])) for subject in subjects),
    )


def check_texts(rows: Rows) -> None:
    """Refuse rows whose answer calls tools: scores are of texts.

    Raises:
        UsageError: names the first such row.
    """
    called = next((row for row in rows if row.answer_message.tool_calls), None)
    if called:
        raise UsageError(
            f"{rows.where(called)}: its answer calls tools, and scores are of texts; leave out such rows to compare.",
            code="bad_data",
        )


def how_many(subjects: Sequence[Subject], rows: Rows) -> int:
    """The number of questions in an evaluation."""
    return sum(-(-len(rows) // subject.stride) for subject in subjects)


def _scored(subject: Subject, row: Row, reply: Reply, score: Score) -> Answer:
    _check_identity(subject, reply)
    value = score.of(reply.text, row.completion)
    return Answer(text=reply.text, score=value, tokens=reply.tokens, cut_off=reply.cut_off)


def _check_identity(subject: Subject, reply: Reply) -> None:
    """An answer of other weights would be scored under a wrong name."""
    same_bytes = subject.digest is None or reply.digest in (None, subject.digest)
    if reply.model != subject.model or not same_bytes:
        raise Conflict(
            f"Asked for {subject.model}, the server answered with {reply.model} ({reply.digest or 'no digest'}); "
            "it stands on another registry than this one. Name its registry with --registry, or leave out --url.",
            code="other_version",
        )

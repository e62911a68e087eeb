"""The same rows asked of several versions in one mixed batch, and scored."""

from collections.abc import Callable, Mapping, Sequence

from lorarack.adapters.data.rows import Row, Rows
from lorarack.adapters.evaluation.answers import Answer, Answers, Evaluation, Reply, Subject
from lorarack.adapters.evaluation.client import Question, ServerClient
from lorarack.adapters.evaluation.judge import Judge, Opinion, Pair, worth
from lorarack.adapters.evaluation.saved import SavedEvaluation
from lorarack.adapters.evaluation.scores import Score
from lorarack.registry.errors import Conflict, UsageError
from lorarack.registry.values import Dataset

#: What of a reply stays with its score.
_KEPT = {"text", "tokens", "cut_off", "first_token", "between_tokens"}


def ask_and_score(
    subjects: Sequence[Subject],
    rows: Rows,
    score: Score,
    client: ServerClient,
    done: Callable[[int], None] = lambda _: None,
    saved: SavedEvaluation | None = None,
    judged: Callable[[int, int], None] = lambda _, __: None,
) -> Evaluation:
    """Ask the rows of every subject, and score the answers.

    The requests go out row by row, each row to all subjects before the next, so that every batch of the engine holds
    them all: load and noise fall on all alike.

    Args:
        subjects: the versions, and the base if wanted.
        rows: the prompts and the expected answers.
        score: how an answer is scored.
        client: the server.
        done: called after each answer with the number of answers so far, of ``request_count(subjects, rows)``.
        saved: where answers are kept as they arrive; those that it has are not asked for again.
        judged: called after each answer of a judge with the number of its answers so far, and of all.

    Raises:
        UsageError: an expected answer is not a text, or the server refused a request.
        Conflict: the server answered with another version than it was asked for, or does not serve that version.
        NotFound: the server knows no such model.
        NotServeable: it cannot serve it whole.
        NotAllowed: the key is missing or wrong.
        RateLimited: it wanted fewer requests in every try.
        Unavailable: no server there, or it failed a request in every try.
        StoreError: an answer cannot be kept.
    """
    check_texts(rows)
    asked = [(subject, place) for place in range(len(rows)) for subject in subjects if place % subject.stride == 0]
    replies: dict[int, Reply] = {}
    for index, (subject, place) in enumerate(asked):
        if saved and (reply := saved.known(subject, place, likelihood=score.likelihood)):
            replies[index] = reply
    already, missing = len(replies), [index for index in range(len(asked)) if index not in replies]

    def keep(number: int, reply: Reply) -> None:
        subject, place = asked[missing[number]]
        _check_identity(subject, reply)
        if saved:
            saved.keep(subject, place, reply)
        replies[missing[number]] = reply

    questions = [
        Question(subject.asked_as or subject.model, rows.rows[place], score.likelihood)
        for subject, place in map(asked.__getitem__, missing)
    ]
    done(already)
    if questions:
        client.ask(questions, lambda count: done(already + count), keep)
    answered = [(subject, rows.rows[place], replies[index]) for index, (subject, place) in enumerate(asked)]
    opinions = _opinions(score.judge, answered, saved, judged) if score.judge else {}
    return Evaluation(
        score=score.name,
        binary=score.binary,
        higher_is_better=score.higher_is_better,
        dataset=Dataset(split="test", name=rows.name, rows=len(rows), digest=rows.digest),
        max_tokens=client.max_tokens,
        results=tuple(
            _answers(subject, [(row, reply) for one, row, reply in answered if one is subject], score, opinions)
            for subject in subjects
        ),
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


def request_count(subjects: Sequence[Subject], rows: Rows) -> int:
    """The number of questions in an evaluation."""
    return sum(-(-len(rows) // subject.stride) for subject in subjects)


def _opinions(
    judge: Judge,
    answered: Sequence[tuple[Subject, Row, Reply]],
    saved: SavedEvaluation | None,
    judged: Callable[[int, int], None],
) -> dict[str, Opinion]:
    pairs = (_pair(row, reply) for _, row, reply in answered)
    if saved is None:
        return judge.opinions(pairs, {}, done=judged)
    return judge.opinions(pairs, saved.opinions, saved.keep_opinion, judged)


def _answers(
    subject: Subject, given: Sequence[tuple[Row, Reply]], score: Score, opinions: Mapping[str, Opinion]
) -> Answers:
    answers = tuple(
        Answer(score=_worth(row, reply, score, opinions), **reply.model_dump(include=_KEPT)) for row, reply in given
    )
    pairs = [_pair(row, reply) for row, reply in given] if score.judge else []
    return Answers(subject=subject, answers=answers, judge=score.judge and score.judge.report(pairs, opinions))


def _worth(row: Row, reply: Reply, score: Score, opinions: Mapping[str, Opinion]) -> float:
    if score.judge:
        return worth(_pair(row, reply), opinions)
    return score.of(reply.text, row.completion) if score.of else reply.nll or 0.0


def _pair(row: Row, reply: Reply) -> Pair:
    return Pair(row.question, row.completion, reply.text)


def _check_identity(subject: Subject, reply: Reply) -> None:
    """An answer of other weights would be scored under a wrong name."""
    same_bytes = subject.digest is None or reply.digest in (None, subject.digest)
    if reply.model != subject.model or not same_bytes:
        raise Conflict(
            f"{subject.model} was requested and {reply.model} ({reply.digest or 'no digest'}) answered: the server uses "
            "another registry. Name its registry with --registry, or leave out --url.",
            code="other_version",
        )

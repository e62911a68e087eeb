"""The values of an evaluation: models, answers and scores."""

from pydantic import Field

from lorarack.registry.value import Value
from lorarack.registry.values import Dataset


class Subject(Value):
    """Who is asked: an exact version (``orders@2``), or the base by its plain name.

    ``asked_as`` is another reference to the same version (``orders@r16``), to be used in the requests. With ``stride`` only
    one row in so many is asked, from the first on: enough for a base that stands beside as a yardstick.
    """

    model: str
    asked_as: str | None = None
    stride: int = Field(default=1, ge=1)
    digest: str | None = None  # of the version; None for the base


class Reply(Value):
    """What a server answered to one row. ``nll`` is set where the expected text was scored and nothing generated."""

    text: str
    tokens: int
    cut_off: bool  # stopped by the limit of tokens, not by the model
    model: str  # what the server says answered
    digest: str | None = None  # likewise, where the server says it
    nll: float | None = None  # negative log-likelihood of the expected text, per token
    first_token: float | None = None  # seconds from the request to the first text
    between_tokens: float | None = None  # mean seconds from one token to the next


class Answer(Value):
    """A reply and its score."""

    text: str
    score: float
    tokens: int
    cut_off: bool
    first_token: float | None = None
    between_tokens: float | None = None


class JudgeReport(Value):
    """Who judged, by which prompt (its digest), how many answers; how often turning the order changed its mind, and how often
    it said none of the letters."""

    model: str
    prompt: str
    judged: int
    contradicted: int
    unreadable: int


class Answers(Value):
    """All answers of one subject, in the order of the rows that it was asked; ``judge`` where a model judged them."""

    subject: Subject
    answers: tuple[Answer, ...]
    judge: JudgeReport | None = None

    @property
    def scores(self) -> tuple[float, ...]:
        """The scores, in the order of the answers."""
        return tuple(answer.score for answer in self.answers)

    @property
    def mean(self) -> float:
        """The mean score."""
        return sum(self.scores) / len(self.scores)

    @property
    def cut_off(self) -> int:
        """How many answers ran into the limit of tokens."""
        return sum(answer.cut_off for answer in self.answers)


class Evaluation(Value):
    """The same rows asked of several subjects and scored alike."""

    score: str
    binary: bool
    higher_is_better: bool = True
    dataset: Dataset
    max_tokens: int
    results: tuple[Answers, ...]

    def of(self, model: str) -> Answers:
        """The answers of that subject; ``KeyError`` when it was not asked."""
        for result in self.results:
            if result.subject.model == model:
                return result
        raise KeyError(model)

"""The scores there are, by name. To add one: a function in ``scorers/`` and a line here."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from lorarack.adapters.evaluation.judge import Judge, JudgeServer
from lorarack.adapters.evaluation.scorers.imported import imported
from lorarack.adapters.evaluation.scorers.json_schema import valid_under
from lorarack.adapters.evaluation.scorers.json_values import is_structure, json_exact, json_f1
from lorarack.adapters.evaluation.scorers.overlap import rouge_l, token_f1
from lorarack.adapters.evaluation.scorers.text import exact_match, matches
from lorarack.adapters.evaluation.scorers.translation import bleu, chrf
from lorarack.registry.errors import UsageError


@dataclass(frozen=True, slots=True)
class Score:
    """A way to score an answer.

    Attributes:
        name: the metric's name in the registry.
        sentence: what it measures.
        binary: whether an answer is either right (1) or wrong (0), with nothing between.
        of: the score of an answer, given the expected text; None where a judge says it, or where the expected text itself is
            scored by its likelihood.
        higher_is_better: if so, scores lie from 0 to 1; else they are losses from 0 on.
        judge: who says it.
    """

    name: str
    sentence: str
    binary: bool
    of: Callable[[str, str], float] | None
    higher_is_better: bool = True
    judge: Judge | None = None

    @property
    def likelihood(self) -> bool:
        """Whether nothing is generated, and the expected text is scored."""
        return self.of is None and self.judge is None


SCORES: Mapping[str, Score] = {
    score.name: score
    for score in (
        Score("exact_match", "the answer is the expected text", True, exact_match),
        Score("json_exact", "the answer is JSON for the expected value", True, json_exact),
        Score("json_f1", "F1 over the fields of the JSON", False, json_f1),
        Score("token_f1", "F1 over the words, as SQuAD counts them", False, token_f1),
        Score("bleu", "sentence BLEU", False, bleu),
        Score("chrf", "sentence chrF", False, chrf),
        Score("rouge_l", "F1 of the longest common subsequence of words", False, rouge_l),
        Score("nll", "negative log-likelihood of the expected text, per token", False, None, higher_is_better=False),
    )
}
#: Scores with an argument after a colon.
_WITH_ARGUMENT: Mapping[str, tuple[str, Callable[[str], Callable[[str, str], float]]]] = {
    "regex": ("PATTERN", matches),
    "json_schema": ("FILE", valid_under),
}
_NAMES = [*SCORES, *(f"{name}:{what}" for name, (what, _) in _WITH_ARGUMENT.items()), "MODULE:FUNCTION"]
#: For the help of a command; the second for one that asks no judge.
SCORE_NAMES, SCORE_NAMES_WITHOUT_JUDGE = ", ".join([*_NAMES, "judge:MODEL"]), ", ".join(_NAMES)


def find_score(name: str, judge: JudgeServer | None = None) -> Score:
    """The score of that name: ``json_f1``, ``regex:PATTERN``, ``json_schema:FILE``, ``judge:MODEL`` or ``MODULE:FUNCTION``.

    Args:
        name: of the score.
        judge: the server of ``judge:MODEL``.

    Raises:
        UsageError: there is none, and the sentence lists them; its argument is wrong; or a judge has no server.
        NotFound: the schema's file is not there.
    """
    if name in SCORES:
        return SCORES[name]
    family, colon, argument = name.partition(":")
    if family == "judge":
        return _judged(argument, judge)
    if family in _WITH_ARGUMENT:
        what, make = _WITH_ARGUMENT[family]
        if not argument:
            raise UsageError(f"--score {family} needs an argument: {family}:{what}.", code="unknown_score")
        function = make(argument)
        identity = Path(argument).read_text("utf-8") if family == "json_schema" else argument
        return Score(_metric_name(family, identity), f"{family} {argument}", True, function)
    if colon:
        function, higher = imported(name)
        return Score(_metric_name(argument, name), f"the scorer {name}", False, function, higher_is_better=higher)
    near = get_close_matches(name, [*SCORES, *_WITH_ARGUMENT, "judge"], n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise UsageError(f"There is no score {name!r}; there are {SCORE_NAMES}.{hint}", code="unknown_score")


def _judged(model: str, server: JudgeServer | None) -> Score:
    if not model:
        raise UsageError("--score judge needs an argument: judge:MODEL.", code="unknown_score")
    if server is None:
        raise UsageError(f"--score judge:{model} needs the judge's server; give --judge-url.", code="no_judge")
    judge = Judge(model, server)
    name = _metric_name("judge", judge.identity)
    return Score(name, f"{model} prefers the answer to the expected one", False, None, judge=judge)


def fitting_score(expected: Iterable[str]) -> Score:
    """``json_exact`` where every expected text is a JSON object or list, else ``exact_match``."""
    texts = list(expected)
    structured = bool(texts) and all(is_structure(text) for text in texts)
    return SCORES["json_exact" if structured else "exact_match"]


def _metric_name(kind: str, argument: str) -> str:
    """Two arguments make two metrics: their values must never be ranked against each other."""
    plain = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in kind)[:40].lstrip(
        "_0123456789"
    )
    return f"{plain or 'scorer'}-{hashlib.sha256(argument.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"

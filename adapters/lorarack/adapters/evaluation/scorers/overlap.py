"""Scores by the words that an answer shares with the expected text: token F1 and ROUGE-L."""

import re
import string
from collections import Counter
from collections.abc import Sequence

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def token_f1(answer: str, expected: str) -> float:
    """F1 of the words, as SQuAD counts them: lower case, without English articles and ASCII punctuation, in any order."""
    given, wanted = _squad_words(answer), _squad_words(expected)
    if not given or not wanted:
        return float(given == wanted)
    return 2 * (Counter(given) & Counter(wanted)).total() / (len(given) + len(wanted))


def rouge_l(answer: str, expected: str) -> float:
    """F1 of the longest common subsequence of words: lower case, letters and digits of any script, no stemming."""
    given, wanted = re.findall(r"\w+", answer.lower()), re.findall(r"\w+", expected.lower())
    if not given or not wanted:
        return float(given == wanted)
    return 2 * _common_subsequence(given, wanted) / (len(given) + len(wanted))


def _squad_words(text: str) -> list[str]:
    return _ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split()


def _common_subsequence(one: Sequence[str], other: Sequence[str]) -> int:
    """Its length, with one bit for each word of ``one`` (Hyyrö, "Bit-parallel LCS-length computation revisited", 2004)."""
    places: dict[str, int] = {}
    for index, word in enumerate(one):
        places[word] = places.get(word, 0) | 1 << index
    whole = (1 << len(one)) - 1
    row = whole
    for word in other:
        matched = row & places.get(word, 0)
        row = ((row + matched) | (row - matched)) & whole
    return len(one) - row.bit_count()

"""A thousand adapters in rotation on one server, next to eight that stay in their slots."""

import random
from collections.abc import Callable, Mapping, Sequence

from benchmarks.report import Row
from benchmarks.serving.place import FEW, Place, lora_flags, make_crowd
from benchmarks.serving.stream import Load, run
from benchmarks.serving.turns import medians, ratio_row

CROWD = 1000
_REQUESTS, _PROMPT, _OUTPUT = 64, 32, 32
_EXPONENT = 1.0
#: Host memory for fewer than all: then adapters are loaded again and again.
_PLACES = 64


def rotation(place: Place, rounds: int) -> list[Row]:
    """Tokens a second of 8 clients, where host memory holds all adapters."""
    found = _measure(place, CROWD, rounds)
    return [_row("all in host memory", name, found, goal) for name, goal in (("Zipf", 0.97), ("uniform", 0.9))]


def evictions(place: Place, rounds: int) -> list[Row]:
    """The same where host memory holds 64 of them, as by default, so that most requests of the uniform traffic load."""
    found = _measure(place, _PLACES, rounds)
    return [_row(f"{_PLACES} in host memory", name, found, None) for name in ("Zipf", "uniform")]


def _measure(place: Place, places: int, rounds: int) -> dict[str, float]:
    home, names = make_crowd(place, CROWD)
    traffics: dict[str, Callable[[random.Random], Sequence[str]]] = {
        "8 resident": lambda source: names[:FEW] * (_REQUESTS // FEW),
        "Zipf": lambda source: source.choices(names, [n**-_EXPONENT for n in range(1, CROWD + 1)], k=_REQUESTS),
        "uniform": lambda source: source.choices(names, k=_REQUESTS),
    }
    with place.ours(f"ours, {places} in host memory", *lora_flags(FEW, places), home=home) as arm:
        return medians("tokens/s", {name: _rate(arm.url, pick) for name, pick in traffics.items()}, rounds)


def _row(memory: str, traffic: str, found: Mapping[str, float], goal: float | None) -> Row:
    what = f"{CROWD} adapters in rotation, {memory}, {traffic} / 8 resident"
    return ratio_row(what, (found[traffic], found["8 resident"]), "tokens/s", at_least=goal)


def _rate(url: str, pick: Callable[[random.Random], Sequence[str]]) -> Callable[[int], float]:
    return lambda seed: run(url, Load(pick(random.Random(seed)), _PROMPT, _OUTPUT, clients=8), seed).tokens_per_second

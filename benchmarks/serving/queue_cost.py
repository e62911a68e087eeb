"""The queue before the real engine: throughput with it, and with a limit so high that nobody waits in it."""

from collections.abc import Callable, Sequence

from benchmarks.cpu_lora import arms
from benchmarks.report import Row
from benchmarks.serving.place import FEW, ROWS, Place, lora_flags
from benchmarks.serving.stream import Load, run
from benchmarks.serving.turns import medians, ratio_row

#: Many waves of requests: at first all end at once, and their rows are free at once.
_CLIENTS, _REQUESTS, _PROMPT, _OUTPUT = 48, 384, 32, 16


def queue_cost(place: Place, rounds: int) -> list[Row]:
    """Tokens a second of 48 clients and three adapters over 16 rows."""
    fair = place.ours("with the queue", *lora_flags(FEW, 32))
    none = place.ours("without", *lora_flags(FEW, 32), "--max-running", "100000")
    with arms.together(fair, none):
        works = {arm.name: _rate(arm.url, place.names[:3]) for arm in (fair, none)}
        found = medians("tokens/s", works, rounds)
    what = f"{_CLIENTS} clients, 3 adapters, {ROWS} rows: with the queue / without"
    return [ratio_row(what, (found[fair.name], found[none.name]), "tokens/s", at_least=0.98)]


def _rate(url: str, names: Sequence[str]) -> Callable[[int], float]:
    models = [names[number % len(names)] for number in range(_REQUESTS)]
    return lambda seed: run(url, Load(models, _PROMPT, _OUTPUT, clients=_CLIENTS), seed).tokens_per_second

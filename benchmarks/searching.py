"""Searching 100,000 versions, and 3,000: the 95th percentile of each kind of query, first and second page."""

from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.populate import digest, populate
from benchmarks.report import Row, seconds
from benchmarks.timing import once

from lorarack.registry import Registry, State, open_registry
from lorarack.registry.queries import Condition, Query

#: Seconds, by the number of versions.
GOALS = {100_000: 0.1, 3_000: 0.005}
_PAGE = 20


def queries(versions: int) -> dict[str, Query]:
    """One of each kind of filter, from those that nearly all versions fulfil to those that few do."""
    middle = datetime(2026, 1, 1 + versions * 30 // 86400 // 2, tzinfo=UTC)

    def low(value: float, label: str = "eval_loss") -> tuple[Condition, ...]:
        return (Condition(label=label, operator="<", value=value),)

    return {
        "nothing": Query(limit=_PAGE),
        "adapter": Query(adapter="adapter-0000", limit=_PAGE),
        "adapters by prefix": Query(adapter="adapter-00*", limit=_PAGE),
        "base": Query(base="tiny", limit=_PAGE),
        "rank range": Query(rank_min=16, rank_max=32, limit=_PAGE),
        "rank that none has": Query(rank_min=100, limit=_PAGE),
        "metric range, many": Query(metrics=low(1.0), limit=_PAGE),
        "metric range, few": Query(metrics=low(0.4002), limit=_PAGE),
        "best by metric": Query(order="eval_loss", limit=_PAGE),
        "best by metric of a rank": Query(order="eval_loss", rank_min=64, limit=_PAGE),
        "tag of 1 in 97": Query(tags=("team=team-42",), limit=_PAGE),
        "tag of 5": Query(tags=(f"recipe={digest('recipe 11')}",), limit=_PAGE),
        "state archived": Query(state=State.ARCHIVED, limit=_PAGE),
        "time": Query(until=middle, limit=_PAGE),
        "best by metric of a tag": Query(order="eval_loss", tags=("team=team-42",), limit=_PAGE),
        "best by metric of an adapter": Query(order="eval_loss", adapter="adapter-0000", limit=_PAGE),
        "best by metric of adapters": Query(order="eval_loss", adapter="adapter-00*", limit=_PAGE),
        "best by metric of a state": Query(order="eval_loss", state=State.ARCHIVED, limit=_PAGE),
        "best by metric of a rank that none has": Query(order="eval_loss", rank_min=100, limit=_PAGE),
        "best by metric, of another metric": Query(order="train_loss", metrics=low(0.41), limit=_PAGE),
        "best by metric of a tag and state": Query(
            order="eval_loss", tags=("team=team-42",), state=State.ARCHIVED, limit=_PAGE
        ),
        "two metrics, few": Query(metrics=(*low(0.41), *low(0.21, "train_loss")), limit=_PAGE),
        "text of 1 in 10": Query(text="ORDERS", limit=_PAGE),
        "text of 1": Query(text=f"run {versions // 2} on", limit=_PAGE),
        "text that none has": Query(text="nowhere", limit=_PAGE),
        "text of two letters that none has": Query(text="zq", limit=_PAGE),
        "best by metric of a text of 1 in 100": Query(order="eval_loss", text="Adapter-001", limit=_PAGE),
        "tag, rank and metric": Query(tags=("team=team-42",), rank_min=16, metrics=low(0.8), limit=_PAGE),
    }


def rows(sizes: tuple[int, ...] = tuple(GOALS), *, times: int = 20) -> list[Row]:
    """A row for each size and filter."""
    return [row for versions in sizes for row in _of_size(versions, times)]


def _of_size(versions: int, times: int) -> list[Row]:
    with TemporaryDirectory(prefix="lorarack-bench-") as home:
        populate(Path(home), max(versions // 100, 1), min(versions, 100))
        with open_registry(home) as registry:
            found = {name: _p95(registry, query, times) for name, query in queries(versions).items()}
    goal = GOALS.get(versions, 0.1)
    said = f"p95 ≤ {seconds(goal)}"
    return [
        Row(f"search {versions:,}: {name}", seconds(taken), goal=said, met=taken <= goal) for name, taken in found.items()
    ]  # fmt: skip


def _p95(registry: Registry, query: Query, times: int) -> float:
    """Of the first page and of the second, each ``times`` times; of a single page, the same again."""
    pages = (query, query.model_copy(update={"cursor": registry.search(query).next}))
    taken = sorted(once(partial(registry.search, page)) for page in pages for _ in range(times))
    return taken[int(len(taken) * 0.95)]

"""Tables of versions."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from rich.table import Table

from lorarack.registry.cli.render import ago, size, table
from lorarack.registry.metrics import by_dataset, latest_metrics, short_dataset
from lorarack.registry.values import Metric, State, Version

_BAR = 10
#: A training run gives this tag to every version of one rank family.
_FAMILY = "recipe"


def versions_table(versions: Iterable[Version]) -> Table:
    """Versions as they come."""
    rows = _empty()
    for version in versions:
        _add(rows, version, version.metric("loss", "validation"))
    return rows


def family_table(versions: Sequence[Version]) -> Table:
    """One adapter's versions: each rank family together, best first by eval loss, with a bar as long as the loss is above the
    best (scaled to the worst), so that rank against loss is seen at a glance. Losses on different data sets are apart."""
    losses = _comparable_losses(versions)
    datasets = list(dict.fromkeys(dataset for dataset, _ in losses.values()))
    on_each: dict[str | None, list[float]] = defaultdict(list)
    for dataset, loss in losses.values():
        on_each[dataset].append(loss.value)

    def order(version: Version) -> tuple[int, float, int, int]:
        if version.reference not in losses:
            return len(datasets), float("inf"), version.rank, version.number
        dataset, loss = losses[version.reference]
        return datasets.index(dataset), loss.value, version.rank, version.number

    groups: dict[tuple[str | None, str | None], list[Version]] = defaultdict(list)
    for version in sorted(versions, key=order):  # so the family of the best comes first
        dataset = losses[version.reference][0] if version.reference in losses else None
        groups[dataset, version.tags.get(_FAMILY)].append(version)
    with_bar = any(len(set(values)) > 1 for values in on_each.values())
    rows = _empty(bar=with_bar, data=len(datasets) > 1)
    for group in groups.values():
        for version in group:
            dataset, shown = losses.get(version.reference, (None, None))
            more = [_bar_of(shown, on_each[dataset])] if with_bar else []
            _add(rows, version, shown, more + ([short_dataset(dataset)] if len(datasets) > 1 else []))
        rows.add_section()
    return rows


def _comparable_losses(versions: Iterable[Version]) -> dict[str, tuple[str | None, Metric]]:
    """By reference the data set and the eval loss on it: on the one that the most versions share, else on the next; those first.

    A loss that names no data set stands with the first.
    """
    measured = {version.reference: by_dataset(version.metrics, "loss", "validation") for version in versions}
    counts = Counter(dataset for mine in measured.values() for dataset in mine if dataset is not None)
    found: dict[str, tuple[str | None, Metric]] = {}
    datasets: list[str | None] = [name for name, _ in counts.most_common()]
    for dataset in datasets or [None]:
        for reference, mine in measured.items():
            is_named = any(known in mine for known in counts)
            loss = mine.get(dataset) if is_named else mine.get(None)
            if loss is not None:
                found.setdefault(reference, (dataset, loss))
    return found


def _bar_of(loss: Metric | None, losses: Sequence[float]) -> str:
    return bar(loss.value, losses) if loss and len(set(losses)) > 1 else ""


def metric_texts(metrics: Iterable[Metric], digits: int) -> list[str]:
    """The metrics that count, each with its data set where there are several of one name and split."""
    latest = latest_metrics(metrics)
    several = Counter((key.name, key.split) for key in latest)
    return [
        f"{metric.label}={metric.value:.{digits}g}"
        + (f" ({short_dataset(key.dataset)})" if several[key.name, key.split] > 1 else "")
        for key, metric in latest.items()
    ]


def number(metric: Metric | None) -> str:
    """Its value, or a dash."""
    return f"{metric.value:.4f}" if metric else "–"


def bar(value: float, values: Sequence[float]) -> str:
    """One block for the smallest of ``values`` up to ten for the largest."""
    low, high = min(values) / 2, max(values) / 2  # halves: the difference of two large numbers may be none
    share = (value / 2 - low) / (high - low) if high > low else 0.0
    return "█" * (1 + round(share * (_BAR - 1)))


def _empty(*, bar: bool = False, data: bool = False) -> Table:
    more = [*([""] if bar else []), *(["measured on"] if data else [])]
    return table(
        "version",
        ">rank",
        ">train loss",
        ">eval loss",
        *more,
        "other metrics",
        ">size",
        "aliases",
        "state",
        "published",
    )


def _add(rows: Table, version: Version, loss: Metric | None, more: Sequence[str] = ()) -> None:
    others = [m for m in version.metrics if m.name != "loss"]
    rows.add_row(
        version.reference,
        str(version.rank),
        number(version.metric("loss", "train")),
        number(loss),
        *more,
        "  ".join(metric_texts(others, 4)),
        size(version.bytes),
        ", ".join(version.aliases),
        version.state if version.state is State.READY else f"[yellow]{version.state}[/yellow]",
        ago(version.created_at),
    )

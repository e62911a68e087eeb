"""Tables of versions."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from rich.table import Table

from lorarack.registry.cli.render import ago, size, table
from lorarack.registry.values import Metric, State, Version

_BAR = 10
#: A training run gives this tag to every version of one rank family.
_FAMILY = "recipe"


def versions_table(versions: Iterable[Version]) -> Table:
    """Versions as they come."""
    rows = _empty()
    for version in versions:
        _add(rows, version)
    return rows


def family_table(versions: Sequence[Version]) -> Table:
    """One adapter's versions: each rank family together, best first by eval loss, with a bar as long as the loss is above the
    best (scaled to the worst), so that rank against loss is seen at a glance."""
    families: dict[str | None, list[Version]] = defaultdict(list)
    for version in sorted(versions, key=_by_loss):  # so the family of the best comes first
        families[version.tags.get(_FAMILY)].append(version)
    losses = [loss.value for version in versions if (loss := _loss(version))]
    rows = _empty(bar=len(set(losses)) > 1)
    for family in families.values():
        for version in family:
            _add(rows, version, losses)
        rows.add_section()
    return rows


def newest(metrics: Iterable[Metric]) -> list[Metric]:
    """The last of each name, split and data set."""
    return list({(m.name, m.split, m.dataset): m for m in metrics}.values())


def number(metric: Metric | None) -> str:
    """Its value, or a dash."""
    return f"{metric.value:.4f}" if metric else "–"


def bar(value: float, values: Sequence[float]) -> str:
    """One block for the smallest of ``values`` up to ten for the largest."""
    low, high = min(values) / 2, max(values) / 2  # halves: the difference of two large numbers may be none
    share = (value / 2 - low) / (high - low) if high > low else 0.0
    return "█" * (1 + round(share * (_BAR - 1)))


def _empty(*, bar: bool = False) -> Table:
    more = [""] if bar else []
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


def _add(rows: Table, version: Version, losses: Sequence[float] = ()) -> None:
    others = [m for m in version.metrics if m.step is None and m.name != "loss"]
    loss = _loss(version)
    bars = [bar(loss.value, losses) if loss else ""] if len(set(losses)) > 1 else []
    rows.add_row(
        version.reference,
        str(version.rank),
        number(version.metric("loss", "train")),
        number(loss),
        *bars,
        "  ".join(f"{m.label}={m.value:.4g}" for m in newest(others)),
        size(version.bytes),
        ", ".join(version.aliases),
        version.state if version.state is State.READY else f"[yellow]{version.state}[/yellow]",
        ago(version.created_at),
    )


def _loss(version: Version) -> Metric | None:
    return version.metric("loss", "validation")


def _by_loss(version: Version) -> tuple[float, int, int]:
    loss = _loss(version)
    return loss.value if loss else float("inf"), version.rank, version.number

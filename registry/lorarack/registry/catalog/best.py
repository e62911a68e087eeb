"""The best version of an adapter by a metric, on one data set."""

from collections import Counter, defaultdict

from sqlalchemy import Connection, select

from lorarack.registry.catalog.metrics import of_label
from lorarack.registry.catalog.schema import ADAPTERS, FINISHED, VERSIONS
from lorarack.registry.catalog.version_values import load_by_ids
from lorarack.registry.metrics import by_dataset, choose_dataset, value_on
from lorarack.registry.queries import Best, parse_label
from lorarack.registry.values import Metric, State


def best_version(connection: Connection, adapter: str, label: str, wanted: str | None) -> Best | None:
    """The best ready version; of equals the one of the smaller rank, then of the smaller number.

    Raises:
        GateRefused: it is not clear on which data set, or ``wanted`` names none or several.
    """
    name, split = parse_label(label)
    ready = (VERSIONS.c.state == State.READY.value, ADAPTERS.c.name == adapter)
    joined = VERSIONS.join(ADAPTERS, ADAPTERS.c.id == VERSIONS.c.adapter_id)
    asked = select(VERSIONS.c.id, VERSIONS.c.rank, VERSIONS.c.number).select_from(joined).where(*ready)
    ranks = {row.id: row for row in connection.execute(asked)}
    columns = (FINISHED.c.version_id, FINISHED.c.dataset, FINISHED.c.value, FINISHED.c.higher_is_better)
    its = select(VERSIONS.c.id).select_from(joined).where(*ready)
    measured: dict[int, dict[str | None, Metric]] = defaultdict(dict)
    for version_id, dataset, value, higher in connection.execute(
        select(*columns).where(*of_label(label), FINISHED.c.version_id.in_(its))
    ):
        measured[version_id][dataset or None] = Metric.model_construct(
            name=name, split=split, value=value, step=None, dataset=dataset or None, higher_is_better=higher
        )
    if not measured:
        return None
    counts = Counter(
        dataset for mine in measured.values() for dataset in mine if dataset is not None or wanted == "none"
    )
    on = choose_dataset(counts or {None: len(measured)}, label, wanted, strict=False)
    ranked = {version_id: metric for version_id, mine in measured.items() if (metric := value_on(mine, on))}
    higher_is_better = 2 * sum(metric.higher_is_better for metric in ranked.values()) > len(ranked)
    chosen = min(
        ranked,
        key=lambda each: (
            -ranked[each].value if higher_is_better else ranked[each].value, ranks[each].rank, ranks[each].number
        ),
    )  # fmt: skip
    version = next(load_by_ids(connection, [chosen], curves=False))
    metric = value_on(by_dataset(version.metrics, name, split), on)
    if metric is None:
        return None
    left_out = sorted(ranks[each].number for each in measured if each not in ranked)
    return Best(
        version=version,
        metric=metric,
        dataset=on,
        datasets=len(counts.keys() - {None}),
        unnamed=sum(metric.dataset is None for metric in ranked.values()) if on is not None else 0,
        lacking=len(ranks) - len(measured),
        left_out=tuple(f"{adapter}@{number}" for number in left_out),
    )

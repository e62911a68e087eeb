"""The metric that counts: of one name, one split and one data set the newest value of the finished version.

Values on different data sets are never ranked against each other. A value that names no data set is not known to be on another
one: it is compared, and it is said.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from lorarack.registry.errors import GateRefused
from lorarack.registry.values import Metric

#: Digits of a data set's digest that are shown.
_SHOWN = 19


class MetricKey(NamedTuple):
    """What makes two values comparable."""

    name: str
    split: str
    dataset: str | None


def latest_metrics(metrics: Iterable[Metric]) -> dict[MetricKey, Metric]:
    """The metrics that count among ``metrics``, which are in order of publishing; no points of curves."""
    latest: dict[MetricKey, Metric] = {}
    for metric in metrics:
        if metric.step is None:
            key = MetricKey(metric.name, metric.split, metric.dataset)
            latest.pop(key, None)  # so that the newest comes last
            latest[key] = metric
    return latest


def by_dataset(metrics: Iterable[Metric], name: str, split: str) -> dict[str | None, Metric]:
    """Those of one name and split, by their data sets, the newest last."""
    return {key.dataset: metric for key, metric in latest_metrics(metrics).items() if key[:2] == (name, split)}


def value_on(measured: Mapping[str | None, Metric], dataset: str | None) -> Metric | None:
    """What counts on ``dataset``: the value that names it, else the one that names none."""
    return measured.get(dataset) or measured.get(None)


def pair(mine: Mapping[str | None, Metric], theirs: Mapping[str | None, Metric]) -> tuple[Metric, Metric] | None:
    """The two newest values that can be compared; None: all are on different data sets."""
    shared = [dataset for dataset in mine if dataset in theirs]
    if shared:
        return mine[shared[-1]], theirs[shared[-1]]
    if not mine or not theirs or (None not in mine and None not in theirs):
        return None
    newest, other = list(mine)[-1], list(theirs)[-1]
    return (mine[None], theirs[other]) if None in mine else (mine[newest], theirs[None])


def dataset_name(dataset: str | None) -> str:
    """How a data set is called in a sentence."""
    return "data that is not named" if dataset is None else f"data set {short_dataset(dataset)}"


def short_dataset(dataset: str | None) -> str:
    """The beginning of its digest."""
    return "–" if dataset is None else dataset[:_SHOWN]


def is_dataset(dataset: str | None, wanted: str) -> bool:
    """Whether ``wanted`` (a digest, the beginning of one with or without ``sha256:``, or ``none``) means that data set."""
    if dataset is None:
        return wanted == "none"
    return dataset.startswith(wanted) or dataset.removeprefix("sha256:").startswith(wanted)


def choose_dataset(counts: Mapping[str | None, int], label: str, wanted: str | None, *, strict: bool) -> str | None:
    """The data set on which to rank, of those on which ``counts`` versions have the metric.

    Without ``wanted`` it is the only one there is or, unless ``strict``, the one that clearly the most versions share.

    Raises:
        GateRefused: none or several are meant; the sentence lists what there is.
    """
    meant = [dataset for dataset in counts if wanted is None or is_dataset(dataset, wanted)]
    if len(meant) == 1:
        return meant[0]
    most = sorted(meant, key=lambda dataset: -counts[dataset])
    if wanted is None and not strict and counts[most[0]] > max(1, counts[most[1]]):
        return most[0]
    listed = ", ".join(f"{dataset or 'none'} ({count})" for dataset, count in list(counts.items())[:5])
    more = f" and {len(counts) - 5} more" if len(counts) > 5 else ""
    why = (
        f"{label} was measured on different data sets, and such values are never ranked against each other"
        if wanted is None
        else f"{wanted[:80]!r} names {'several' if meant else 'none'} of the data sets on which {label} was measured"
    )
    raise GateRefused(f"{why}; name one with --dataset: {listed}{more}.", code="several_datasets")

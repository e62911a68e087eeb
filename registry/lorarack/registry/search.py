"""Finding versions."""

from lorarack.registry.bases import get_base
from lorarack.registry.errors import NotFound, UsageError
from lorarack.registry.interface import Catalog
from lorarack.registry.queries import Best, Page, Query, parse_label
from lorarack.registry.texts import check_adapter_name, check_text, check_unicode
from lorarack.registry.versions import check_known


def search(catalog: Catalog, query: Query) -> Page:
    """See ``Registry.search``."""
    query = Query(**dict(query))  # a copy with changes was not checked when it was made
    check_unicode(query.text, "query")
    for text in (query.adapter, query.base, query.dataset, *query.tags):
        check_text(text, "query")
    for label in (*(condition.label for condition in query.metrics), *_metric_order(query)):
        parse_label(label)
    if query.adapter is not None and not query.adapter.endswith("*"):
        check_adapter_name(query.adapter)
    if query.dataset is not None and not query.metrics and query.order in ("newest", "oldest"):
        raise UsageError("A data set needs a metric to sort by or to compare.", code="no_metric")
    if query.base is not None:
        query = query.model_copy(update={"base": get_base(catalog, query.base).name})
    page = catalog.search(query)
    if query.adapter is not None and not query.adapter.endswith("*") and not page.versions:
        check_known(catalog, query.adapter)
    return page


def best(catalog: Catalog, adapter: str, metric: str, dataset: str | None) -> Best:
    """See ``Registry.best``."""
    parse_label(metric)
    check_known(catalog, adapter)
    found = catalog.best(adapter, metric, dataset)
    if found is None:
        raise NotFound(
            f"No ready version of {adapter!r} has the metric {metric}; add it by publishing again with "
            f"'--metric {metric}=NUMBER'.",
            code="unknown_metric",
        )
    return found


def _metric_order(query: Query) -> list[str]:
    if query.order in ("newest", "oldest"):
        return []
    if not query.order:
        raise UsageError("An order is newest, oldest or a metric's label.", code="bad_order")
    return [query.order]

"""Finding versions."""

from typing import TYPE_CHECKING

from lorarack.registry.errors import NotFound, UsageError
from lorarack.registry.operations.bases import BaseOperations
from lorarack.registry.reference import check_adapter_name
from lorarack.registry.texts import check_unicode

if TYPE_CHECKING:
    from lorarack.registry.queries import Best, Page, Query


class SearchOperations(BaseOperations):
    """What can be found."""

    def search(self, query: "Query") -> "Page":
        """One page of the versions that ``query`` asks for, in a stable order: what is published meanwhile moves nothing.

        Metrics are the finished version's (the newest number of a label counts); their curves' points are left out.

        Raises:
            NotFound: no such adapter or base.
            UsageError: a metric, order or cursor that cannot be meant.
            GateRefused: an order by a metric that was measured on several data sets, and none of them is named.
        """
        from lorarack.registry.queries import Query, parse_label

        query = Query(**dict(query))  # a copy with changes was not checked when it was made
        for text in (query.text, query.adapter, query.base, *query.tags):
            check_unicode(text, "query")
        for label in (*(condition.label for condition in query.metrics), *self._metric_order(query)):
            parse_label(label)
        if query.adapter is not None and not query.adapter.endswith("*"):
            check_adapter_name(query.adapter)
        if query.dataset is not None and not query.metrics and query.order in ("newest", "oldest"):
            raise UsageError("A data set says nothing without a metric to sort by or to compare.", code="no_metric")
        base = None
        if query.base is not None:
            found = self._searcher.base_named(query.base)
            base = found if found is not None else self._searcher.base_named(self.base(query.base).name)
        page = self._searcher.search(query, base)
        if query.adapter is not None and not query.adapter.endswith("*") and not page.versions:
            self._check_known(query.adapter)
        return page

    def best(self, adapter: str, metric: str, *, dataset: str | None = None) -> "Best":
        """The best ready version of ``adapter`` by a finished metric's label; of equals the smaller rank, then the older.

        Values on different data sets are never ranked against each other. Without ``dataset`` (the beginning of a digest, or
        ``none``) it is done on the data set that clearly the most versions share.

        Raises:
            NotFound: no such adapter, or none of its ready versions has that metric.
            UsageError: not a label.
            GateRefused: it is not clear on which data set; the sentence lists them.
        """
        from lorarack.registry.queries import parse_label

        parse_label(metric)
        self._check_known(adapter)
        found = self._searcher.best(adapter, metric, dataset)
        if found is None:
            raise NotFound(
                f"No ready version of {adapter!r} has the metric {metric}; add it by publishing again with "
                f"'--metric {metric}=NUMBER'.",
                code="unknown_metric",
            )
        return found

    @staticmethod
    def _metric_order(query: "Query") -> list[str]:
        if query.order in ("newest", "oldest"):
            return []
        if not query.order:
            raise UsageError("An order is newest, oldest or a metric's label.", code="bad_order")
        return [query.order]

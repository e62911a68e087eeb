"""The best version by a metric."""

import pytest
from tests.registry.shelf import Shelf

from lorarack.registry import Query
from lorarack.registry.errors import NotFound, UsageError


def test_the_best_is_ready_and_of_equals_the_smaller_rank(shelf: Shelf) -> None:
    for rank, loss in ((16, 0.3), (4, 0.3), (4, 0.3), (8, 0.1), (4, None), (4, 0.9)):
        shelf.put(rank=rank, loss=loss)
    shelf.registry.quarantine("support@4", "wrong data")
    best = shelf.registry.best("support", "eval_loss")
    assert (best.version.number, best.metric.value, best.lacking, best.datasets) == (2, 0.3, 1, 0)


def test_the_metric_says_which_way_is_better(shelf: Shelf) -> None:
    for exact in (0.2, 0.9, 0.5):
        shelf.put(exact=exact)
    shelf.put("other", exact=0.99)
    assert shelf.registry.best("support", "test/exact").version.number == 2
    page = shelf.registry.search(Query(order="test/exact"))
    assert [version.reference for version in page.versions] == ["other@1", "support@2", "support@3", "support@1"]


def test_numbers_from_several_data_sets_are_counted(shelf: Shelf) -> None:
    for digit in "ab":
        shelf.put(loss=0.5, dataset="sha256:" + digit * 64)
    assert shelf.registry.best("support", "eval_loss").datasets == 2


def test_no_best(shelf: Shelf) -> None:
    shelf.put()
    with pytest.raises(NotFound, match="No ready version of 'support' has the metric eval_loss"):
        shelf.registry.best("support", "eval_loss")
    with pytest.raises(UsageError, match="cannot be a metric's name"):
        shelf.registry.best("support", "a b")
    with pytest.raises(NotFound, match="Did you mean"):
        shelf.registry.best("suport", "eval_loss")

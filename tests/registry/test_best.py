"""The best version by a metric."""

import pytest
from tests.command_line import lorarack
from tests.registry.shelf import Shelf

from lorarack.registry import Metric, Query, Rule, parse_condition
from lorarack.registry.errors import GateRefused, NotFound, UsageError


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


A, B, C = (f"sha256:{digit * 64}" for digit in "abc")


def test_the_best_is_of_one_data_set(shelf: Shelf) -> None:
    """The one that clearly the most versions share; what was measured elsewhere is left out, however good, and said."""
    for loss, dataset in ((0.5, A), (0.4, A), (0.1, B), (None, None)):
        shelf.put(loss=loss, dataset=dataset)
    best = shelf.registry.best("support", "eval_loss")
    assert (best.version.number, best.dataset, best.datasets, best.left_out, best.lacking) == (
        2,
        A,
        2,
        ("support@3",),
        1,
    )
    for wanted in (B, B[:15], "bbbb"):
        best = shelf.registry.best("support", "eval_loss", dataset=wanted)
        assert (best.version.number, best.left_out) == (3, ("support@1", "support@2"))
    for wanted in ("sha256:", "cc", "none", ""):
        with pytest.raises(GateRefused, match="name one with --dataset"):
            shelf.registry.best("support", "eval_loss", dataset=wanted)


@pytest.mark.parametrize("datasets", [(A, B), (A, B, C), (A, A, B, B), (A, None, B)])
def test_there_is_no_best_of_values_on_different_data(shelf: Shelf, datasets: tuple[str | None, ...]) -> None:
    for place, dataset in enumerate(datasets):
        shelf.put(loss=0.5 - place / 10, dataset=dataset)
    with pytest.raises(GateRefused, match=r"measured on different data sets, .* --dataset: sha256:a") as raised:
        shelf.registry.best("support", "eval_loss")
    assert raised.value.exit_code == 3
    with pytest.raises(GateRefused, match="measured on different data sets"):
        shelf.registry.search(Query(order="eval_loss"))
    answer = lorarack("best", "support", "--metric", "eval_loss", "--registry", shelf.registry.location)
    assert (answer.code, answer.out) == (3, "")


def test_a_version_counts_on_each_data_set_on_which_it_was_measured(shelf: Shelf) -> None:
    """Its newest value of another data set does not hide the older one of this."""
    for loss in (0.3, 0.5):
        shelf.put(loss=loss, dataset=A)
    shelf.registry.add_metrics("support@1", [Metric(name="loss", split="validation", value=0.9, dataset=B)])
    shelf.registry.add_metrics("support@2", [Metric(name="loss", split="validation", value=0.2, dataset=B, step=7)])
    best = shelf.registry.best("support", "eval_loss")
    assert (best.version.number, best.metric.value, best.dataset, best.left_out) == (1, 0.3, A, ())
    assert shelf.registry.best("support", "eval_loss", dataset=B).metric.value == 0.9
    shelf.registry.add_metrics("support@1", [Metric(name="loss", split="validation", value=0.6, dataset=A)])
    assert shelf.registry.best("support", "eval_loss").version.number == 2


def test_values_that_name_no_data_are_ranked_and_counted(shelf: Shelf) -> None:
    for loss, dataset in ((0.5, A), (0.3, None)):
        shelf.put(loss=loss, dataset=dataset)
    best = shelf.registry.best("support", "eval_loss")
    assert (best.version.number, best.dataset, best.unnamed) == (2, A, 1)
    assert shelf.registry.best("support", "eval_loss", dataset="none").left_out == ("support@1",)


def test_a_search_ranks_on_one_data_set_over_all_pages(shelf: Shelf) -> None:
    for loss, dataset in ((0.5, A), (0.4, A), (0.1, B), (0.3, None), (0.2, A)):
        shelf.put(loss=loss, dataset=dataset)
    query = Query(order="eval_loss", dataset="aaaa", limit=1)
    found, page = [], shelf.registry.search(query)
    while True:
        found += [version.number for version in page.versions]
        if page.next is None:
            break
        if len(found) == 1:
            shelf.put(loss=0.9, dataset=C)  # moves nothing
        page = shelf.registry.search(query.model_copy(update={"cursor": page.next}))
    assert found == [5, 4, 2, 1]
    low = parse_condition("eval_loss<0.45")
    on_a = shelf.registry.search(Query(metrics=(low,), dataset=A, order="oldest")).versions
    assert [version.number for version in on_a] == [2, 5]
    with pytest.raises(UsageError, match="needs a metric"):
        shelf.registry.search(Query(dataset=A))


def test_a_list_keeps_losses_on_different_data_apart(shelf: Shelf) -> None:
    for loss, dataset in ((0.5, A), (0.4, A), (0.1, B), (None, None)):
        shelf.put(loss=loss, dataset=dataset)
    lines = [
        line.strip() for line in lorarack("list", "support", "--registry", shelf.registry.location).out.splitlines()
    ]
    order = [line.split()[0] for line in lines if line.startswith("support@")]
    assert order == ["support@2", "support@1", "support@3", "support@4"]
    assert "measured on" in " ".join(lines[:3])
    assert all("█" not in line for line in lines if line.startswith("support@3"))


def test_a_gate_compares_on_the_data_that_both_share(shelf: Shelf) -> None:
    registry = shelf.registry
    for loss, dataset in ((0.5, A), (0.4, B), (0.3, C)):
        shelf.put(loss=loss, dataset=dataset)
    registry.set_alias("support", "prod", 1)
    for version in (2, 3):
        with pytest.raises(GateRefused, match="was measured on different data"):
            registry.promote("support", "prod", version, rule=Rule(label="eval_loss"))
    registry.add_metrics("support@1", [Metric(name="loss", split="validation", value=0.35, dataset=B)])
    with pytest.raises(GateRefused, match=r"worse by 0\.05"):
        registry.promote("support", "prod", 2, rule=Rule(label="eval_loss"))
    registry.add_metrics("support@2", [Metric(name="loss", split="validation", value=0.45, dataset=A)])
    with pytest.raises(GateRefused, match=r"worse by 0\.05"):
        registry.promote("support", "prod", 2, rule=Rule(label="eval_loss", dataset="bbb"))
    assert registry.promote("support", "prod", 2, rule=Rule(label="eval_loss", dataset=A)).version == 2


def test_no_best(shelf: Shelf) -> None:
    shelf.put()
    with pytest.raises(NotFound, match="No ready version of 'support' has the metric eval_loss"):
        shelf.registry.best("support", "eval_loss")
    with pytest.raises(UsageError, match="cannot be a metric's name"):
        shelf.registry.best("support", "a b")
    with pytest.raises(NotFound, match="Did you mean"):
        shelf.registry.best("suport", "eval_loss")

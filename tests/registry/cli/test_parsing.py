"""Texts of the command line to values, and numbers to texts for people."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorarack.registry import Metric
from lorarack.registry.cli.parsing import parse_metric, parse_tag, split_alias
from lorarack.registry.cli.render import ago, size
from lorarack.registry.errors import UsageError

METRICS = {
    "eval_loss=0.41": Metric(name="loss", split="validation", value=0.41),
    "train_loss=1e-3": Metric(name="loss", split="train", value=0.001),
    "test_loss=2": Metric(name="loss", split="test", value=2.0),
    "accuracy=0.9+": Metric(name="accuracy", split="validation", value=0.9, higher_is_better=True),
    "test/exact=-1": Metric(name="exact", split="test", value=-1.0),
    "held-out/rouge/l=0.5+": Metric(name="rouge/l", split="held-out", value=0.5, higher_is_better=True),
}


@pytest.mark.parametrize(("text", "metric"), METRICS.items(), ids=METRICS)
def test_a_metric_is_read_as_it_is_meant(text: str, metric: Metric) -> None:
    assert parse_metric(text) == metric


NO_METRICS = (
    "", "loss", "loss=", "=1", "loss=x", "loss=nan", "loss=inf", "loss=1e999", "l oss=1", "Test/x=1", "/x=1", "x/=1", "ü=1",
)  # fmt: skip


@pytest.mark.parametrize("text", NO_METRICS)
def test_what_is_no_metric_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_metric(text)
    assert raised.value.code == "bad_metric"


@given(
    st.sampled_from(["train", "validation", "test", "dev"]),
    st.sampled_from(["loss", "exact", "a.b"]),
    st.floats(allow_nan=False, allow_infinity=False),
)
def test_a_metrics_label_can_be_written_back(split: str, name: str, value: float) -> None:
    """What ``show`` prints can be given to ``publish``."""
    metric = Metric(name=name, split=split, value=value)
    assert parse_metric(f"{metric.label}={value!r}") == metric


@pytest.mark.parametrize("text", ["", "key", "=value", " =value"])
def test_what_is_no_tag_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="write KEY=VALUE"):
        parse_tag(text)


def test_a_tags_value_may_hold_anything() -> None:
    assert parse_tag("url=http://x/?a=b") == ("url", "http://x/?a=b")
    assert parse_tag(" key =") == ("key", "")


@pytest.mark.parametrize("text", ["support", "", "@prod", "support@", "support@3", "Support@prod", "a@b@c"])
def test_what_names_no_alias_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError):
        split_alias(text)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (5 * 2**20, "5.0 MiB"),
        (3 * 2**40, "3072.0 GiB"),
    ],
)
def test_bytes_for_people(count: int, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(5, "5 s ago"), (90, "2 min ago"), (7200, "2 h ago"), (3 * 86400, "3 d ago"), (-60, "0 s ago")],
)
def test_ages_for_people(seconds: int, text: str) -> None:
    assert ago(datetime.now(UTC) - timedelta(seconds=seconds)) == text

"""Texts from the command line to values."""

import math

from pydantic import ValidationError

from lorarack.registry.errors import UsageError
from lorarack.registry.reference import check_adapter_name, check_alias_name
from lorarack.registry.values import Metric

_LOSSES = {"train_loss": "train", "eval_loss": "validation", "test_loss": "test"}


def parse_metric(text: str) -> Metric:
    """``eval_loss=0.41``, ``accuracy=0.9+`` or ``test/exact=0.9+`` as a metric; without a split it is of ``validation``.

    Raises:
        UsageError: not of that form, or not a finite number.
    """
    label, equals, number = text.partition("=")
    higher = number.endswith("+")
    try:
        value = float(number.removesuffix("+"))
    except ValueError:
        value = math.nan
    if not equals or not math.isfinite(value):
        raise UsageError(f"{text!r} is not a metric; write NAME=NUMBER, for example eval_loss=0.41.", code="bad_metric")
    if label in _LOSSES:
        split, name = _LOSSES[label], "loss"
    else:
        split, slash, rest = label.partition("/")
        split, name = (split, rest) if slash else ("validation", label)
    try:
        return Metric(name=name, split=split, value=value, higher_is_better=higher)
    except ValidationError as error:
        raise UsageError(
            f"{label!r} cannot be a metric's name; use letters, digits and '_', optionally behind SPLIT/.",
            code="bad_metric",
        ) from error


def parse_tag(text: str) -> tuple[str, str]:
    """``key=value`` as a pair.

    Raises:
        UsageError: not of that form.
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise UsageError(f"{text!r} is not a tag; write KEY=VALUE.", code="bad_tag")
    return key.strip(), value


def split_alias(text: str) -> tuple[str, str]:
    """``support@prod`` as adapter and alias name, both checked.

    Raises:
        UsageError: there is no ``@``, or one of the two may not be such a name.
    """
    adapter, at, alias = text.partition("@")
    if not at:
        raise UsageError(
            f"{text!r} names no alias; write NAME@ALIAS, for example {text or 'support'}@prod.", code="bad_alias"
        )
    return check_adapter_name(adapter), check_alias_name(alias)

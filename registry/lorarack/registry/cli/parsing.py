"""Texts from the command line to values."""

import math
import re
from datetime import UTC, datetime, timedelta

from lorarack.registry.errors import UsageError
from lorarack.registry.queries import parse_label
from lorarack.registry.texts import check_adapter_name, check_alias_name
from lorarack.registry.values import Metric, Parent


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
    name, split = parse_label(label)
    return Metric(name=name, split=split, value=value, higher_is_better=higher)


def parse_tag(text: str) -> tuple[str, str]:
    """``key=value`` as a pair.

    Raises:
        UsageError: not of that form.
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise UsageError(f"{text!r} is not a tag; write KEY=VALUE.", code="bad_tag")
    return key.strip(), value


def parse_parent(text: str) -> Parent:
    """``support@1`` or ``support@1:resized``; without a word for it the relation is ``derived``.

    Raises:
        UsageError: not of that form.
    """
    version, _, relation = text.partition(":")
    try:
        return Parent(version=version, relation=relation or "derived")
    except UsageError as error:
        raise UsageError(
            f"{text!r} names no parent; write NAME@NUMBER, optionally with ':' and how: support@1:resized.",
            code="bad_parent",
        ) from error


def parse_ranks(text: str) -> tuple[int | None, int | None]:
    """``16``, ``8..64``, ``8..`` or ``..64`` as the smallest and the largest rank.

    Raises:
        UsageError: not of that form.
    """
    low, dots, high = text.partition("..")
    try:
        ends = [int(end) if end else None for end in (low, high if dots else low)]
    except ValueError:
        ends = [None, None]
    if ends == [None, None] or any(end is not None and not 0 < end < 2**31 for end in ends):
        raise UsageError(f"{text!r} is no range of ranks; write 16, 8..64, 8.. or ..64.", code="bad_rank")
    return ends[0], ends[1]


def parse_moment(text: str) -> datetime:
    """``2026-11-25``, ``2026-11-25T14:30`` (UTC unless it says otherwise) or ``7d``, ``12h``, ``30min`` ago.

    Raises:
        UsageError: not of that form.
    """
    return _moment(text, -1, "ago")


def parse_expiry(text: str) -> datetime:
    """As ``parse_moment``, but ``7d``, ``12h`` and ``30min`` are from now.

    Raises:
        UsageError: not of that form.
    """
    return _moment(text, 1, "from now")


def _moment(text: str, sign: int, direction: str) -> datetime:
    if span := re.fullmatch(r"([0-9]{1,6})(d|h|min)", text):
        unit = {"d": timedelta(days=1), "h": timedelta(hours=1), "min": timedelta(minutes=1)}[span[2]]
        try:
            return datetime.now(UTC) + sign * int(span[1]) * unit
        except OverflowError:  # only into the past: no six digits of days reach the year 9999
            return datetime.min.replace(tzinfo=UTC)
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise UsageError(
            f"{text!r} is no moment; write a date (2026-11-25), a date and time (2026-11-25T14:30), "
            f"or 7d, 12h, 30min for {direction}.",
            code="bad_moment",
        ) from error


def split_alias(text: str) -> tuple[str, str]:
    """``support@prod`` as adapter and alias name, both checked.

    Raises:
        UsageError: there is no ``@``, or one of the two may not be such a name.
    """
    adapter, at, alias = text.partition("@")
    if not at:
        raise UsageError(f"{text!r} names no alias; write NAME@ALIAS, for example support@prod.", code="bad_alias")
    return check_adapter_name(adapter), check_alias_name(alias)

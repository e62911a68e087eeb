"""What several commands of the server share."""

import os

from lorarack.registry.errors import UsageError
from lorarack.registry.values import naming


def key_from_environment() -> str | None:
    """A server's key, from ``LORARACK_TOKEN``.

    Raises:
        UsageError: it is there and empty.
    """
    key = os.environ.get("LORARACK_TOKEN")
    if key is not None and not key.strip():
        raise UsageError("LORARACK_TOKEN is empty; put the server's key in it, or unset it.", code="bad_key")
    return key


def named(answered: str) -> dict[str, str | int | None]:
    """How JSON names what answered: a version, or the base by its plain name."""
    adapter, _, number = answered.rpartition("@")
    if adapter and number.isdecimal():
        return naming(adapter, int(number))
    return {"reference": answered, "adapter": None, "version": None}

"""Which versions of an adapter nobody can remove."""

from lorarack.registry.values import Value


class Retention(Value):
    """An adapter's rule: which of its versions can neither be deleted nor collected. None: no rule of that kind."""

    keep_last: int | None = None
    keep_days: int | None = None

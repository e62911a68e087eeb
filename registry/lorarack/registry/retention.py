"""Which versions of an adapter stay, whoever wants to remove them."""

from lorarack.registry.errors import UsageError
from lorarack.registry.interface import Catalog
from lorarack.registry.lookup import check_known, unknown_adapter
from lorarack.registry.queries import Retention
from lorarack.registry.reference import check_adapter_name


def set_retention(catalog: Catalog, actor: str, adapter: str, keep_last: int | None, keep_days: int | None) -> None:
    """See ``Registry.set_retention``."""
    for number in (keep_last, keep_days):
        if number is not None and not 0 < number < 10**6:
            raise UsageError(f"{number} cannot be a retention rule; give 1 or more.", code="bad_retention")
    check_known(catalog, adapter)
    catalog.set_retention(actor, adapter, keep_last, keep_days)


def retention(catalog: Catalog, adapter: str) -> Retention:
    """See ``Registry.retention``."""
    rule = catalog.retention(check_adapter_name(adapter))
    if rule is None:
        raise unknown_adapter(catalog, adapter)
    return rule

"""What is said about a version that is there already."""

from collections.abc import Mapping, Sequence

from lorarack.registry.interface import Catalog
from lorarack.registry.lookup import get_version
from lorarack.registry.texts import MAX_NAME, check_metrics, check_tags, check_text
from lorarack.registry.values import Metric, Version


def add_metrics(catalog: Catalog, actor: str, reference: str, metrics: Sequence[Metric]) -> Version:
    """See ``Registry.add_metrics``."""
    check_metrics(metrics)
    version = get_version(catalog, reference)
    catalog.add_metrics(actor, version.adapter, version.number, metrics)
    return get_version(catalog, version.reference)


def describe(
    catalog: Catalog,
    actor: str,
    reference: str,
    tags: Mapping[str, str] | None,
    without: Sequence[str],
    description: str | None,
) -> Version:
    """See ``Registry.describe``."""
    check_tags(tags)
    check_text(description, "description")
    for key in without:
        check_text(key, "tag", MAX_NAME)
    version = get_version(catalog, reference)
    catalog.describe(actor, version.adapter, version.number, tags or {}, without, description)
    return get_version(catalog, version.reference)

"""Versions that are there: which one a call means, its metadata, and its lineage."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from pydantic import ValidationError

from lorarack.registry.errors import NotFound, UsageError
from lorarack.registry.interface import Catalog
from lorarack.registry.parity import ServingRecord
from lorarack.registry.queries import Lineage
from lorarack.registry.reference import ByNumber, Reference, parse_reference
from lorarack.registry.resolve import did_you_mean
from lorarack.registry.resolve import resolve as resolve_among
from lorarack.registry.texts import MAX_NAME, check_adapter_name, check_metrics, check_tags, check_text
from lorarack.registry.values import Event, Metric, State, Version
from lorarack.registry.view import AdapterView


def resolve(catalog: Catalog, reference: str, *, with_curves: bool = False) -> Version:
    """See ``Registry.resolve``."""
    parsed = parse_reference(reference)
    found = catalog.find_version(parsed, with_curves=with_curves)
    if found is not None and found.state is State.READY:
        return found
    # The rules know what is wrong and what may have been meant; they want to see the whole adapter for that.
    view = catalog.adapter(parsed.name, with_curves=with_curves)
    return resolve_among(reference, {parsed.name: view} if view else {}, () if view else catalog.adapter_names())


def get_version(catalog: Catalog, reference: str, *, with_curves: bool = False) -> Version:
    """See ``Registry.get_version``."""
    found = catalog.find_version(parse_reference(reference), with_curves=with_curves)
    return found if found is not None else resolve(catalog, reference, with_curves=with_curves)


def get_by_number(catalog: Catalog, adapter: str, number: int) -> Version:
    """That very version, in any state. Raises ``NotFound``."""
    found = catalog.find_version(Reference(adapter, ByNumber(number)))
    if found is None:
        raise NotFound(f"There is no version {adapter}@{number}.", code="unknown_reference")
    return found


def get_adapter(catalog: Catalog, adapter: str, *, with_curves: bool = False) -> AdapterView:
    """One adapter with all its versions. Raises ``UsageError`` and ``NotFound``."""
    view = catalog.adapter(check_adapter_name(adapter), with_curves=with_curves)
    if view is None:
        raise unknown_adapter(catalog, adapter)
    return view


def check_known(catalog: Catalog, adapter: str) -> None:
    """Raises ``UsageError`` (not a name) and ``NotFound`` (no such adapter)."""
    if not catalog.has_adapter(check_adapter_name(adapter)):
        raise unknown_adapter(catalog, adapter)


def events(catalog: Catalog, after: int, limit: int, adapter: str | None) -> tuple[Event, ...]:
    """See ``Registry.events``."""
    if limit < 1:
        raise UsageError(f"A limit of {limit} is out of range; give 1 or more.", code="bad_limit")
    if adapter is not None:
        check_known(catalog, adapter)
    return catalog.events(after, limit, adapter)


def unknown_adapter(catalog: Catalog, adapter: str) -> NotFound:
    """The error for an adapter that does not exist."""
    near = get_close_matches(adapter, catalog.adapter_names(), n=3)
    return NotFound(f"There is no adapter {adapter!r}.{did_you_mean(near)}", near=near, code="unknown_reference")


def add_metrics(catalog: Catalog, actor: str, reference: str, metrics: Sequence[Metric]) -> Version:
    """See ``Registry.add_metrics``."""
    check_metrics(metrics)
    version = get_version(catalog, reference)
    catalog.add_metrics(actor, version.adapter, version.number, metrics)
    return get_version(catalog, version.reference)


def serving_record(catalog: Catalog, version: Version) -> ServingRecord | None:
    """See ``Registry.serving_record``. One that a later release wrote in another form is none."""
    found = catalog.serving_record(version.adapter, version.number)
    try:
        return ServingRecord.model_validate(found) if found is not None else None
    except ValidationError:
        return None


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


def lineage(catalog: Catalog, reference: str) -> Lineage:
    """See ``Registry.lineage``."""
    version = get_version(catalog, reference)
    ancestors, descendants = catalog.lineage(version)
    originals = {base.name: base.original for base in catalog.bases()}
    bases: list[str] = []
    name: str | None = version.base
    while name is not None:
        bases.append(name)
        name = originals.get(name)
    return Lineage(version=version, base=tuple(bases), ancestors=ancestors, descendants=descendants)

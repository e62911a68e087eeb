"""What a version costs, so that there is a cheapest one."""

from collections.abc import Iterable, Sequence

from lorarack.registry.errors import BadReference, NotFound, UsageError
from lorarack.registry.values import Base, Version

UNKNOWN = "What the versions cost is not known, so none counts as cheaper than another; give --cost {} for each."


def given_costs(options: Iterable[str], references: Sequence[str]) -> dict[str, float]:
    """The costs in ``--cost a@1=4`` options, one for each version.

    Raises:
        UsageError: an option is no reference and number, or a version is named twice, unknown or left out.
    """
    found: dict[str, float] = {}
    for option in options:
        reference, sign, number = option.rpartition("=")
        cost = _number(number)
        if not sign or cost is None:
            raise UsageError(
                f"--cost {option!r} is not a version and its cost, like {references[0]}=4.", code="bad_cost"
            )
        if reference not in references:
            raise UsageError(
                f"--cost names {reference!r}, which has no scores; there are {', '.join(references)}.", code="bad_cost"
            )
        if reference in found:
            raise UsageError(f"--cost names {reference!r} twice; give each version one cost.", code="bad_cost")
        found[reference] = cost
    lacking = [reference for reference in references if reference not in found]
    if lacking:
        raise UsageError(f"--cost must name every version; {', '.join(lacking)} is lacking.", code="bad_cost")
    return found


def known_versions(folder: str | None, references: Sequence[str]) -> tuple[dict[str, Version], Base | None]:
    """The versions that the references name and their base; none where the registry does not know all, or they have several.

    Raises:
        NotFound, UsageError, StoreError: the folder that was given is no registry, or cannot be used.
    """
    from lorarack.registry.registry import open_registry
    from lorarack.registry.settings import home_folder

    if folder is None and not home_folder().exists():
        return {}, None
    with open_registry(folder, create=False) as registry:
        try:
            found = {reference: registry.resolve(reference) for reference in references}
        except (NotFound, BadReference):
            return {}, None
        if len({version.base_fingerprint for version in found.values()}) > 1:
            return {}, None
        return found, registry.base(next(iter(found.values())).base)


def _number(text: str) -> float | None:
    try:
        found = float(text)
    except ValueError:
        return None
    return found if 0 <= found < float("inf") else None

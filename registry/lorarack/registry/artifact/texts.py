"""Lists in sentences: the first few by name, the others counted."""

from collections.abc import Sequence

SHOWN = 3


def listed(names: Sequence[str]) -> str:
    """The first few ``names``, quoted and escaped, and how many more there are."""
    shown = ", ".join(repr(name[:100]) for name in names[:SHOWN])
    return f"{shown} (and {len(names) - SHOWN} more)" if len(names) > SHOWN else shown


def shortened(problems: list[str]) -> list[str]:
    """The first few of problems of one kind, and how many more there are."""
    if len(problems) <= SHOWN:
        return problems
    return [*problems[:SHOWN], f"and the same for {len(problems) - SHOWN} more modules"]

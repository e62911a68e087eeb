"""Where the modules of a base are, to tell what a name means that is none of them."""

from collections import defaultdict
from collections.abc import Iterator

from lorarack.registry.values import ModuleTable

#: Last parts of a name by which it is looked up under a longer one.
_PARTS = 4


class Places:
    """An index of a base's modules. Each question takes a few look-ups, however many modules and questions there are."""

    def __init__(self, table: ModuleTable) -> None:
        self._table = table
        self._by_end: dict[str, str] = {}
        self._last: dict[tuple[str, str], int] = {}
        self._below: defaultdict[str, set[str]] = defaultdict(set)
        for name in sorted(table, key=len, reverse=True):  # so of several the shortest stays
            parts = name.split(".")
            for count in range(1, min(_PARTS, len(parts)) + 1):
                self._by_end[".".join(parts[-count:])] = name
            for before, number, after in _numbered(parts):
                self._last[before, after] = max(number, self._last.get((before, after), 0))
            self._below[".".join(parts[:-1])].add(parts[-1])

    def prefix_of(self, module: str) -> str | None:
        """What stands before the module's name in the base, where it is there under a longer one."""
        full = self._by_end.get(".".join(module.split(".")[-_PARTS:]))
        return full.removesuffix(module) if full is not None and full.endswith(f".{module}") else None

    def prefix_before(self, module: str) -> str | None:
        """What stands before the base's name in the module's, where it is there under a shorter one."""
        parts = module.split(".")
        found = (start for start in range(1, min(len(parts), 2 * _PARTS)) if ".".join(parts[start:]) in self._table)
        start = next(found, None)
        return None if start is None else ".".join(parts[:start]) + "."

    def last_layer(self, module: str) -> int | None:
        """The base's last layer, where the module is of a layer behind it."""
        lasts = ((number, self._last.get((before, after))) for before, number, after in _numbered(module.split(".")))
        return next((last for number, last in lasts if last is not None and number > last), None)

    def beside(self, module: str) -> list[str]:
        """What the base has where the module would be."""
        return sorted(self._below.get(module.rpartition(".")[0], ()))


def _numbered(parts: list[str]) -> Iterator[tuple[str, int, str]]:
    """What stands before and behind the first number of a name, and the number."""
    for place, part in enumerate(parts):
        if part.isascii() and part.isdigit() and len(part) < 10:
            yield ".".join(parts[:place]), int(part), ".".join(parts[place + 1 :])
            return

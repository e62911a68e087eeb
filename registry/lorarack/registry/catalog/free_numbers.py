"""Which numbers of an adapter have never been used: an import may still give those to versions that had them elsewhere."""

from bisect import bisect_right

from sqlalchemy import Connection, select

from lorarack.registry.catalog.schema import EVENTS


class UsedNumbers:
    """The numbers that versions of one adapter have or had, as the log tells."""

    def __init__(self, connection: Connection, adapter: str) -> None:
        kinds = ("published", "imported")
        query = select(EVENTS.c.version, EVENTS.c.kind).where(EVENTS.c.adapter == adapter, EVENTS.c.kind.in_(kinds))
        self._used: set[int] = set()
        self._highest: list[int] = []  # each number that was higher than all before it, and how it came
        self._by: list[str] = []
        for number, kind in connection.execute(query.order_by(EVENTS.c.id)):
            self._used.add(number)
            if not self._highest or number > self._highest[-1]:
                self._highest.append(number)
                self._by.append(kind)

    def is_free(self, number: int) -> bool:
        """Whether no version has ever had the number.

        Publishing leaves no number out, so a number that it passed was used, though the log of an old registry may not know of a
        version that was deleted early. Only an import passes by numbers that were never used.
        """
        if number in self._used:
            return False
        place = bisect_right(self._highest, number)
        return place == len(self._highest) or self._by[place] == "imported"

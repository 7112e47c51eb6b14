"""Which ids of a long file have come before, in about 20 bytes each: a set of Python takes 80.

seen = Seen()
seen.add("a"), seen.add("a")     # True, False
"""

from __future__ import annotations

from array import array

FREE = 0
FIRST = 1 << 10  # places of the table, a power of two


class Seen:
    """Names by their 64-bit hashes, in a table with open addressing that is at most two thirds full."""

    def __init__(self) -> None:
        """Nothing has been seen."""
        self._table = _empty(FIRST)
        self._known = 0

    def add(self, name: str) -> bool:
        """Remember a name; whether it is new."""
        key = hash(name) or 1
        place = _place(self._table, key)
        if self._table[place] == key:
            return False
        self._table[place] = key
        self._known += 1
        if 3 * self._known > 2 * len(self._table):
            self._table = _doubled(self._table)
        return True


def _empty(places: int) -> array[int]:
    return array("q", [FREE]) * places


def _place(table: array[int], key: int) -> int:
    """Where a hash lies, or would."""
    last = len(table) - 1
    place = key & last
    while table[place] not in (FREE, key):
        place = (place + 1) & last
    return place


def _doubled(table: array[int]) -> array[int]:
    larger = _empty(2 * len(table))
    for key in table:
        if key != FREE:
            larger[_place(larger, key)] = key
    return larger

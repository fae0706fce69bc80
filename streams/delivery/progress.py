"""How far reading has come: an offset counts once all before it are done."""

from collections.abc import Iterable

Place = tuple[str, int]
"""A topic and a partition."""


class Progress:
    """Which records are under way, by partition."""

    def __init__(self) -> None:
        """Begin with none."""
        self._open: dict[Place, dict[int, bool]] = {}

    def __len__(self) -> int:
        """Return how many are under way."""
        return sum(map(len, self._open.values()))

    def begin(self, place: Place, offset: int) -> None:
        """Note that a record was read; records come in the order of offsets."""
        self._open.setdefault(place, {})[offset] = False

    def done(self, place: Place, offset: int) -> int | None:
        """Note that a record is done; return where to read on, if that moved.

        >>> progress = Progress()
        >>> for offset in (4, 5): progress.begin(("t", 0), offset)
        >>> progress.done(("t", 0), 5), progress.done(("t", 0), 4)
        (None, 6)
        """
        records = self._open.get(place)
        if records is None or offset not in records:
            return None  # of a partition that others have now
        records[offset] = True
        moved = None
        for each in list(records):
            if not records[each]:
                break
            del records[each]
            moved = each + 1
        return moved

    def forget(self, places: Iterable[Place]) -> None:
        """Drop what was under way of partitions that others have now."""
        for place in places:
            self._open.pop(place, None)

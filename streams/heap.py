"""The garbage collector, told that a worker's heap is mostly states that stay.

States are no garbage and hold no cycles, yet CPython would look at each of them again
and again: 40 % of the CPU time with 10,000 leads (ADR 0027), a pause with a million.
"""

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_YOUNG: Final = 50_000
"""New objects before the young ones are looked at: about one fetch's worth."""
_WORTH_A_LOOK: Final = 256
"""Records: they leave some ten thousand objects, which takes a few milliseconds."""
_YOUNG_LOOKS: Final = 8
_MIDDLE: Final = 20
_OLD: Final = 100
_MEGABYTE: Final = 1024 * 1024
_MALLOC: Final = {
    -8: 1,  # M_ARENA_MAX: threads wait for Python's lock anyway
    -3: 32 * _MEGABYTE,  # M_MMAP_THRESHOLD: what a fetch needs is had again and again
    -2: 16 * _MEGABYTE,  # M_TOP_PAD
    -1: 64 * _MEGABYTE,  # M_TRIM_THRESHOLD
}
"""By the numbers of malloc.h."""


def spare_the_states() -> None:
    """Look for cycles seldom: what a fetch leaves behind ends by itself.

    And have memory in large steps, whichever thread asks: glibc grows what it keeps
    for another thread than the main one by a page at a time, with a call for each,
    which was a fifth of reading a million states in (ADR 0046). Where there is another
    library than glibc nothing changes.
    """
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    for option, value in _MALLOC.items():
        mallopt(option, value)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Look for no cycles within the block.

    What is read in there is to stay, or what a fetch makes ends with it (ADR 0048).
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class Sweeper:
    """Looks for cycles between fetches, a little at a time.

    CPython counts what is made less what ends. Where states replace others it hardly
    ever comes to its threshold, and then looks at all that leads have grown to since:
    a tenth of a second or two in which every event waits (ADR 0049).
    """

    def __init__(self) -> None:
        """Begin with nothing to look at."""
        self._records = 0
        self._looks = 0

    def after(self, records: int) -> None:
        """Look at what so many records have left, once that is worth a look.

        What is there after two looks is taken to stay, and is not looked at again.
        """
        self._records += records
        if self._records < _WORTH_A_LOOK:
            return
        self._records = 0
        self._looks += 1
        if self._looks < _YOUNG_LOOKS:
            gc.collect(0)
            return
        self._looks = 0
        gc.collect(1)
        settle_the_heap()


def settle_the_heap() -> None:
    """Look at nothing again that is there now; it still ends when nobody refers to it.

    To be called when states were read in, and once the program itself has been.
    """
    gc.freeze()

"""The garbage collector, told that a worker's heap is mostly states that stay.

States are no garbage and hold no cycles, yet CPython would look at each of them again
and again: 40 % of the CPU time with 10,000 leads (ADR 0027), a pause with a million.
"""

import gc
from typing import Final

_YOUNG: Final = 50_000
"""New objects before the young ones are looked at: about one fetch's worth."""
_MIDDLE: Final = 20
_OLD: Final = 100


def spare_the_states() -> None:
    """Look for cycles seldom: what a fetch leaves behind ends by itself."""
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)


def settle_the_heap() -> None:
    """Look at nothing again that is there now; it still ends when nobody refers to it.

    To be called when states were read in, and once the program itself has been.
    """
    gc.freeze()

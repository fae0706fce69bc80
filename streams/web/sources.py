"""What the pages are made of: the settings, the view, the clock; readers built once."""

import threading
from collections.abc import Callable
from typing import Any, Final, TypeVar

from streams.clock import Clock
from streams.settings import Settings
from streams.view import View

_Reader = TypeVar("_Reader")


class Sources:
    """Everything that endpoints read from; one for the process."""

    def __init__(self, settings: Settings, view: View, clock: Clock) -> None:
        """Read the view of the workspace that `settings` name."""
        self.settings: Final = settings
        self.view: Final = view.of(settings.web_workspace)
        self.clock: Final = clock
        self._made: dict[Callable[[Sources], Any], Any] = {}
        self._lock = threading.RLock()

    def one(self, make: Callable[["Sources"], _Reader]) -> _Reader:
        """Return what `make` makes of these sources, the same one every time."""
        with self._lock:
            if make not in self._made:
                self._made[make] = make(self)
            found: _Reader = self._made[make]
            return found

    def let_go(self) -> None:
        """Have readers that hold on to something let go of it."""
        with self._lock:
            made, self._made = list(self._made.values()), {}
        for reader in made:
            let_go = getattr(reader, "let_go", None)
            if callable(let_go):
                let_go()

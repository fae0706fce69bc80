"""The terminal: for trying it out, and for whoever looks at a log."""

import sys
import threading
from typing import Final, TextIO

from streams.notifiers.layout import as_text
from streams.notifiers.notifier import Parcel
from streams.sending_policy import Outcome, Retry, Sent

_RULE: Final = "─" * 72


class TerminalNotifier:
    """Writes messages to the process's output."""

    shows_state = False
    """What is written stays."""

    def __init__(self, out: TextIO | None = None) -> None:
        """Write to `out`, the standard output if None."""
        self._out = out
        self._lock = threading.Lock()

    def tell(self, parcel: Parcel) -> Outcome:
        """Write it all at once."""
        text = f"{_RULE}\n{as_text(parcel.messages).strip()}\n{_RULE}\n"
        try:
            with self._lock:
                out = self._out or sys.stdout
                out.write(text)
                out.flush()
        except (OSError, ValueError) as error:
            return Retry("unreachable", detail=type(error).__name__)
        return Sent()

    def show(self, parcel: Parcel) -> Outcome:
        """Do nothing: what is written stays."""
        return Sent(parcel.handle)

"""What the app hears of the topics for managers: begun with the first who asks."""

import time
from typing import Final

from streams.web.reading.following import Follower
from streams.web.reading.ranking import RankingBook
from streams.web.reading.team_facts import FollowUpBook
from streams.web.sources import Sources

_POLL_SECONDS: Final = 0.05


class Heard:
    """The books, and the thread that fills them."""

    def __init__(self, sources: Sources) -> None:
        """Begin to read."""
        self.team: Final = FollowUpBook()
        self.ranking: Final = RankingBook()
        self._follower = Follower(sources.settings, (self.team, self.ranking))
        self._follower.start()

    @property
    def is_complete(self) -> bool:
        """Whether all that was there at the start has been read."""
        return self._follower.has_read_all

    @property
    def trouble(self) -> str:
        """Why nothing is heard just now; empty while all is well."""
        return self._follower.trouble

    def wait(self, seconds: float = 1.5) -> bool:
        """Return whether everything has been read, after `seconds` at the most."""
        deadline = time.monotonic() + seconds
        while not self.is_complete and not self.trouble:
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_SECONDS)
        return self.is_complete

    def let_go(self) -> None:
        """Stop reading."""
        self._follower.stop()

"""Lanes: several messages on their way at once, those of one lead in order."""

import threading
import zlib
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Final

import structlog

from streams.delivery.journal import StoppedError

_POLL_SECONDS: Final = 0.2
_log = structlog.get_logger(__name__)

Work = Callable[[], None]


class Lanes:
    """Threads that each do their work in the order in which it was given."""

    def __init__(self, name: str, count: int, stop: threading.Event) -> None:
        """Start `count` lanes, which end when `stop` is set."""
        self._stop = stop
        self._queues: list[SimpleQueue[Work]] = [SimpleQueue() for _ in range(count)]
        self.problem: BaseException | None = None
        self._threads = [
            threading.Thread(
                target=self._run, args=(queue,), name=f"{name}-{number}", daemon=True
            )
            for number, queue in enumerate(self._queues)
        ]
        for thread in self._threads:
            thread.start()

    def give(self, key: str, work: Work) -> None:
        """Have `work` done after all that was given with the same key."""
        lane = zlib.crc32(key.encode(errors="surrogatepass")) % len(self._queues)
        self._queues[lane].put(work)

    def join(self) -> None:
        """Return when every lane has ended."""
        for thread in self._threads:
            thread.join()

    def _run(self, queue: SimpleQueue[Work]) -> None:
        while not self._stop.is_set():
            try:
                work = queue.get(timeout=_POLL_SECONDS)
            except Empty:
                continue
            try:
                work()
            except StoppedError:
                return
            except BaseException as problem:  # noqa: BLE001 - raised by the feed
                _log.exception("lane_ended")
                self.problem = problem
                self._stop.set()
                return

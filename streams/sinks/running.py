"""Sinks at work in this process: all of a deployment's, or one to fill or to check."""

import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, Self

import structlog

from streams import metrics
from streams.errors import UserError
from streams.sending_policy import Sender, SendingPolicy
from streams.sinks.connecting import connect, connect_crm
from streams.sinks.feed import SinkFeed
from streams.sinks.language import Sink
from streams.sinks.reading import latest_rows
from streams.sinks.reconciling import Line, reconcile
from streams.suppression_feed import follow_suppressions, load_suppressions

if TYPE_CHECKING:
    from streams.settings import Settings

_PATIENCE_SECONDS: Final = 120.0
"""How long a person at the terminal waits for a CRM that does not answer."""
_RESULTS: Final = (
    "written",
    "created",
    "cleared",
    "same",
    "older",
    "unknown",
    "no-key",
    "suppressed",
    "unreadable",
    "refused",
)

_log = structlog.get_logger(__name__)


class SinkEndedError(UserError):
    """A sink ended by itself."""

    def __init__(self, name: str, error: BaseException) -> None:
        """Say which, and of what."""
        told = str(error) if isinstance(error, UserError) else type(error).__name__
        super().__init__(f"the sink '{name}' ended: {told}")


class RunningSinks:
    """Sinks in threads of their own, beside whatever else a role does."""

    def __init__(
        self, settings: "Settings", sinks: Sequence[Sink], stop: threading.Event
    ) -> None:
        """Start every sink; each ends when `stop` is set.

        Raises
        ------
        UserError
            When a secret or a client is missing; then none was started.
        """
        self._stop = stop
        self._ended: list[SinkEndedError] = []
        writers = [connect(sink, settings) for sink in sinks]
        known = load_suppressions(settings)
        follow_suppressions(settings, known, stop)
        self._feeds = feeds = [
            SinkFeed(sink, settings, writer, known)
            for sink, writer in zip(sinks, writers, strict=True)
        ]
        self._threads = [
            threading.Thread(target=self._run, args=(sink.sink, feed), name=feed.group)
            for sink, feed in zip(sinks, feeds, strict=True)
        ]
        for thread in self._threads:
            thread.start()
        _log.info("sinks_running", sinks=[sink.sink for sink in sinks])

    def __enter__(self) -> Self:
        """Return the sinks."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop all of them and wait until each has left its group."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def not_ready(self) -> str | None:
        """Say which sinks have no place in their groups yet; None when all have."""
        told = filter(None, (feed.not_ready() for feed in self._feeds))
        return "; ".join(told) or None

    def stuck(self) -> str | None:
        """Say which sinks read no more; None when all is well."""
        return "; ".join(filter(None, (feed.stuck() for feed in self._feeds))) or None

    def wait(self) -> None:
        """Return when `stop` is set.

        Raises
        ------
        SinkEndedError
            When a sink ended by itself.
        """
        self._stop.wait()
        if self._ended:
            raise self._ended[0]

    def _run(self, name: str, feed: SinkFeed) -> None:
        try:
            feed.run(self._stop)
        except Exception as error:  # noqa: BLE001 - told by `wait`
            _log.error("sink_ended", sink=name, error=type(error).__name__)
            self._ended.append(SinkEndedError(name, error))
            self._stop.set()


def backfill_sink(
    settings: "Settings", sink: Sink, stop: threading.Event
) -> dict[str, int]:
    """Write every lead's latest score; return what became of them, by result.

    Raises
    ------
    UserError
        When the sink is running elsewhere, or cannot be.
    """
    known = load_suppressions(settings)
    feed = SinkFeed(sink, settings, connect(sink, settings), known, again=True)
    before = _results(sink)
    feed.run(stop)
    return {name: count - before[name] for name, count in _results(sink).items()}


def reconcile_sink(settings: "Settings", sink: Sink) -> Iterator[Line]:
    """Yield what the CRM says of every lead of the topic.

    Raises
    ------
    UserError
        When the CRM or the broker does not answer.
    """
    crm = connect_crm(sink, settings)
    policy = SendingPolicy(rate=sink.attempts, give_up_seconds=_PATIENCE_SECONDS)
    sender = Sender(f"sink.{sink.sink}", policy, threading.Event())
    rows = latest_rows(settings, sink, load_suppressions(settings))
    yield from reconcile(rows, crm, sender, sink.most)


def _results(sink: Sink) -> dict[str, int]:
    counter = metrics.SINK_RECORDS
    return {
        name: int(counter.labels(sink=sink.sink, result=name)._value.get())  # noqa: SLF001 - the library has no public name for it
        for name in _RESULTS
    }

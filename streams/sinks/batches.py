"""Batches on their way into the CRM: tried again, split where refused, then done."""

from typing import Final

import structlog

from streams import metrics
from streams.sending_policy import Outcome, Refuse, Retry, Sender, Sent
from streams.sinks.answers import Answers, Done, Writer
from streams.sinks.waiting import Waiting, WaitingRows

_log: Final = structlog.get_logger(__name__)


def count(sink: str, result: str) -> None:
    """Count what became of a lead's record."""
    metrics.SINK_RECORDS.labels(sink=sink, result=result).inc()


class Batches:
    """Writes batches into one CRM until it has them, or will never take them."""

    def __init__(
        self, sink: str, rows: WaitingRows, writer: Writer, sender: Sender
    ) -> None:
        """Write for `sink` what `rows` gives out."""
        self._sink = sink
        self._rows = rows
        self._writer = writer
        self._sender = sender

    def send(self, batch: list[Waiting]) -> None:
        """Write a batch; where the CRM refuses it whole, find out whose fault it is.

        When the process is to end it is left as it is, and read again later.
        """
        trip = _Trip(batch)
        result = self._sender.send(lambda: self._attempt(trip))
        if not isinstance(result, Refuse):
            return
        if len(trip.left) == 1:
            self._finish(trip.left[0], result)
            return
        middle = len(trip.left) // 2
        for half in (trip.left[:middle], trip.left[middle:]):
            self.send(half)

    def _attempt(self, trip: "_Trip") -> Outcome:
        trip.left = self._rows.latest(trip.left)
        if not trip.left:
            return Sent()
        answers: Answers = self._writer.write([each.row for each in trip.left])
        if not isinstance(answers, list):
            return answers
        again: list[Waiting] = []
        later: Retry | None = None
        for each, answer in zip(trip.left, answers, strict=True):
            if isinstance(answer, Retry):
                again.append(each)
                if later is None or (answer.after or 0) > (later.after or 0):
                    later = answer
            else:
                self._finish(each, answer)
        trip.left = again
        return Sent() if later is None else later

    def _finish(self, each: Waiting, answer: Done | Refuse) -> None:
        if isinstance(answer, Refuse):
            count(self._sink, "refused")
            _log.warning(
                "sink_refused",
                sink=self._sink,
                lead_id=each.row.lead_id,
                sequence=each.row.sequence,
                reason=answer.reason,
                detail=answer.detail,
            )
        else:
            count(self._sink, answer)
        self._rows.done([each])


class _Trip:
    """What of a batch is still to be written."""

    def __init__(self, left: list[Waiting]) -> None:
        self.left = left

"""Batches on their way into the CRM: tried again, split where refused, then done."""

import time
from collections import deque
from typing import Final

import structlog

from streams import metrics
from streams.sending_policy import Outcome, Refuse, Retry, Sender, Sent
from streams.sinks.answers import Answers, Done, Writer
from streams.sinks.waiting import Waiting, WaitingRows

_log: Final = structlog.get_logger(__name__)

_DOUBTFUL: Final = frozenset({"credentials", "misconfigured"})
"""Answers that may be about all that we do there, or about one record."""
_DOUBTS: Final = 3
"""Such answers in a row before it is found out whose fault they are."""
_MOST_PROBES: Final = 16
_WRITTEN: Final = frozenset({"written", "created", "cleared"})


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
        told = self._write(trip, trip.left)
        if not isinstance(told, Retry) or told.reason not in _DOUBTFUL:
            trip.doubts = 0
            return told
        trip.doubts += 1
        if trip.doubts < _DOUBTS or not trip.left:
            return told
        return self._judge(trip, told)

    def _write(self, trip: "_Trip", rows: list[Waiting]) -> Outcome:
        """Write rows of a trip in one request; those that are done leave it."""
        answers: Answers = self._writer.write([each.row for each in rows])
        if not isinstance(answers, list):
            return answers
        later: Retry | None = None
        for each, answer in zip([*rows], answers, strict=True):
            if isinstance(answer, Retry):
                if later is None or (answer.after or 0) > (later.after or 0):
                    later = answer
            else:
                trip.works = trip.works or answer in _WRITTEN
                trip.left.remove(each)
                self._finish(each, answer)
        return Sent() if later is None else later

    def _judge(self, trip: "_Trip", told: Retry) -> Outcome:
        """Find out whether it is one record that the CRM keeps from us, or all.

        Rows are written apart. Where any of them is taken, our credentials and the
        fields are right, so a row that is denied by itself is set aside. Where none
        is, it is nobody's fault but ours, and all wait.
        """
        middle = (len(trip.left) + 1) // 2
        parts = deque(filter(None, (trip.left[:middle], trip.left[middle:])))
        if len(trip.left) == 1:  # whether anything else is taken is to be seen
            fellows = self._rows.take(time.monotonic(), 0.0)
            trip.left += fellows
            parts.extend([fellows] if fellows else [])
        denied: list[Waiting] = []
        trip.works = False
        for _ in range(_MOST_PROBES):
            if not parts:
                break
            rows = [each for each in parts.popleft() if each in trip.left]
            answer = self._write(trip, rows) if rows else Sent()
            rows = [each for each in rows if each in trip.left]
            if isinstance(answer, Sent) or not rows:
                continue
            if not isinstance(answer, Retry) or answer.reason not in _DOUBTFUL:
                break  # another trouble: that comes first
            if len(rows) == 1:
                denied.append(rows[0])
            else:
                half = len(rows) // 2
                parts.extend((rows[:half], rows[half:]))
        if trip.works:
            trip.doubts = 0
            for each in denied:
                # Once more: it may have been before whatever was mended.
                answer = self._write(trip, [each])
                if isinstance(answer, Retry) and answer.reason in _DOUBTFUL:
                    trip.left.remove(each)
                    self._finish(each, Refuse("forbidden", answer.detail))
        return told if trip.left else Sent()

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
        self.doubts = 0
        """How often in a row the answer may have been about one record."""
        self.works = False
        """Whether the CRM took anything of it."""

"""The delivery app: each target reads alerts by itself, in nobody else's way.

A target has its own consumer group, ``<app id>.delivery.<target>``: the topic is its
queue, its committed offset is how far it got, and a target that is down falls behind
alone. What is read and not done is bounded; at the bound reading pauses.
"""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Final, TypeVar

import msgspec
import structlog
from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_INVALID,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from schemas.alert import Alert
from schemas.delivery import Delivery
from schemas.event import Event
from schemas.time import SECOND
from schemas.topics import CRM_EVENTS, NOTIFICATIONS
from scorers.memory import WORK_EVENTS
from streams import metrics
from streams.delivery.building import Scribe, build_notifier, policy_of
from streams.delivery.desk import Desk
from streams.delivery.files import read_delivery
from streams.delivery.journal import Journal, Writer, due
from streams.delivery.lanes import Lanes
from streams.delivery.language import AnyTarget, DeliveryFile
from streams.delivery.progress import Place, Progress
from streams.delivery.routing import Router
from streams.group_offsets import read_committed
from streams.kafka_access import assign_to_read, client_config
from streams.sending_policy import Sender
from streams.settings import Settings
from streams.suppression_feed import follow_suppressions, load_suppressions
from streams.suppressions import Suppressions
from streams.tracing import span_from

MOST_IN_HAND: Final = 500
"""Alerts of one target that are read and not done; then reading pauses."""

_BATCH: Final = 200
_POLL_SECONDS: Final = 0.1
_LOOK_SECONDS: Final = 0.5
"""How often it is looked whether what waits is due."""
_SWEEP_SECONDS: Final = 60.0
_FRESH: Final = 3_600 * SECOND
"""How old alerts may be that a target is told which was never told any."""

_log = structlog.get_logger(__name__)
_alert: Final = msgspec.json.Decoder(Alert).decode
_event: Final = msgspec.json.Decoder(Event).decode
_WORK_WORDS: Final = tuple(
    word.encode() for word in sorted({each.split()[0].title() for each in WORK_EVENTS})
)
"""One of them is in every event that says that sales did something."""


_T = TypeVar("_T")


class TargetFeed:
    """Reads alerts for one target."""

    def __init__(
        self, settings: Settings, desk: Desk, stop: threading.Event, lanes: int
    ) -> None:
        """Deal with alerts at `desk` until `stop` is set."""
        self._settings = settings
        self._desk = desk
        self._stop = stop
        self._clock = desk.clock
        self._lanes = Lanes(desk.name, lanes, stop)
        self._progress = Progress()
        self._finished: SimpleQueue[tuple[Place, int]] = SimpleQueue()
        self._in_flight: set[str] = set()
        """Alert ids of what waited and is being told."""
        self._landed: SimpleQueue[Sequence[str]] = SimpleQueue()
        self._paused = False
        self._looked = self._swept = 0.0
        self.ready = threading.Event()
        """Set once it has its share of the partitions."""
        self.problem: BaseException | None = None
        self._alerts = settings.topic(NOTIFICATIONS.name)
        self._consumer = Consumer(
            {
                **client_config(settings),
                "group.id": f"{settings.app_id}.delivery.{desk.name}",
                "auto.offset.reset": "earliest",
                "enable.auto.offset.store": False,
                "auto.commit.interval.ms": 1_000,
                "session.timeout.ms": 6_000,
                "heartbeat.interval.ms": 1_000,
                "fetch.wait.max.ms": 20,
                "queued.max.messages.kbytes": 4_096,
                "topic.metadata.refresh.interval.ms": 10_000,
                "allow.auto.create.topics": False,
                # So that a lead's alerts and its events are with the same member.
                "partition.assignment.strategy": "range",
                "log_level": 0,
            }
        )

    def run(self) -> None:
        """Read until asked to stop; a problem is kept in `problem`."""
        try:
            self._consumer.subscribe(
                [self._alerts, self._settings.topic(CRM_EVENTS.name)],
                on_assign=self._assigned,
                on_revoke=self._revoked,
                on_lost=self._revoked,
            )
            while not self._stop.is_set():
                self._turn()
        except BaseException as problem:  # noqa: BLE001 - raised by the app
            _log.exception("target_ended", target=self._desk.name)
            self.problem = problem
            self._stop.set()
        finally:
            self._lanes.join()
            self.problem = self.problem or self._lanes.problem
            self._settle()
            self._consumer.close()

    def _turn(self) -> None:
        first = self._consumer.poll(_POLL_SECONDS if not self._paused else 0.02)
        if first is not None:
            for message in (first, *self._consumer.consume(_BATCH - 1, timeout=0)):
                self._take(message)
        self._settle()
        self._pace()
        now = self._clock.now()
        ticks = monotonic()
        if ticks - self._looked >= _LOOK_SECONDS:
            self._looked = ticks
            self._release(now)
        if ticks - self._swept >= _SWEEP_SECONDS:
            self._swept = ticks
            self._lanes.give(
                "", lambda: self._desk.journal.sweep(now, self._desk.hidden)
            )

    def _take(self, message: Message) -> None:
        error = message.error()
        if error is not None:
            if error.fatal():
                raise KafkaException(error)
            if error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - public name
                _log.warning("broker_trouble", error=error.str())
            return
        place = (message.topic() or "", message.partition() or 0)
        offset = message.offset() or 0
        self._progress.begin(place, offset)
        found = self._work(message, place)
        if found is None:
            self._finished.put((place, offset))
            return
        key, work = found

        def run() -> None:
            with span_from(_headers(message), "deliver", target=self._desk.name):
                work()
            self._finished.put((place, offset))

        self._lanes.give(key, run)

    def _work(
        self, message: Message, place: Place
    ) -> tuple[str, Callable[[], None]] | None:
        """Return what is to be done for a record, and in which order; or nothing."""
        raw = message.value()
        if raw is None:
            return None
        try:
            if place[0] == self._alerts:
                alert = _alert(raw)
                return alert.subject, lambda: self._desk.take(alert, place[1])
            if not any(word in raw for word in _WORK_WORDS):
                return None
            event = _event(raw)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            # Not ours to judge: bad events are dead letters of the worker.
            _log.info("skipped", topic=place[0], partition=place[1], error=str(error))
            return None
        if event.name.casefold() not in WORK_EVENTS:
            return None
        lead_id = (message.key() or b"").decode("utf-8", "replace")
        return lead_id, lambda: self._desk.worked(event, lead_id)

    def _release(self, now: int) -> None:
        """Have told what waits no longer: in digests by person, else one by one."""
        held = self._desk.journal.find(lambda each: each.standing == "held")
        metrics.DELIVERY_HELD.labels(target=self._desk.name).set(len(held))
        groups: dict[str, list[Delivery]] = defaultdict(list)
        for each in due(held, now):
            if each.alert.id not in self._in_flight:
                alone = f"{each.alert.subject}\x00{each.alert.id}"
                digest = "digest\x00" + "\x00".join(each.people)
                groups[digest if each.digest else alone].append(each)
        for key, deliveries in groups.items():
            ids = [each.alert.id for each in deliveries]
            self._in_flight.update(ids)

            def run(
                deliveries: list[Delivery] = deliveries, ids: list[str] = ids
            ) -> None:
                self._desk.release(deliveries)
                self._landed.put(ids)

            lane = key if deliveries[0].digest else deliveries[0].alert.subject
            self._lanes.give(lane, run)

    def _settle(self) -> None:
        """Tell the group how far it is; forget what has landed."""
        moved: dict[Place, int] = {}
        for place, offset in _drained(self._finished):
            onward = self._progress.done(place, offset)
            if onward is not None:
                moved[place] = onward
        if moved:
            self._consumer.store_offsets(
                offsets=[
                    TopicPartition(topic, partition, offset)
                    for (topic, partition), offset in moved.items()
                ]
            )
        for ids in _drained(self._landed):
            self._in_flight.difference_update(ids)

    def _pace(self) -> None:
        """Stop reading while too much is in hand."""
        in_hand = len(self._progress)
        metrics.DELIVERY_IN_HAND.labels(target=self._desk.name).set(in_hand)
        if not self._paused and in_hand >= MOST_IN_HAND:
            self._consumer.pause(self._consumer.assignment())
            self._paused = True
        elif self._paused and in_hand <= MOST_IN_HAND // 2:
            self._consumer.resume(self._consumer.assignment())
            self._paused = False

    def _assigned(self, consumer: Consumer, given: list[TopicPartition]) -> None:
        self._desk.journal.load(
            {each.partition for each in given if each.topic == self._alerts}
        )
        assign_to_read(consumer, self._starts(consumer, given))
        self._paused = False
        self.ready.set()

    def _starts(
        self, consumer: Consumer, given: list[TopicPartition]
    ) -> list[TopicPartition]:
        """Return where to read on; a target that is new is told what is fresh only."""
        known = read_committed(consumer, given, within=10)
        new = [each for each in known if each.offset == OFFSET_INVALID]
        since = self._clock.now() - _FRESH
        found = (
            consumer.offsets_for_times(
                [TopicPartition(each.topic, each.partition, since) for each in new],
                timeout=10,
            )
            if new  # of none it cannot tell
            else []
        )
        starts = {
            (each.topic, each.partition): each.offset
            for each in known
            if each.offset != OFFSET_INVALID
        }
        fresh = []
        for each in found:
            offset = each.offset
            if each.error is not None:
                offset = OFFSET_BEGINNING
            elif offset < 0:  # nothing is as young
                _, offset = consumer.get_watermark_offsets(each, timeout=10)
            starts[each.topic, each.partition] = offset
            if offset >= 0:
                fresh.append(TopicPartition(each.topic, each.partition, offset))
        if fresh:
            # What is decided from now on must not be missed by a crash before the
            # first commit, so the beginning is committed at once.
            consumer.commit(offsets=fresh, asynchronous=False)
        return [
            TopicPartition(
                each.topic, each.partition, starts[each.topic, each.partition]
            )
            for each in given
        ]

    def _revoked(self, _: Consumer, taken: list[TopicPartition]) -> None:
        self._settle()
        self._progress.forget((each.topic, each.partition) for each in taken)
        self._desk.journal.forget(
            {each.partition for each in taken if each.topic == self._alerts}
        )


class DeliveryApp:
    """All targets of a delivery file."""

    def __init__(
        self, settings: Settings, file: DeliveryFile, stop: threading.Event
    ) -> None:
        """Prepare what `file` says; nothing is read before `run`.

        Raises
        ------
        UserError
            When a secret or a template cannot be used.
        """
        self._stop = stop
        self._settings = settings
        self._router = Router(file)
        self._clock = settings.clock()
        self._suppressions = Suppressions(settings)
        self._notifiers = {
            name: build_notifier(name, target, settings)
            for name, target in file.targets.items()
        }
        self._feeds: list[TargetFeed] = []

    def run(self) -> None:
        """Deliver until asked to stop.

        Raises
        ------
        Exception
            What ended a target; the others are stopped then.
        """
        self._suppressions = load_suppressions(self._settings)
        follow_suppressions(self._settings, self._suppressions, self._stop)
        writer = Writer(self._settings, self._stop)
        self._feeds = [
            TargetFeed(
                self._settings,
                self._desk(name, target, writer),
                self._stop,
                target.lanes,
            )
            for name, target in self._router.file.targets.items()
        ]
        threads = [
            threading.Thread(target=feed.run, name=f"feed-{number}", daemon=True)
            for number, feed in enumerate(self._feeds)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        writer.close()
        for feed in self._feeds:
            if feed.problem is not None:
                raise feed.problem

    def trouble(self) -> str | None:
        """Return what is still to come before alerts are delivered; None if nothing."""
        if not self._feeds:
            return "starting"
        waiting = [feed for feed in self._feeds if not feed.ready.is_set()]
        return "targets wait for their partitions" if waiting else None

    def _desk(self, name: str, target: AnyTarget, writer: Writer) -> Desk:
        return Desk(
            name=name,
            target=target,
            router=self._router,
            scribe=Scribe(name, target, self._router, self._settings),
            notifier=self._notifiers[name],
            sender=Sender(name, policy_of(target), self._stop),
            journal=Journal(self._settings, name, writer),
            suppressions=self._suppressions,
            clock=self._clock,
        )


def run_delivery(settings: Settings, stop: threading.Event) -> None:
    """Deliver alerts as the delivery file says until `stop` is set."""
    DeliveryApp(settings, read_delivery(settings), stop).run()


def _headers(message: Message) -> list[tuple[str, str | bytes | None]]:
    """Return a record's headers as a list, whatever the client has them in."""
    headers = message.headers()
    return [*headers.items()] if isinstance(headers, dict) else [*(headers or ())]


def _drained(queue: "SimpleQueue[_T]") -> Iterable[_T]:
    while True:
        try:
            yield queue.get_nowait()
        except Empty:
            return

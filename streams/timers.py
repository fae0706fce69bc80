"""Wake-ups: leads whose planned instant has come are looked at by their agent.

One wheel per owned partition, rebuilt from the table and never stored. A timer only
asks: it sends a `Wakeup` to the lead's own partition, and the agent that owns the
lead decides. Late, repeated and lost wake-ups are harmless. Accounts are woken in the
same way.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

import structlog

from schemas.account import AccountWakeup
from schemas.command import Wakeup
from schemas.time import Instant, to_datetime
from scorers.belonging import is_account_id
from scorers.wheel import Wheel
from streams import codec, metrics
from streams.clock import Clock
from streams.event_log import EventLog, NotDurableError, Record

if TYPE_CHECKING:
    from streams.settings import Settings

TICK_SECONDS: Final = 0.05
_AT_ONCE: Final = 1_000
"""Wake-ups sent in one tick: a wave of them must not hold up the events."""

_log = structlog.get_logger(__name__)


class Wakeups:
    """The timer wheels of the partitions that this worker owns."""

    def __init__(self, settings: "Settings", log: EventLog, clock: Clock) -> None:
        """Send wake-ups to `log`, by the time that `clock` tells."""
        self._settings = settings
        self._log = log
        self._clock = clock
        self._wheels: dict[int, Wheel] = {}

    def __len__(self) -> int:
        """Return the number of leads that are to be woken."""
        return sum(map(len, self._wheels.values()))

    def plan(self, partition: int, key: str, at: Instant | None) -> None:
        """Wake the lead or account `key` at `at`, whatever was planned before.

        None for never.
        """
        self._wheel(partition).plan(key, at)

    def plan_all(self, plans: Iterable[tuple[int, str, Instant]]) -> None:
        """Wake the keys of partitions each at its instant: whole tables at once."""
        for partition, key, at in plans:
            self._wheel(partition).hold(key, at)
        for wheel in self._wheels.values():
            wheel.sort()

    def _wheel(self, partition: int) -> Wheel:
        wheel = self._wheels.get(partition)
        if wheel is None:
            wheel = self._wheels[partition] = Wheel()
        return wheel

    def drop(self, partitions: Iterable[int]) -> None:
        """Forget the plans of partitions that belong to another worker."""
        for partition in partitions:
            self._wheels.pop(partition, None)

    async def tick(self, is_caught_up: Callable[[int], bool]) -> int:
        """Wake the leads that are due; return how many.

        While a partition has events waiting, its leads are not woken: their own past
        is settled first, in its order.
        """
        now = self._clock.now()
        due: list[tuple[int, Instant, str]] = []
        for partition, wheel in self._wheels.items():
            at = wheel.next_at()
            if at is not None and at <= now and is_caught_up(partition):
                room = _AT_ONCE - len(due)
                due += [(partition, *each) for each in wheel.pop_due(room, now)]
        if due:
            await self._wake(due)
        metrics.WAKEUPS_PENDING.set(len(self))
        return len(due)

    async def _wake(self, due: list[tuple[int, Instant, str]]) -> None:
        try:
            await self._log.append(
                [self._record(partition, at, key) for partition, at, key in due]
            )
        except NotDurableError as error:
            # The next tick tries again; a second wake-up does no harm.
            _log.warning("wakeups_delayed", leads=len(due), error=str(error))
            for partition, at, key in due:
                if partition in self._wheels:
                    self.plan(partition, key, at)
            return
        metrics.WAKEUPS.inc(len(due))
        metrics.WAKEUP_LAG.observe(self._clock.seconds_since(min(d[1] for d in due)))

    def _record(self, partition: int, at: Instant, key: str) -> Record:
        moment = to_datetime(at)
        output = (
            codec.account_wakeup_output(AccountWakeup(account_id=key, at=moment))
            if is_account_id(key)
            # What is planned for a slot beside the primary names the slot, too.
            else codec.command_output(
                Wakeup(lead_id=key.rpartition("/")[2], at=moment), ()
            )
        )
        topic = self._settings.topic(output.topic)
        key = key.rpartition("/")[2]
        return Record(topic, key.encode(), output.value, [*output.headers], partition)

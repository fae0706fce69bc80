"""The capacity of the people: moves thresholds so that they can deal with what is hot.

One worker does it, the owner of the first partition of the commands. It counts the
published scores and publishes a threshold as a version of the model, which every
worker meets in the log. Where no model asks for a capacity, nothing is read.
"""

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import structlog

from schemas.time import SECOND, Instant, Millis, to_instant
from schemas.workspace import DEFAULT_WORKSPACE
from scorers.capacity import Move, decide
from scorers.compiled import CompiledModel
from scorers.versions import Versions
from streams import metrics
from streams.clock import Clock
from streams.event_log import EventLog, NotDurableError
from streams.model_book import ModelBook
from streams.model_log import publish, version_of
from streams.score_follower import ScoreFollower

if TYPE_CHECKING:
    from streams.settings import Settings

LOOK_SECONDS: Final = 0.5
"""How often it looks."""

PARTITION: Final = 0
"""Whoever owns this partition looks."""

_HEARD_AGAIN: Final[Millis] = 30 * SECOND
"""How long its own version may be on its way until it is published anew."""

_log = structlog.get_logger(__name__)


class Capacity:
    """Keeps the thresholds of alerts with a capacity where they belong."""

    def __init__(
        self,
        settings: "Settings",
        *,
        log: EventLog,
        clock: Clock,
        models: ModelBook,
        partitions: int,
        workspace: str = DEFAULT_WORKSPACE,
    ) -> None:
        """Look at nothing yet; then at the leads of `workspace`."""
        self._workspace = workspace
        self._settings = settings
        self._log = log
        self._clock = clock
        self._models = models
        self._partitions = partitions
        self._follower: ScoreFollower | None = None
        self._told: set[str] = set()
        """The alerts that the metrics tell of."""
        self._awaited: Instant = 0
        """When the version comes into force that was published last."""

    async def look(self, *, owner: bool) -> None:
        """Move the thresholds that belong elsewhere, if it is on us to do so."""
        if not owner:
            await self.rest()
            return
        now = self._clock.now()
        versions = self._models.primary(PARTITION, self._workspace)
        model = versions.at(now).model
        if not model.limited:
            await self.rest()
            return
        follower = await self._followed(model)
        await follower.read()
        awaited = self._awaited
        on_its_way = versions.last.at < awaited and now < awaited + _HEARD_AGAIN
        if follower.complete and versions.last.at <= now and not on_its_way:
            await self._decide(model, versions, follower, now)

    async def rest(self) -> None:
        """Read nothing and say nothing, until it is on us to look."""
        follower, self._follower = self._follower, None
        if follower is not None:
            for gauge in (metrics.THRESHOLD, metrics.LEADS_ABOVE, metrics.CAPACITY):
                for alert in self._told:
                    gauge.remove(alert, self._workspace)
            self._told.clear()
            await follower.close()

    async def _followed(self, model: CompiledModel) -> ScoreFollower:
        follower = self._follower
        if follower is not None and follower.scores.counted.scale != model.scale:
            await self.rest()
            follower = None
        if follower is None:
            follower = ScoreFollower(
                self._settings, self._partitions, model.scale, self._workspace
            )
            self._follower = follower
        return follower

    async def _decide(
        self,
        model: CompiledModel,
        versions: Versions,
        follower: ScoreFollower,
        now: Instant,
    ) -> None:
        moves: dict[str, Move] = {}
        for alert, capacity in model.limited:
            moved_at = versions.moved_at(alert.name, now)
            counted = follower.scores.counted
            move = decide(capacity, counted, alert.enter, moved_at, now)
            place = alert.name, self._workspace
            self._told.add(alert.name)
            metrics.THRESHOLD.labels(*place).set(alert.enter)
            metrics.LEADS_ABOVE.labels(*place).set(move.above)
            metrics.CAPACITY.labels(*place).set(move.leads)
            if move.moves:
                moves[alert.name] = move
        if moves:
            await self._publish(model, moves, now)

    async def _publish(
        self, model: CompiledModel, moves: dict[str, Move], now: Instant
    ) -> None:
        thresholds = {
            **model.ref.thresholds,
            **{alert: move.threshold for alert, move in moves.items()},
        }
        version = version_of(
            model.base,
            "",  # every worker has the text: it is in force
            now=now,
            workspace=self._workspace,
            # What is where the text says so need not be said.
            thresholds=model.with_thresholds(thresholds).ref.thresholds,
            note="; ".join(_told(alert, move) for alert, move in moves.items()),
        )
        try:
            await publish(self._settings, self._log, version, self._partitions)
        except NotDurableError as error:
            _log.warning("threshold_not_published", error=str(error))
            return
        self._awaited = to_instant(version.at)
        for alert, move in moves.items():
            metrics.THRESHOLD_MOVES.labels(alert, move.reason, self._workspace).inc()
            _log.info(
                "threshold_moved",
                alert=alert,
                threshold=move.threshold,
                reason=move.reason,
                above=move.above,
                capacity=move.leads,
            )


class Capacities:
    """The capacities of every workspace that has a model of its own, and the default.

    Nobody's leads count for anybody else's people.
    """

    def __init__(self, settings: "Settings", *, models: ModelBook, **works_with: Any):
        """Look at nothing yet."""
        self._models = models
        self._make = partial(Capacity, settings, models=models, **works_with)
        self._of: dict[str, Capacity] = {}

    async def look(self, *, owner: bool) -> None:
        """Move the thresholds that belong elsewhere, if it is on us to do so."""
        for workspace in self._models.workspaces(PARTITION):
            if workspace not in self._of:
                self._of[workspace] = self._make(workspace=workspace)
        for each in self._of.values():
            await each.look(owner=owner)

    async def rest(self) -> None:
        """Read nothing and say nothing, until it is on us to look."""
        for each in self._of.values():
            await each.rest()


def _told(alert: str, move: Move) -> str:
    return (
        f"{alert} from {move.threshold:g}: {move.above} leads hot, {move.leads} can be "
        "dealt with"
    )

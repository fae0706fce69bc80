"""The composition root of the worker: a Faust app, made by a factory.

There is no app at module level: every test and every process makes its own.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, cast

import faust
import structlog
from yarl import URL

from schemas.score import ModelRef
from schemas.time import Instant
from schemas.topics import ACCOUNT_STATE, LEAD_STATE, SIDE_STATE, Topic
from scorers.compiled import CompiledModel
from streams import metrics
from streams.agents.accounts import Accounts
from streams.agents.erasing import Erasing
from streams.agents.roster import Roster
from streams.agents.scoring import Scoring
from streams.agents.sides import Sides
from streams.capacity import LOOK_SECONDS, PARTITION, Capacities
from streams.clock import Clock
from streams.event_log import EventLog
from streams.heap import Sweeper, settle_the_heap, undisturbed
from streams.model_book import ModelBook
from streams.suppressions import Suppressions
from streams.tables import AccountTable, Kept, LeadTable, SideTable
from streams.timers import TICK_SECONDS, Wakeups
from streams.tracing import batch_span
from streams.transport.consumer import BatchConsumer, BatchTransport, NotOwnerError
from streams.transport.credentials import faust_credentials
from streams.transport.progress import Fetch, Partition
from streams.transport.recovery import StateTables, TableOwner
from streams.transport.snapshot_taker import TIDY_SECONDS, SnapshotTaker
from streams.transport.snapshots import SnapshotFolder
from streams.transport.standby import Standby

if TYPE_CHECKING:
    from faust.stores.memory import Store

    from streams.settings import Settings

SOURCES: Final = (*Scoring.sources, *Accounts.sources)
"""What the worker reads; co-partitioned with its changelogs."""

_HEARTBEATS: Final = 6
"""Heartbeats in a session: one that is late or lost is no reason to lose it."""
_REBALANCE_SECONDS: Final = 30.0
_COMMIT_SECONDS: Final = 1.0
_SILENT_SESSIONS: Final = 2
"""Sessions without a word of the coordinator until a worker says it is not ready."""
_SLOW_SECONDS: Final = 15.0
_STUCK_SECONDS: Final = 300.0
"""Longer than both writes of a fetch may take before the worker gives up by itself."""

_log = structlog.get_logger(__name__)

OnFailure = Callable[[BaseException], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What the worker needs from the outside."""

    log: EventLog
    clock: Clock
    model: CompiledModel
    """In force as long as no version was published."""
    partitions: int
    """Of the event topics, the commands and the changelog alike."""
    on_failure: OnFailure
    """Told once of what the worker must not survive."""


class WorkerApp(faust.App):
    """A Faust app that keeps nothing on disk and knows whether it is ready."""

    settings: "Settings"
    owner: TableOwner
    roster: Roster
    models: ModelBook
    wakeups: Wakeups
    capacity: Capacities
    writing: asyncio.Lock
    """Held by who is writing states."""
    failed: bool = False
    _told: Mapping[str, ModelRef] | None = None

    @property
    def batches(self) -> BatchConsumer:
        """The consumer, as what it is."""
        return cast("BatchConsumer", self.consumer)

    def not_ready(self) -> str | None:
        """Return why no events are being scored just now, None if they are.

        It is asked from other threads, so it must touch plain attributes only: the
        first look at a Faust service binds it to the event loop of the one who looks.
        """
        if self.should_stop:
            return "stopping"
        if self.in_recovery:
            return "recovering the tables"
        if self.rebalancing or not self.tables.actives_ready:
            return "waiting for partitions"
        silent, in_hand = self.silent_seconds, self.in_hand_seconds
        if silent > _SILENT_SESSIONS * self.conf.broker_session_timeout:
            return f"Kafka has not been heard for {silent:.0f} s"
        if in_hand > _SLOW_SECONDS:
            return f"at one fetch for {in_hand:.0f} s: does Kafka acknowledge?"
        return None

    def stuck(self) -> str | None:
        """Return why only a new start can help, None if nothing says so.

        While Kafka itself is away a new start would help nobody. From other threads,
        too.
        """
        in_hand = self.in_hand_seconds
        if in_hand < _STUCK_SECONDS or self.silent_seconds > _SLOW_SECONDS:
            return None
        return f"at one fetch for {in_hand:.0f} s, and Kafka answers"

    @property
    def in_hand_seconds(self) -> float:
        """How long the worker has been at the fetch it took; 0 if it is at none."""
        consumer = cast("BatchConsumer | None", self._consumer)
        return 0.0 if consumer is None else consumer.in_hand_seconds

    @property
    def silent_seconds(self) -> float:
        """How long the group's coordinator has not been heard."""
        consumer = cast("BatchConsumer | None", self._consumer)
        return 0.0 if consumer is None else consumer.silent_seconds

    def is_caught_up(self, partition: int) -> bool:
        """Say whether every record of this partition number was scored."""
        settings = self.owner.settings
        return self.batches.is_caught_up(
            Partition(settings.topic(topic.name), partition) for topic in SOURCES
        )

    def tell_model(self, now: Instant) -> None:
        """Let the metrics know what is in force at `now`."""
        partition = min(self.owner.tables[LEAD_STATE].partitions, default=None)
        if partition is None:
            return
        refs = {
            workspace: self.models.primary(partition, workspace).at(now).model.ref
            for workspace in self.models.workspaces(partition)
        }
        if refs != self._told:
            self._told = refs
            metrics.MODEL_INFO.clear()
            for workspace, ref in refs.items():
                told = ref.name, ref.version, ref.digest, workspace
                metrics.MODEL_INFO.labels(*told).set(1)

    async def on_stop(self) -> None:
        """Let go of what is kept of other workers' partitions, too."""
        await super().on_stop()
        if self.owner.standby is not None:
            await asyncio.to_thread(self.owner.standby.close)

    def _create_directories(self) -> None:
        """Make no folders: the state is in the changelog."""


class FetchSchema(faust.Schema[Any, Any]):
    """Hands the fetch to the agent as it is; bytes are decoded per record."""

    def loads_key(self, app: Any, message: Any, **_: Any) -> Any:  # noqa: ARG002
        """Return nothing: a fetch has no key."""
        return None

    def loads_value(self, app: Any, message: Any, **_: Any) -> Any:  # noqa: ARG002
        """Return the fetch."""
        return message.value


def bare_app(settings: "Settings", partitions: int) -> WorkerApp:
    """Return an app that consumes in batches, with no table and no agent yet."""
    who = settings.worker_id or f"{socket.gethostname()}-{os.getpid()}"
    app = WorkerApp(
        f"{settings.app_id}.scoring",
        broker=[
            URL(f"kafka://{each.strip()}") for each in settings.bootstrap.split(",")
        ],
        broker_credentials=faust_credentials(settings),
        broker_client_id=f"{settings.app_id}-worker",
        broker_session_timeout=settings.session_seconds,
        broker_heartbeat_interval=settings.session_seconds / _HEARTBEATS,
        broker_rebalance_timeout=_REBALANCE_SECONDS,
        broker_commit_interval=_COMMIT_SECONDS,
        consumer_group_instance_id=settings.worker_id,
        # Tells workers apart; nothing is served there.
        canonical_url=URL(f"http://{who}.invalid"),
        store=URL("memory://"),
        table_standby_replicas=settings.standby_replicas,
        topic_partitions=partitions,
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        TableManager=StateTables,
    )
    app.transport = BatchTransport(app.conf.broker_consumer, app)
    app.settings = settings
    app.writing = asyncio.Lock()
    return app


def store_of(app: WorkerApp, topic: str) -> MutableMapping[str, Kept]:
    """Return the data of a new table whose changelog is `topic`."""
    table = app.Table(
        topic,
        partitions=app.conf.topic_partitions,
        changelog_topic=app.topic(topic, compacting=True),
    )
    return cast("Store[str, Kept]", table.data).data


def create_app(settings: "Settings", ports: Ports) -> WorkerApp:
    """Return a worker's app, wired but not started."""
    app = bare_app(settings, ports.partitions)

    def store(changelog: Topic) -> MutableMapping[str, Kept]:
        return store_of(app, settings.topic(changelog.name))

    leads = LeadTable(store(LEAD_STATE))
    companies = AccountTable(store(ACCOUNT_STATE))
    beside = SideTable(store(SIDE_STATE))
    app.models = models = ModelBook(ports.model)
    app.wakeups = wakeups = Wakeups(settings, ports.log, ports.clock)
    suppressions = Suppressions(settings)
    works_with: dict[str, Any] = {
        "models": models,
        "wakeups": wakeups,
        "log": ports.log,
        "clock": ports.clock,
        "partitions": ports.partitions,
        "suppressions": suppressions,
    }
    app.roster = roster = Roster(
        sides=Sides(settings, table=beside, leads=leads, **works_with),
        scoring=Scoring(settings, table=leads, **works_with),
        accounts=Accounts(settings, table=companies, **works_with),
        wakeups=wakeups,
        erasing=Erasing(
            settings,
            models=models,
            leads=leads,
            beside=beside,
            wakeups=wakeups,
            log=ports.log,
            partitions=ports.partitions,
            suppressions=suppressions,
        ),
    )

    app.capacity = Capacities(
        settings,
        log=ports.log,
        clock=ports.clock,
        models=models,
        partitions=ports.partitions,
    )

    def on_change(dropped: frozenset[int], adopted: frozenset[int]) -> None:
        wakeups.drop(dropped)
        wakeups.plan_all(
            chain.from_iterable(t.wakeups(adopted) for t in (leads, companies))
        )
        for partition in adopted:
            roster.plan(partition)
        settle_the_heap()
        metrics.LEADS.set(len(leads))
        metrics.ACCOUNTS.set(len(companies))

    tables = cast("StateTables", app.tables)
    app.owner = tables.owner = TableOwner(
        settings=settings,
        tables={LEAD_STATE: leads, SIDE_STATE: beside, ACCOUNT_STATE: companies},
        sources=SOURCES,
        log=ports.log,
        models=models,
        suppressions=suppressions,
        on_change=on_change,
        clock=ports.clock,
    )
    if settings.standby_replicas:
        app.owner.standby = Standby(settings)
    if settings.snapshot_seconds:
        app.owner.snapshots = SnapshotFolder(settings)
        taker = SnapshotTaker(
            settings,
            tables=app.owner.tables,
            log=ports.log,
            clock=ports.clock,
            confirm=partial(_confirm_states, app),
            writing=app.writing,
        )
        _add_snapshots(app, taker, settings.snapshot_seconds)
    add_agent(app, [settings.topic(topic.name) for topic in SOURCES], ports.on_failure)
    _add_timers(app, ports)
    return app


def add_agent(app: WorkerApp, topics: Iterable[str], on_failure: OnFailure) -> None:
    """Let the roster of `app` work on what comes by `topics`."""
    sources = app.topic(*topics, schema=FetchSchema())
    sweeper = Sweeper()

    @app.agent(sources, name="scoring")
    async def scoring(stream: Any) -> None:
        """Score fetch after fetch; anything but bad input ends the worker."""
        # Not acknowledged by Faust: positions move only when `leave` says so.
        async for fetch in stream.noack():
            if not app.failed and app.batches.take(fetch):
                records = len(fetch)
                await _score(app, fetch, on_failure)
                fetch.release()
                sweeper.after(records)


async def _score(app: WorkerApp, fetch: Fetch, on_failure: OnFailure) -> None:
    consumer = app.batches
    durable = False
    try:
        headers = (r.headers for batch in fetch.batches for r in batch.records)
        with batch_span("score", headers, events=len(fetch)):
            async with app.writing:
                confirm = partial(consumer.confirm_ownership, fetch)
                with undisturbed():
                    await app.roster.process(fetch, confirm)
        durable = True
    except NotOwnerError:
        # It will be read again, by whoever owns the partitions now.
        _log.warning("fetch_abandoned", records=len(fetch), detail="partitions lost")
    except Exception as error:  # noqa: BLE001 - Faust would go on without the records
        app.failed = True
        on_failure(error)
    finally:
        if not durable:  # some of it may be on the changelog and not in the tables
            app.owner.distrust()
        consumer.leave(fetch, durable=durable)


def _add_timers(app: WorkerApp, ports: Ports) -> None:
    @app.timer(TICK_SECONDS, name="wakeups")  # type: ignore[untyped-decorator] # Faust's
    async def wake() -> None:
        """Wake the leads and accounts that are due."""
        if app.failed or app.not_ready() is not None:
            return
        try:
            await app.wakeups.tick(app.is_caught_up)
            app.tell_model(ports.clock.now())
        except Exception as error:  # noqa: BLE001 - it would end without a word
            app.failed = True
            ports.on_failure(error)

    @app.timer(LOOK_SECONDS, name="capacity")  # type: ignore[untyped-decorator] # Faust's
    async def look() -> None:
        """Move the thresholds that follow what people can deal with."""
        if app.failed or app.not_ready() is not None:
            return
        try:
            owned = app.owner.tables[LEAD_STATE].partitions
            await app.capacity.look(owner=PARTITION in owned)
        except Exception as error:  # noqa: BLE001 - it would end without a word
            app.failed = True
            ports.on_failure(error)


async def _confirm_states(app: WorkerApp) -> None:
    """Return if the tables hold what this worker wrote, and nobody else may write.

    Raises
    ------
    NotOwnerError
        When that is not certain: what was begun on did not come to its end, or the
        partitions were assigned anew since.
    """
    generation = app.owner.generation
    if app.failed or generation is None:
        raise NotOwnerError
    await app.batches.confirm_membership(generation)


def _add_snapshots(app: WorkerApp, taker: SnapshotTaker, seconds: float) -> None:
    @app.timer(TIDY_SECONDS, name="snapshots-tidied")  # type: ignore[untyped-decorator] # Faust's
    async def tidy() -> None:
        """Let no snapshot hold what was removed."""
        taker.tidy()

    @app.timer(seconds, name="snapshots")  # type: ignore[untyped-decorator] # Faust's
    async def take() -> None:
        """Take snapshots; to do without them is no failure."""
        if app.failed or app.not_ready() is not None:
            return
        try:
            await taker.take()
        except Exception:  # noqa: BLE001 - the timer would end without a word
            metrics.SNAPSHOTS.labels("failed").inc()
            _log.exception("snapshots_failed")

"""The worker role: scores events until it is told to stop, or must not go on."""

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import structlog
import uvloop

from schemas.topics import TOPICS
from streams import metrics
from streams.app import Ports, WorkerApp, create_app
from streams.bulk_log import BulkLog
from streams.errors import UserError
from streams.event_log import NotDurableError
from streams.heap import spare_the_states
from streams.metrics_server import start_metrics_server
from streams.model_files import read_model_text
from streams.model_log import settle_model
from streams.suppression_feed import load_suppressions
from streams.topics_admin import check_topics, shared_partitions
from streams.worker_endings import count_endings, note_ending

if TYPE_CHECKING:
    from scorers.compiled import CompiledModel
    from streams.settings import Settings

_DURABLE_SECONDS: Final = 60.0
"""How long the broker may take to acknowledge; then the worker gives up, loudly."""
_STOP_SECONDS: Final = 20.0
_STUCK_SECONDS: Final = 30.0
_PULSE_SECONDS: Final = 0.5
_SWITCH_SECONDS: Final = 0.0005
"""How long a thread may keep Python from the events: snapshots are taken in others.

Each wait for Kafka lets go of Python's lock, and a thread that computes would give it
back after 5 ms, ten times in a fetch (ADR 0051).
"""

_log = structlog.get_logger(__name__)


class WorkerFailedError(UserError):
    """The worker met what it must not survive; what it had in hand is read again."""


def run_worker(settings: "Settings") -> None:
    """Score events until SIGTERM or SIGINT.

    Raises
    ------
    UserError
        When it cannot start, or cannot go on; the text says why.
    """
    given = read_model_text(settings.model_path)
    partitions = shared_partitions(check_topics(settings))
    load_suppressions(settings)  # without the key people were erased with: not a step
    # Faust's services announce every step at INFO.
    for name in ("streams.app", "streams.transport"):
        logging.getLogger(name).setLevel(logging.WARNING)
    spare_the_states()
    sys.setswitchinterval(_SWITCH_SECONDS)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(settings, given, partitions))


class _Pulse:
    """Shows from another thread that the event loop still turns."""

    def __init__(self) -> None:
        self._at = time.monotonic()

    async def beat(self) -> None:
        while True:
            self._at = time.monotonic()
            await asyncio.sleep(_PULSE_SECONDS)
            late = time.monotonic() - self._at - _PULSE_SECONDS
            metrics.LOOP_LAG.set(max(0.0, late))

    def stuck(self) -> str | None:
        silent = time.monotonic() - self._at
        return f"stuck for {silent:.0f} s" if silent > _STUCK_SECONDS else None


async def _run(
    settings: "Settings", given: tuple[str, "CompiledModel"], partitions: int
) -> None:
    loop = asyncio.get_running_loop()
    over: asyncio.Future[None] = loop.create_future()

    def stop() -> None:
        if not over.done():
            over.set_result(None)

    def fail(error: BaseException) -> None:
        if not over.done():
            over.set_exception(error)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    log = BulkLog(
        settings.model_copy(update={"produce_timeout_seconds": _DURABLE_SECONDS}),
        name="worker",
        topics=TOPICS,
    )
    model = await _settled(settings, log, partitions, given)
    ports = Ports(
        log=log,
        clock=settings.clock(),
        model=model,
        partitions=partitions,
        on_failure=fail,
    )
    app = create_app(settings, ports)
    count_endings(settings)
    metrics.FETCH_IN_HAND.set_function(lambda: app.in_hand_seconds)
    pulse = _Pulse()
    port = start_metrics_server(
        settings,
        "worker",
        probes={
            "/healthz": lambda: pulse.stuck() or app.stuck(),
            "/readyz": app.not_ready,
        },
    )
    _log.info("worker_starting", partitions=partitions, metrics_port=port)
    watchers = [
        asyncio.create_task(pulse.beat()),
        asyncio.create_task(_watch(app, fail)),
    ]
    starting = asyncio.create_task(app.start())
    try:
        await asyncio.wait({starting, over}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            await starting
        await over
    except UserError as error:
        note_ending(settings, error)
        raise
    except Exception as error:
        note_ending(settings, error)
        _log.exception("worker_failed")
        raise WorkerFailedError(_explain(error)) from error
    finally:
        starting.cancel()
        await _stop(app, log)
        for watcher in watchers:
            watcher.cancel()
    _log.info("worker_stopped")


async def _settled(
    settings: "Settings",
    log: BulkLog,
    partitions: int,
    given: tuple[str, "CompiledModel"],
) -> "CompiledModel":
    """Return the model that everything began with; publish the file's if it is new."""
    try:
        return await settle_model(
            settings, log, partitions, given, settings.clock().now()
        )
    except NotDurableError as error:
        await log.close()
        raise WorkerFailedError(_explain(error)) from None


async def _watch(app: WorkerApp, fail: Callable[[BaseException], None]) -> None:
    """Report a crash of any of Faust's services: it only logs them."""
    await app._crashed.wait()  # noqa: SLF001 - mode tells it nowhere else
    fail(app.crash_reason or RuntimeError("Faust stopped without a reason"))


async def _stop(app: WorkerApp, log: BulkLog) -> None:
    """Finish the fetch in hand, commit, leave the group; in a few seconds or hard."""
    try:
        async with asyncio.timeout(_STOP_SECONDS):
            await app.stop()
            await app.capacity.rest()
            await log.close()
    except Exception:  # noqa: BLE001 - whatever it is, the process must end
        _log.exception("stopping_failed")
        # Everything that counts is durable or will be read again; a process that
        # cannot stop must not look alive.
        os._exit(1)


def _explain(error: BaseException) -> str:
    if isinstance(error, NotDurableError):
        what = f"Kafka did not take what the worker wrote ({error})"
    else:
        what = f"{type(error).__name__}: {error}"
    return f"{what}. Nothing in hand was acknowledged: a restart goes on from there"

"""Ours: the toy work on the product's own transport, table and durable agent.

Nothing of what they promise is left out: states carry their source positions and
their outbox, changelog before outputs, outputs before acknowledgement.
"""

import asyncio
import cProfile
import os
import signal
import time
from typing import Any, cast

import uvloop

from bench.peers.toy import Job, Score, given_job
from bench.peers.toy_agent import Toy, ToyTable
from schemas.topics import Topic
from streams.agents.roster import Roster
from streams.app import WorkerApp, add_agent, bare_app, store_of
from streams.bulk_log import BulkLog
from streams.heap import settle_the_heap, spare_the_states
from streams.model_book import ModelBook
from streams.model_files import read_model
from streams.settings import Settings, load_settings
from streams.suppressions import Suppressions
from streams.timers import Wakeups
from streams.transport.recovery import StateTables, TableOwner


class ToyRoster:
    """The one agent that works on a fetch."""

    def __init__(self, agent: Toy) -> None:
        """Let `agent` have every fetch."""
        self.process = agent.process


def _topic(name: str) -> Topic:
    return Topic(name=name, key="lead", message=Score, description="toy")


def create_app(job: Job, settings: Settings) -> WorkerApp:
    """Return the worker's app with the toy agent in it."""
    app = bare_app(settings, job.partitions)
    clock = settings.clock()
    Toy.changelog = _topic(job.changelog)
    Toy.sources = (_topic(job.input),)
    log = BulkLog(
        settings,
        name="worker",
        topics=[*Toy.sources, Toy.changelog, _topic(job.output)],
    )
    table = ToyTable(store_of(app, job.changelog))
    suppressions = Suppressions(settings)
    models = ModelBook(read_model(None))
    app.wakeups = wakeups = Wakeups(settings, log, clock)
    agent = Toy(
        settings,
        models=models,
        table=table,
        wakeups=wakeups,
        log=log,
        clock=clock,
        partitions=job.partitions,
        suppressions=suppressions,
    )
    agent.output = job.output
    app.roster = cast("Roster", ToyRoster(agent))
    app.models = models
    tables = cast("StateTables", app.tables)
    app.owner = tables.owner = TableOwner(
        settings=settings,
        tables={Toy.changelog: table},
        sources=Toy.sources,
        log=log,
        models=models,
        suppressions=suppressions,
        on_change=lambda _dropped, _adopted: settle_the_heap(),
    )
    add_agent(app, [job.input], _fail)
    return app


def _fail(error: BaseException) -> None:
    raise SystemExit(repr(error)) from error


async def _run(job: Job) -> None:
    settings = load_settings(
        {}, bootstrap=job.bootstrap, app_id=job.group, partitions=job.partitions
    )
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    app: Any = create_app(job, settings)
    starting = asyncio.create_task(app.start())
    await over.wait()
    starting.cancel()
    await app.stop()


def main() -> None:
    """Score until told to stop; `PROFILE` names a file for a profile."""
    job = given_job()
    spare_the_states()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if path := os.environ.get("PROFILE"):
            with cProfile.Profile(time.thread_time) as profile:
                runner.run(_run(job))
            profile.dump_stats(path)
        else:
            runner.run(_run(job))


if __name__ == "__main__":
    main()

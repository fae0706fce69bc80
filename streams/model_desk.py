"""Where models are published from: the history, the time, and the way to the topics."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final

from schemas.model_version import PRIMARY, ModelVersion
from schemas.time import to_instant
from schemas.topics import COMMANDS, MODEL_VERSIONS
from schemas.workspace import DEFAULT_WORKSPACE
from scorers.backfill import Questions
from scorers.compiled import CompiledModel, compile_model
from scorers.loading import load_model
from streams.backfill import Taught, backfill
from streams.errors import UserError
from streams.event_log import NotDurableError, opened_log
from streams.model_log import History, mend, publish, read_history, version_of
from streams.topics_admin import check_topics, shared_partitions

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from streams.event_log import KafkaEventLog
    from streams.settings import Settings

_LOOK_SECONDS: Final = 0.05


class NoSuchVersionError(UserError):
    """Nothing was published that could come into force again."""


class ModelDesk:
    """What everybody needs who publishes: the topics, the history, the time."""

    def __init__(
        self, settings: "Settings", workspace: str = DEFAULT_WORKSPACE
    ) -> None:
        """Read what was published so far.

        Raises
        ------
        UserError
            When the topics are unfit or no broker answers.
        """
        self.settings = settings
        self.partitions = shared_partitions(check_topics(settings))
        self.all: History = read_history(settings, self.partitions)
        self.history = self.all.within(workspace)
        self.workspace = workspace
        self._clock = settings.clock()

    @property
    def now(self) -> int:
        """The time of this deployment."""
        return self._clock.now()

    def version(
        self,
        compiled: CompiledModel,
        text: str,
        *,
        slot: str,
        alerts: bool,
        note: str,
    ) -> ModelVersion:
        """Return `compiled` as it is published now.

        Raises
        ------
        PublicationError
            When the text is too large to be published.
        """
        return version_of(
            compiled,
            text,
            now=self.now,
            slot=slot,
            workspace=self.workspace,
            alerts=alerts,
            note=note,
        )

    def earlier(self, name: str, slot: str) -> ModelVersion:
        """Return the version of this version or digest, the one before if empty.

        Raises
        ------
        NoSuchVersionError
            When there is none.
        """
        versions = self.history.of(slot)
        if name:
            wanted = self.history.find(name)
        else:
            others = [each for each in versions if each.model.digest != _last(versions)]
            wanted = others[-1] if others else None
        if wanted is None:
            what = f"no version {name} was" if name else "no other version was"
            msg = f"{what} ever published; `leadpulse model history` lists them"
            raise NoSuchVersionError(msg)
        return wanted

    def text_of(self, version: ModelVersion) -> tuple[str, CompiledModel]:
        """Return the text of a version that was published, and the model it is."""
        text = self.all.text(version.model.digest) or ""
        return text, compile_model(load_model(text, version.id))

    def before(self, version: ModelVersion) -> CompiledModel | None:
        """Return the model whose memory `version` takes over; None if none is known."""
        last = (
            self.history.last(version.slot)
            or self.history.last(PRIMARY)
            # Who has published nothing yet has what everything began with.
            or next(iter(self.all.within(DEFAULT_WORKSPACE).of(PRIMARY)), None)
        )
        text = None if last is None else self.all.text(last.model.digest)
        if last is None or text is None:
            return None
        return compile_model(load_model(text, last.id))

    def publish(self, version: ModelVersion) -> None:
        """Return when `version` is durable on every partition.

        Raises
        ------
        UserError
            When Kafka did not take it; publishing it again does no harm.
        """

        async def work() -> None:
            async with self._log() as log:
                await mend(self.settings, log, self.all)
                await publish(self.settings, log, version, self.partitions)

        _run(work())

    def mend(self) -> None:
        """Return when every version is where somebody failed to put it.

        Raises
        ------
        UserError
            When Kafka did not take it.
        """

        async def work() -> None:
            async with self._log() as log:
                await mend(self.settings, log, self.all)

        _run(work())

    def teach(
        self,
        version: ModelVersion,
        compiled: CompiledModel,
        asked: Questions,
        *,
        report: Callable[[Taught], None] = lambda _: None,
    ) -> Taught:
        """Return what the new rules of a version were told of the past.

        It waits until the version is in force: what comes by then the new rules have
        not seen, so it is the past, too.

        Raises
        ------
        UserError
            When the past cannot be read, or Kafka did not take something.
        """
        done = Taught()

        async def work() -> None:
            nonlocal done
            async with self._log() as log:
                done = await backfill(
                    self.settings,
                    log,
                    version,
                    (compiled, asked),
                    self.partitions,
                    report=report,
                )

        while self.now < to_instant(version.at):
            time.sleep(_LOOK_SECONDS)
        _run(work())
        return done

    def _log(self) -> "AbstractAsyncContextManager[KafkaEventLog]":
        return opened_log(
            self.settings, name="models", topics=(MODEL_VERSIONS, COMMANDS)
        )


def _last(versions: list[ModelVersion]) -> str:
    return versions[-1].model.digest


def _run(work: Coroutine[Any, Any, None]) -> None:
    try:
        asyncio.run(work)
    except NotDurableError as error:
        msg = f"Kafka did not take it ({error}); do the same again"
        raise UserError(msg) from None

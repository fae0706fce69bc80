"""The models of a deployment: in force, before that, and drafts that are tried."""

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import structlog

from schemas.event import Event
from schemas.locale import Locale
from schemas.model_version import PRIMARY, ModelVersion
from schemas.time import EARLIEST, Instant, to_instant
from scorers.backfill import Questions, new_questions, reworded
from scorers.comparison import Life
from scorers.compiled import CompiledModel, compile_model
from scorers.loading import load_model
from streams.errors import UserError
from streams.lead_states import ChangelogLeadStates
from streams.learning_gate import gate_of
from streams.model_desk import ModelDesk
from streams.model_files import read_model_text, read_text, shipped_model, tests_of
from streams.web.reading.drafts import (
    Effect,
    TimelinesRun,
    Tried,
    effect,
    life_of,
    run_timelines,
    try_on,
)
from streams.web.reading.model_sample import SAMPLE_EVENTS, read_sample

if TYPE_CHECKING:
    from streams.settings import Settings

_SAMPLE_SECONDS: Final = 600.0
_SMALL_SECONDS: Final = 5.0
_DESK_SECONDS: Final = 5.0
_LIVES: Final = 4
"""Lives of a sample that are kept: the first, the present model's, and some drafts'."""

_log = structlog.get_logger(__name__)


class VersionRow(msgspec.Struct, frozen=True, kw_only=True):
    """A version as the history lists it."""

    id: str
    name: str
    version: str
    digest: str
    slot: str
    at: Instant
    """From when on it is in force; 0 for what all began with."""
    published_at: Instant
    note: str
    in_force: bool
    ended: bool
    moved: bool
    """Whether only thresholds were moved, by the capacity of an alert."""


class InForce(msgspec.Struct, frozen=True, kw_only=True):
    """The primary model: its text, and since when it is in force."""

    text: str
    digest: str
    name: str
    version: str
    since: Instant | None
    """0 for what all began with; None where nothing was ever published."""


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """What a publication came to."""

    id: str
    version: str
    digest: str
    at: Instant
    """From when on it is in force."""
    already: bool
    """Whether it was in force already, so that nothing was done."""
    learns: tuple[str, ...]
    """Rules and traits that are new, and are told of the past now."""
    reworded: tuple[str, ...]
    """Rules that match other events than before; what they matched stays."""


class Learning(msgspec.Struct, frozen=True, kw_only=True):
    """How far new rules have been told of the past."""

    version: str
    read: int
    sent: int
    done: bool
    error: str = ""


class UnknownLeadError(UserError):
    """The workers know no such lead."""


class Studio:
    """Reads, tries and publishes models; every method may block."""

    def __init__(self, settings: "Settings", workspace: str) -> None:
        """Work for one workspace; nothing is read yet."""
        self._settings = settings
        self._workspace = workspace
        self._lock = threading.Lock()
        self._warming = threading.Lock()
        self._reckoning = threading.Lock()
        self._desk: tuple[float, ModelDesk] | None = None
        self._sample: tuple[float, list[Event]] | None = None
        self._lives: dict[str, Life] = {}
        self.learning: Learning | None = None

    # -- what there is ------------------------------------------------------------

    def desk(self, *, fresh: bool = False) -> ModelDesk:
        """Return the history as of some seconds ago, or as of now."""
        with self._lock:
            known = self._desk
            if fresh or known is None or time.monotonic() - known[0] > _DESK_SECONDS:
                known = time.monotonic(), ModelDesk(self._settings, self._workspace)
                self._desk = known
            return known[1]

    def in_force(self) -> tuple[InForce, CompiledModel]:
        """Return the primary model, as its text and compiled."""
        desk = self.desk()
        last = desk.history.last(PRIMARY) or desk.all.last(PRIMARY)
        if last is not None:
            text, compiled = desk.text_of(last)
            since: Instant | None = _began(last)
        else:
            text, compiled = read_model_text(self._settings.model_path)
            since = None
        return (
            InForce(
                text=text,
                digest=compiled.digest,
                name=compiled.ref.name,
                version=compiled.ref.version,
                since=since,
            ),
            compiled,
        )

    def versions(self) -> list[VersionRow]:
        """Return everything that was published, the latest first."""
        desk = self.desk()
        now = desk.now
        current = {
            begun[-1].id
            for slot in desk.history.slots()
            if (
                begun := [
                    each for each in desk.history.of(slot) if to_instant(each.at) <= now
                ]
            )
        }
        rows = [
            VersionRow(
                id=each.id,
                name=each.model.name,
                version=each.model.version,
                digest=each.model.digest,
                slot=each.slot,
                at=_began(each),
                published_at=to_instant(each.published_at),
                note=each.note,
                in_force=each.id in current,
                ended=each.ended,
                moved=bool(each.thresholds),
            )
            for each in desk.history.versions
        ]
        return rows[::-1]

    def text_of(self, digest: str) -> str | None:
        """Return the text of a model that was published; None for any other."""
        return self.desk().all.text(digest)

    # -- drafts -------------------------------------------------------------------

    def try_on(self, lead_id: str, text: str, locale: Locale) -> Tried:
        """Return how a lead stands by the model in force and by the draft `text`.

        Raises
        ------
        ModelError
            When `text` is no model.
        UnknownLeadError
            When workers know no such lead.
        UserError
            When what they know cannot be read.
        """
        draft = _compiled(text)
        state = ChangelogLeadStates(self._settings).get(lead_id)
        if state is None:
            msg = f"the workers know no lead {lead_id}"
            raise UnknownLeadError(msg)
        now = self.desk().now
        return try_on((self.in_force()[1], draft), state, now, locale)

    def effect(self, text: str) -> Effect:
        """Return what the draft `text` changes on a sample of what happened.

        Raises
        ------
        ModelError
            When `text` is no model.
        UserError
            When no sample can be read.
        """
        draft, present = _compiled(text), self.in_force()[1]
        events = self.sample()
        return effect(
            self._life(present, events), self._life(draft, events), len(events)
        )

    def warm(self) -> None:
        """Make what `effect` needs of the present model ready, in a thread."""
        if self._is_fresh():
            return
        if self._warming.acquire(blocking=False):
            threading.Thread(target=self._warm, name="web-warm", daemon=True).start()

    def _warm(self) -> None:
        try:
            self._life(self.in_force()[1], self.sample())
        except UserError as error:
            _log.info("no_sample", error=str(error))
        finally:
            self._warming.release()

    def _life(self, model: CompiledModel, events: list[Event]) -> Life:
        key = f"{model.digest}/{id(events)}"
        with self._reckoning:  # one at a time: pages shall not wait for all of them
            life = self._lives.get(key)
            if life is None:
                life = life_of(model, events)
                for old in list(self._lives)[1 : -_LIVES + 1]:
                    del self._lives[old]
                self._lives[key] = life
        return life

    def sample(self) -> list[Event]:
        """Return events of some leads, all of the same partitions, oldest first.

        All of a lead's events are on one partition, so whole leads are in it. It is
        read anew after ten minutes, a small one sooner: there is more by then.
        """
        known = self._sample
        if known is None or not self._is_fresh():
            events = read_sample(self._settings, self._workspace)
            known = time.monotonic(), events
            with self._lock:
                self._sample, self._lives = known, {}
        return known[1]

    def _is_fresh(self) -> bool:
        if self._sample is None or not self._sample[1]:
            return False
        at, events = self._sample
        small = len(events) < SAMPLE_EVENTS // 2
        return time.monotonic() - at < (_SMALL_SECONDS if small else _SAMPLE_SECONDS)

    def timelines(self, text: str, tests: str) -> TimelinesRun:
        """Return what came of `tests` under the draft `text`.

        Raises
        ------
        ModelError
            When `text` is no model.
        """
        return run_timelines(_compiled(text), tests, "timelines")

    def own_timelines(self) -> str:
        """Return the tests that lie beside the model's file; empty for none."""
        path = tests_of(self._settings.model_path or shipped_model())
        return read_text(path) if path.is_file() else ""

    # -- publishing ---------------------------------------------------------------

    def publish(self, text: str, note: str, *, drafts: tuple[Path, ...]) -> Published:
        """Bring the draft `text` into force; its new rules then learn the past.

        Raises
        ------
        ModelError
            When `text` is no model.
        UserError
            When the gate refuses it, or Kafka does not take it.
        """
        compiled = _compiled(text)
        gate_of(compiled, drafts)
        desk = self.desk(fresh=True)
        last = desk.history.last(PRIMARY)
        if last is not None and last.model == compiled.ref:
            desk.mend()
            return _already(last)
        return self._bring(desk, compiled, text, note)

    def roll_back(self, to: str, note: str) -> Published:
        """Bring a version (or digest) that was published before into force again.

        The one before, if `to` is empty.

        Raises
        ------
        UserError
            When there is none, or Kafka does not take it.
        """
        desk = self.desk(fresh=True)
        wanted = desk.earlier(to, PRIMARY)
        last = desk.history.last(PRIMARY)
        if last is not None and last.model.digest == wanted.model.digest:
            return _already(last)
        text, compiled = desk.text_of(wanted)
        return self._bring(desk, compiled, text, note or "rolled back")

    def _bring(
        self, desk: ModelDesk, compiled: CompiledModel, text: str, note: str
    ) -> Published:
        version = desk.version(compiled, text, slot=PRIMARY, alerts=False, note=note)
        before = desk.before(version)
        desk.publish(version)
        _log.info(
            "model_published", version=version.model.version, digest=compiled.digest
        )
        asked = None if before is None else new_questions(before, compiled)
        if asked:
            self._teach(desk, version, compiled, asked)
        self.desk(fresh=True)
        return Published(
            id=version.id,
            version=version.model.version,
            digest=version.model.digest,
            at=to_instant(version.at),
            already=False,
            learns=tuple(sorted(asked.rules | asked.traits)) if asked else (),
            reworded=() if before is None else tuple(reworded(before, compiled)),
        )

    def _teach(
        self,
        desk: ModelDesk,
        version: ModelVersion,
        compiled: CompiledModel,
        asked: Questions,
    ) -> None:
        """Let new rules learn the past, in a thread; `learning` says how far it is."""
        name = version.model.version
        self.learning = Learning(version=name, read=0, sent=0, done=False)

        def work() -> None:
            try:
                done = desk.teach(
                    version,
                    compiled,
                    asked,
                    report=lambda so_far: self._note(name, *so_far, done=False),
                )
                self._note(name, *done, done=True)
            except UserError as error:
                _log.warning("not_taught", version=name, error=str(error))
                self.learning = Learning(
                    version=name, read=0, sent=0, done=True, error=str(error)
                )

        threading.Thread(target=work, name="web-teaching", daemon=True).start()

    def _note(self, version: str, read: int, sent: int, *, done: bool) -> None:
        self.learning = Learning(version=version, read=read, sent=sent, done=done)


def _began(version: ModelVersion) -> Instant:
    at = to_instant(version.at)
    return 0 if at <= EARLIEST else at


def _compiled(text: str) -> CompiledModel:
    return compile_model(load_model(text, "draft"))


def _already(last: ModelVersion) -> Published:
    return Published(
        id=last.id,
        version=last.model.version,
        digest=last.model.digest,
        at=to_instant(last.at),
        already=True,
        learns=(),
        reworded=(),
    )

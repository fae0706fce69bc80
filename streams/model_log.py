"""Publishing models, and the history of what was published.

A version goes onto every partition of its topic, so that each worker meets it between
the events. It comes into force a moment later: until then every worker has met it.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import structlog

from schemas import cloudevents
from schemas.model_version import PRIMARY, ModelVersion
from schemas.time import EARLIEST, SECOND, Instant, Millis, to_datetime, to_iso
from schemas.topics import MODEL_VERSIONS
from schemas.workspace import DEFAULT_WORKSPACE
from scorers.compiled import CompiledModel, compile_model
from scorers.loading import ModelError, load_model
from scorers.versions import Versions
from streams.errors import UserError
from streams.event_log import EventLog, Record
from streams.model_book import ModelBook, UnusableVersionError
from streams.model_files import ModelFileError, read_text
from streams.topic_reader import read_topic

if TYPE_CHECKING:
    from streams.settings import Settings

MAX_MODEL_BYTES: Final = 200_000
"""A model's text must fit a record, with room to spare."""

LEAD_TIME: Final[Millis] = 2 * SECOND
"""How long after its publication a version comes into force, if nobody says."""

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(ModelVersion).decode

_log = structlog.get_logger(__name__)


class PublicationError(UserError):
    """A model cannot be published; the text says why."""


class History:
    """Every version that was published, oldest first."""

    def __init__(self, versions: Iterable[ModelVersion]) -> None:
        """Know `versions`; what has the same id is the same."""
        self._by_id: dict[str, ModelVersion] = {}
        for version in versions:
            self._by_id.setdefault(version.id, version)
        self.missing: Mapping[int, Sequence[str]] = {}
        """By partition, the ids that somebody failed to put there."""

    @property
    def versions(self) -> list[ModelVersion]:
        """All of them, in the order of their publication."""
        return sorted(
            self._by_id.values(), key=lambda version: (version.published_at, version.id)
        )

    def of(self, slot: str) -> list[ModelVersion]:
        """Return the versions of `slot` in the order in which they came into force."""
        return sorted(
            (version for version in self._by_id.values() if version.slot == slot),
            key=lambda version: (version.at, version.id),
        )

    def last(self, slot: str) -> ModelVersion | None:
        """Return what is in force in `slot` or soon will be; None if nothing is."""
        versions = self.of(slot)
        if not versions or versions[-1].ended:
            return None
        return versions[-1]

    def within(self, workspace: str) -> "History":
        """Return the history of one workspace."""
        return History(
            version
            for version in self._by_id.values()
            if version.workspace == workspace
        )

    def slots(self) -> list[str]:
        """Return what runs: the primary, and what runs beside it."""
        names = dict.fromkeys(version.slot for version in self.versions)
        return [slot for slot in names if self.last(slot) is not None]

    def text(self, digest: str) -> str | None:
        """Return the text of a model, None if it was never published."""
        for version in self._by_id.values():
            if version.model.digest == digest and version.text:
                return version.text
        return None

    def find(self, name: str) -> ModelVersion | None:
        """Return the latest version of this digest (or its beginning) or version."""
        for version in reversed(self.versions):
            if version.ended:
                continue
            if version.model.version == name or version.model.digest.startswith(name):
                return version
        return None


def read_versions(path: Path) -> Callable[[str], Versions]:
    """Return what gives the primary's versions of a workspace.

    They are read from what `leadpulse model history --export` wrote.

    Raises
    ------
    ModelFileError
        When the file cannot be read, or holds no version that can be used.
    """
    book: ModelBook | None = None
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        try:
            version = _decode(line.encode())
            if version.slot != PRIMARY:
                continue
            if book is None:
                book = ModelBook(compile_model(load_model(version.text, version.id)))
            book.take(0, version)
        except (msgspec.DecodeError, UnusableVersionError, ModelError) as error:
            msg = f"{path}:{number}: no version of a model that can be used: {error}"
            raise ModelFileError(msg) from None
    if book is None:
        msg = f"{path}: no version of a model in it"
        raise ModelFileError(msg)
    return partial(book.primary, 0)


def read_history(settings: "Settings", partitions: int) -> History:
    """Return what was published so far.

    Raises
    ------
    UnreadableTopicError
        When the topic is missing or no broker answers.
    """
    topic = settings.topic(MODEL_VERSIONS.name)
    found: list[ModelVersion] = []
    seen: dict[int, set[str]] = defaultdict(set)
    for message in read_topic(settings, topic):
        value = message.value()
        if value is None:
            continue
        try:
            version = _decode(value)
        except msgspec.DecodeError as error:
            _log.warning("model_version_unreadable", error=str(error))
            continue
        found.append(version)
        seen[message.partition() or 0].add(version.id)
    history = History(found)
    history.missing = {
        partition: absent
        for partition in range(partitions)
        if (absent := [v.id for v in history.versions if v.id not in seen[partition]])
    }
    return history


def model_in_force(
    settings: "Settings",
    file: CompiledModel,
    now: Instant,
    workspace: str = DEFAULT_WORKSPACE,
) -> CompiledModel:
    """Return what leads are scored by at `now`; `file` if nothing was ever published.

    Raises
    ------
    UnreadableTopicError
        When the topic is missing or no broker answers.
    """
    topic = settings.topic(MODEL_VERSIONS.name)
    # The same versions are on every partition.
    records = read_topic(settings, topic, only={0})
    book = ModelBook(file)
    book.load(0, [value for each in records if (value := each.value())])
    return book.primary(0, workspace).at(now).model


def version_of(
    model: CompiledModel,
    text: str,
    *,
    now: Instant,
    at: Instant | None = None,
    slot: str = PRIMARY,
    workspace: str = DEFAULT_WORKSPACE,
    alerts: bool = False,
    thresholds: Mapping[str, float] | None = None,
    note: str = "",
) -> ModelVersion:
    """Return `model` as it is published at `now`, to be in force from `at` on.

    Raises
    ------
    PublicationError
        When the text is too large to be published.
    """
    size = len(text.encode())
    if size > MAX_MODEL_BYTES:
        msg = f"the model has {size:,} bytes, {MAX_MODEL_BYTES:,} at most"
        raise PublicationError(msg)
    start = now + LEAD_TIME if at is None else at
    return ModelVersion(
        id=f"{_place(slot, workspace)}@{to_iso(start)}#{model.ref.digest}",
        at=to_datetime(start),
        model=model.ref,
        slot=slot,
        workspace=workspace,
        text=text,
        thresholds=dict(thresholds or {}),
        alerts=alerts,
        published_at=to_datetime(now),
        note=note,
    )


def _place(slot: str, workspace: str) -> str:
    return slot if workspace == DEFAULT_WORKSPACE else f"{workspace}/{slot}"


def ending(version: ModelVersion, now: Instant) -> ModelVersion:
    """Return what says that the slot of `version` ends at `now`."""
    return msgspec.structs.replace(
        version,
        id=f"{_place(version.slot, version.workspace)}@{to_iso(now)}#ended",
        at=to_datetime(now),
        published_at=to_datetime(now),
        text="",
        thresholds={},
        ended=True,
        note="",
    )


async def publish(
    settings: "Settings", log: EventLog, version: ModelVersion, partitions: int
) -> None:
    """Return when `version` is durable on every partition.

    Raises
    ------
    NotDurableError
        When it may not be on all of them; publishing it again does no harm.
    """
    await log.append([_record(settings, version, each) for each in range(partitions)])


async def mend(settings: "Settings", log: EventLog, history: History) -> int:
    """Put versions where somebody who was interrupted did not; return how many."""
    records = [
        _record(settings, version, partition)
        for partition, absent in history.missing.items()
        for version in history.versions
        if version.id in absent
    ]
    if records:
        _log.warning("model_versions_mended", records=len(records))
        await log.append(records)
    return len(records)


async def settle_model(
    settings: "Settings",
    log: EventLog,
    partitions: int,
    given: tuple[str, CompiledModel],
    now: Instant,
) -> CompiledModel:
    """Return the model that everything began with, after publishing a new file's.

    `given` is the worker's own model file. If nothing was ever published it is what
    everything begins with. If it was never published it is news, and comes into force.
    A file that was published before and is not in force any more is history: whoever
    wants it back says so (`leadpulse model publish`), a worker that restarts with an
    old file does not.
    """
    text, model = given
    history = read_history(settings, partitions)
    await mend(settings, log, history)
    primary = history.within(DEFAULT_WORKSPACE).of(PRIMARY)
    if not primary:
        first = version_of(model, text, now=now, at=EARLIEST)
        await publish(settings, log, first, partitions)
        return model
    last = primary[-1]
    if all(version.model.digest != model.ref.digest for version in primary):
        await publish(settings, log, version_of(model, text, now=now), partitions)
        _log.info(
            "model_published",
            version=model.ref.version,
            digest=model.ref.digest,
            instead_of=last.model.digest,
        )
    elif last.model.digest != model.ref.digest:
        _log.warning(
            "model_file_not_in_force",
            file=model.ref.digest,
            in_force=last.model.digest,
            version=last.model.version,
            advice="`leadpulse model publish FILE` brings a file into force again",
        )
    began = history.text(primary[0].model.digest)
    return model if began is None else compile_model(load_model(began, primary[0].id))


def _record(settings: "Settings", version: ModelVersion, partition: int) -> Record:
    return Record(
        settings.topic(MODEL_VERSIONS.name),
        version.id.encode(),
        _encode(version),
        [
            *cloudevents.headers(
                type=cloudevents.MODEL_VERSION,
                source="/models",
                id=version.id,
                time=version.published_at,
            )
        ],
        partition,
    )

"""States from a file, in force again: in the deployment they are of, or in another."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from schemas.workspace import workspace_of
from streams.event_log import Record, opened_log
from streams.partitioner import partition_of
from streams.settings import Settings
from streams.state_files import (
    COMMON,
    PUBLISHED,
    STATES,
    Header,
    Row,
    StateFileError,
    check_file,
    owner_of,
    read_rows,
    read_states,
)
from streams.state_groups import committed_by_topic, marks_of, set_committed
from streams.state_records import sign_anew
from streams.topic_reader import TopicReader, read_topic
from streams.topics_admin import check_topics, shared_partitions

_BATCH: Final = 1_000
_STATE_NAMES: Final = {topic.name for topic in STATES}
_COMMON_NAMES: Final = {topic.name for topic in COMMON}
_PUBLISHED_NAMES: Final = {topic.name for topic in PUBLISHED}

Progress = Callable[[int], None]


async def restore(
    settings: Settings,
    path: Path,
    *,
    elsewhere: bool,
    progress: Progress = lambda _rows: None,
) -> int:
    """Put the states of `path` in force; return how many records were written.

    Every worker must be stopped. What is there and not in the file is forgotten,
    for the file's workspace if it is of one. Workers read on from where they were
    when it was made.

    With `elsewhere` the topics are another deployment's: the states begin there, with
    whatever comes from now on, and what was published of them last is published.
    Then the number of partitions may be another one.

    Raises
    ------
    UserError
        When the file or the deployment is not fit for it; nothing was changed.
    """
    header = check_file(path)
    if header.rebuilt:
        msg = f"{path} was rebuilt from events: `leadpulse state switch` puts it in"
        raise StateFileError(msg)
    partitions = shared_partitions(check_topics(settings))
    if not elsewhere:
        _check_same_log(settings, header, partitions)
    # Refused while workers run; nothing is moved by it.
    present = committed_by_topic(settings, partitions)
    set_committed(settings, present)
    plan = _Plan(settings, header, partitions, elsewhere=elsewhere)
    topics = (*STATES, *COMMON, *PUBLISHED)
    async with opened_log(settings, name="restore", topics=topics) as log:
        waiting: list[Record] = []
        for record in plan.records(path):
            waiting.append(record)
            if len(waiting) == _BATCH:
                await log.append(waiting)
                plan.written += len(waiting)
                progress(plan.written)
                waiting = []
        await log.append(waiting)
        plan.written += len(waiting)
    if header.workspace is None and not elsewhere:
        set_committed(settings, header.committed)
    return plan.written


def _check_same_log(settings: Settings, header: Header, partitions: int) -> None:
    """Refuse topics in which the states' positions mean something else."""
    if header.partitions != partitions:
        msg = (
            f"the file is of {header.partitions} partitions and there are "
            f"{partitions}: with --elsewhere the states begin anew here"
        )
        raise StateFileError(msg)
    if marks_of(settings, header.committed) != header.marks:
        msg = (
            "what the file has counted is not what is on the topics, so they are those "
            "of another deployment, or lost records: say --elsewhere if that is meant"
        )
        raise StateFileError(msg)
    if header.workspace is not None and _moved(settings, header, partitions):
        msg = (
            "one workspace cannot go back in time while the others go on: "
            "restore the whole deployment, or this workspace --elsewhere"
        )
        raise StateFileError(msg)


def _moved(settings: Settings, header: Header, partitions: int) -> bool:
    return committed_by_topic(settings, partitions) != header.committed


class _Plan:
    """What has to be written so that a file's states are in force."""

    def __init__(
        self, settings: Settings, header: Header, partitions: int, *, elsewhere: bool
    ) -> None:
        self._settings = settings
        self._header = header
        self._partitions = partitions
        self._elsewhere = elsewhere
        self.written = 0
        self._terms: dict[tuple[str, int], int] = {}
        self._there: dict[tuple[str, int], set[bytes]] = defaultdict(set)
        self._common: dict[str, set[tuple[int, bytes, bytes]]] = {}
        with TopicReader(settings) as reader:
            for topic in STATES:
                for partition in range(partitions):
                    found = read_states(settings, reader, topic.name, partition)
                    self._terms[topic.name, partition] = found.epoch.term + 1
                    self._there[topic.name, partition] = {
                        key.encode()
                        for key, _ in found.winners()
                        if self._is_ours(topic.name, key.encode())
                    }
        for topic in COMMON:
            self._common[topic.name] = {
                (each.partition() or 0, each.key() or b"", each.value() or b"")
                for each in read_topic(settings, settings.topic(topic.name))
            }

    def records(self, path: Path) -> Iterator[Record]:
        """Yield them: first what is in the file, then the end of what is not."""
        for row in read_rows(path):
            if row.topic in _STATE_NAMES:
                yield self._state(row)
            elif row.topic in _COMMON_NAMES:
                yield from self._shared(row)
            elif self._elsewhere and row.topic in _PUBLISHED_NAMES:
                partition = partition_of(row.key, self._partitions)
                yield self._record(row, partition, row.value)
        for (topic, partition), keys in self._there.items():
            name = self._settings.topic(topic)
            for key in sorted(keys):
                yield Record(name, key, None, [], partition)

    def _state(self, row: Row) -> Record:
        partition = row.partition
        if self._elsewhere:
            owner = owner_of(row.topic, row.key).encode()
            partition = partition_of(owner, self._partitions)
        self._there[row.topic, partition].discard(row.key)
        value = sign_anew(
            row.value, self._terms[row.topic, partition], begin_anew=self._elsewhere
        )
        return self._record(row, partition, value)

    def _shared(self, row: Row) -> Iterator[Record]:
        """Yield what every partition must have, where it has it not."""
        present = self._common[row.topic]
        everywhere = range(self._partitions) if row.partition == 0 else ()
        for partition in everywhere if self._elsewhere else (row.partition,):
            if (partition, row.key, row.value) not in present:
                yield self._record(row, partition, row.value)

    def _record(self, row: Row, partition: int, value: bytes) -> Record:
        name = self._settings.topic(row.topic)
        return Record(name, row.key, value, row.headers, partition)

    def _is_ours(self, topic: str, key: bytes) -> bool:
        wanted = self._header.workspace
        return wanted is None or workspace_of(owner_of(topic, key)) == wanted

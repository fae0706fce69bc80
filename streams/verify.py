"""Verification: the topics, read once beside those who use them, prove themselves.

One partition at a time: what must be remembered is the partition's leads, not its
events. The states are read first. Whatever comes later is compared with what they
include and is left alone beyond, so a system that runs on can be verified, too.
"""

import heapq
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Final, cast

from schemas.event import Event
from schemas.topics import (
    COMMANDS,
    EVENT_TOPICS,
    LEAD_STATE,
    MODEL_VERSIONS,
    NOTIFICATIONS,
    SCORE_UPDATES,
    Topic,
)
from scorers.compiled import CompiledModel
from scorers.state import LeadState
from streams.codec import Refusal
from streams.dead_letter_log import read_letters
from streams.errors import UserError
from streams.event_proof import (
    EventProof,
    Forwards,
    Positions,
    Taken,
    of_several,
    taken,
)
from streams.hand_overs import read_hand_overs
from streams.model_book import ModelBook
from streams.person_proof import PersonProof
from streams.proof import Held, Place, Report
from streams.rebuilding import Rebuilt
from streams.state_groups import positions_of
from streams.state_records import OWNER_KEY, ChangelogError
from streams.suppression_feed import load_suppressions
from streams.suppressions import Suppressions
from streams.tables import Lead
from streams.topic_reader import TopicReader
from streams.topics_admin import check_topics, shared_partitions
from streams.unlinked import read_unlinked
from streams.update_proof import UpdateProof

if TYPE_CHECKING:
    from confluent_kafka import Message

    from streams.settings import Settings

_REPORTED: Final = 1_000
_SOURCES: Final = (*EVENT_TOPICS, COMMANDS)

Progress = Callable[[int, int, int], None]
"""Told the partitions done, all partitions, and the records read so far."""


def verify(
    settings: "Settings",
    model: CompiledModel,
    *,
    progress: Progress = lambda _done, _all, _records: None,
) -> Report:
    """Return what the topics prove; `model` is what was in force at their beginning.

    Raises
    ------
    UserError
        When a topic or a state cannot be read, or no broker answers.
    """
    partitions = shared_partitions(check_topics(settings))
    return _Verification(settings, model, partitions, progress).run()


class _Verification:
    """One reading of everything."""

    def __init__(
        self,
        settings: "Settings",
        model: CompiledModel,
        partitions: int,
        progress: Progress,
    ) -> None:
        self._settings = settings
        self._partitions = partitions
        self._progress = progress
        self._report = Report()
        self._book = ModelBook(model)
        self._suppressions = Suppressions(settings)
        self._done = 0
        self._reader = TopicReader(settings)

    def run(self) -> Report:
        with self._reader:
            return self._run()

    def _run(self) -> Report:
        # First how far the workers are: what they did by then must be found below.
        committed = positions_of(self._settings, _SOURCES, self._partitions)
        dead, dead_cut = self._dead_letters()
        positions = Positions(self._partitions, committed, dead, dead_cut)
        forwards = Forwards()
        people = PersonProof(
            self._report,
            self._book.primary,
            positions,
            read_unlinked(self._settings.unlinked_path),
        )
        self._suppressions = load_suppressions(self._settings)
        for message in self._reader.read(self._settings.topic(MODEL_VERSIONS.name)):
            if (value := message.value()) is not None:
                self._book.load(message.partition() or 0, [value])
        for partition in range(self._partitions):
            self._verify(partition, positions, forwards, people)
            self._done += 1
            self._tell()
        forwards.close(self._report)
        people.prove(
            self._again,
            self._admits,
            lambda: read_hand_overs(self._settings, self._reader),
        )
        return self._report

    def _verify(
        self,
        partition: int,
        positions: Positions,
        forwards: Forwards,
        people: PersonProof,
    ) -> None:
        versions = partial(self._book.primary, partition)
        every = chain.from_iterable(map(versions, self._book.workspaces(partition)))
        leads = self._leads(partition)
        self._report.leads += len(leads)
        published = UpdateProof(self._report, every, leads)
        for message in self._of_known(NOTIFICATIONS, partition):
            published.take_alert(message)
        for message in self._of_known(SCORE_UPDATES, partition):
            published.take_update(message)
        published.close()
        events = EventProof(self._report, versions, leads, positions, forwards)
        streams = [
            taken(topic.name, self._records(topic, partition)) for topic in _SOURCES
        ]
        for record in heapq.merge(*streams, key=lambda each: each.now):
            content = record.content
            if not isinstance(content, Refusal) and not self._suppressions.admit(
                content
            ):
                continue  # of somebody who was erased: nothing may be known of it
            events.take(record)
        events.close()
        several = [
            each
            for each, held in leads.items()
            if of_several(held) and not held.state.claims
        ]
        people.hear(partition, leads, several)

    def _again(self) -> Iterator[Taken]:
        """Yield every event and command of all partitions, topic by topic."""
        for topic in _SOURCES:
            name = self._settings.topic(topic.name)
            yield from taken(topic.name, self._reader.read(name))

    def _admits(self, event: Event) -> bool:
        return self._suppressions.admit(event) is not None

    def _leads(self, partition: int) -> dict[str, Held]:
        """Return the states of a partition as a new owner would find them."""
        topic = self._settings.topic(LEAD_STATE.name)
        rebuilt = Rebuilt(partition, term=0, claim="")
        offsets: dict[bytes, int] = {}
        try:
            for message in self._records(LEAD_STATE, partition):
                key, offset = message.key(), message.offset() or 0
                rebuilt.apply(key, message.value(), offset)
                if key is not None and key != OWNER_KEY:
                    offsets[key] = offset
            return {
                lead_id: Held(
                    kept,
                    cast("LeadState", kept.state),
                    Place(topic, partition, offsets[lead_id.encode()]),
                )
                for lead_id, kept in rebuilt.kept(Lead).items()
            }
        except ChangelogError as error:
            msg = f"cannot read the states: {error}"
            raise UserError(msg) from None

    def _dead_letters(self) -> tuple[frozenset[Place], bool]:
        """Return which records scoring set aside, and whether older ones are gone."""
        dead, cut, begun = set(), False, set()
        for letter in read_letters(self._settings):
            if letter.partition not in begun:
                begun.add(letter.partition)
                cut = cut or letter.offset > 0
            story = letter.story
            if story.stage == "scoring":
                dead.add(Place(story.topic, story.partition, story.offset))
        return frozenset(dead), cut

    def _records(self, topic: Topic, partition: int) -> "Iterator[Message]":
        name = self._settings.topic(topic.name)
        for message in self._reader.read(name, only=(partition,)):
            self._report.records += 1
            if self._report.records % _REPORTED == 0:
                self._tell()
            yield message

    def _of_known(self, topic: Topic, partition: int) -> "Iterator[Message]":
        """Yield what was published of leads that were not erased."""
        for message in self._records(topic, partition):
            key = (message.key() or b"").decode("utf-8", "replace")
            if not self._suppressions.forgets(key):
                yield message

    def _tell(self) -> None:
        self._progress(self._done, self._partitions, self._report.records)

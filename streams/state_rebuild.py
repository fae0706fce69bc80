"""States made anew of the raw topics, beside those in force, and compared with them.

What comes of it is a file of states; `state_switch` puts it in force.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import msgspec

from schemas.time import to_datetime
from schemas.topics import COMMANDS, LEAD_STATE
from schemas.workspace import workspace_of
from scorers.scorer import read
from scorers.state import LeadState
from streams.clock import SystemClock
from streams.event_proof import EXACT, taken
from streams.generation import Generation
from streams.hand_overs import read_hand_overs
from streams.person_proof import subjects
from streams.raw_log import RAW, Offsets, RawLog
from streams.state_files import FORMAT, Header, StateFileWriter, read_states
from streams.state_groups import committed_by_topic, marks_of
from streams.tables import Lead
from streams.topic_reader import TopicReader
from streams.topics_admin import check_topics, shared_partitions

if TYPE_CHECKING:
    from scorers.compiled import CompiledModel
    from streams.settings import Settings

MOST_DIFFERENCES: Final = 1_000
"""Leads that are kept by name; those beyond are only counted."""

Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is, and how much there is (0: unknown)."""

How = Literal["same", "score", "events", "identity", "only-live", "only-rebuilt", "on"]
HOW: Final[Mapping[How, str]] = {
    "same": "are the same",
    "score": "have the same events and another score",
    "events": "know other events",
    "identity": "are part of somebody else, or not any more",
    "only-live": "are in force and follow from no event",
    "only-rebuilt": "follow from events and are not in force",
    "on": "have gone on since: not compared",
}
"""What a comparison can come to, as it is told."""


class Difference(msgspec.Struct, frozen=True):
    """A lead that would be another one."""

    lead_id: str
    how: How
    live: float | None
    rebuilt: float | None


class Comparison(msgspec.Struct):
    """The states in force beside those that were made anew."""

    counts: Counter[How] = msgspec.field(default_factory=Counter)
    differences: list[Difference] = []
    cut: bool = False
    """Whether older events are gone by retention."""

    @property
    def differing(self) -> int:
        """How many leads would be others."""
        return self.counts.total() - self.counts["same"] - self.counts["on"]

    def note(self, difference: Difference) -> None:
        """Count a lead, and keep it by name if it differs."""
        self.counts[difference.how] += 1
        named = difference.how not in {"same", "on"}
        if named and len(self.differences) < MOST_DIFFERENCES:
            self.differences.append(difference)


class Rebuilding(NamedTuple):
    """What came of a rebuild."""

    folded: int
    """Events and retractions that counted."""
    leads: int
    accounts: int
    comparison: Comparison


def rebuild(
    settings: "Settings",
    model: "CompiledModel",
    path: Path,
    *,
    progress: Progress = lambda _what, _done, _all: None,
) -> Rebuilding:
    """Return what came of it when `path` has the states that the raw topics make.

    Workers may go on meanwhile: what they have acknowledged when it begins counts,
    and leads that go on while it is compared are told apart.

    Raises
    ------
    UserError
        When a topic cannot be read, or the file cannot be written.
    """
    partitions = shared_partitions(check_topics(settings))
    committed = committed_by_topic(settings, partitions)
    until = {topic.name: committed[topic.name] for topic in RAW}
    header = Header(
        format=FORMAT,
        made_at=to_datetime(SystemClock().now()),
        partitions=partitions,
        committed=until,
        marks=marks_of(settings, until),
        rebuilt=True,
    )
    generation = Generation(settings, model, partitions)
    header = msgspec.structs.replace(header, models=generation.models)
    with StateFileWriter(path, header) as writer, RawLog(settings) as log:
        with TopicReader(settings) as reader:
            told = read_hand_overs(settings, reader)
        log.gather(
            {}, until, told=told, report=lambda done: progress("reading", done, 0)
        )
        total = len(log)
        folded = generation.fold(log, lambda done: progress("scoring", done, total))
        for row in generation.rows():
            writer.write(row)
        comparison = compare(settings, generation, until)
        comparison.cut = log.cut
    leads, accounts = len(generation.leads), len(generation.accounts)
    return Rebuilding(folded, leads, accounts, comparison)


def compare(settings: "Settings", generation: Generation, until: Offsets) -> Comparison:
    """Return how the leads in force stand beside those of `generation`.

    Raises
    ------
    UserError
        When a topic or a state in force cannot be read.
    """
    differences: list[Difference] = []
    met: set[str] = set()
    for lead_id, live in live_leads(settings, generation.partitions):
        met.add(lead_id)
        differences.append(_difference(generation, lead_id, live, until))
    for lead_id in generation.leads.keys() - met:
        again = generation.leads[lead_id]
        score = None if again.claims else again.score
        differences.append(Difference(lead_id, "only-rebuilt", None, score))
    # Read last: whatever a lead was still to hear when it was read is there by now.
    told = _told_since(settings, until)
    found = Comparison()
    for each in sorted(differences, key=lambda each: each.lead_id):
        waits = each.how != "same" and each.lead_id in told
        found.note(msgspec.structs.replace(each, how="on") if waits else each)
    return found


def _told_since(settings: "Settings", until: Offsets) -> set[str]:
    """Return the leads that commands not done by `until` are about."""
    since = dict(enumerate(until[COMMANDS.name]))
    with TopicReader(settings) as reader:
        records = reader.read(settings.topic(COMMANDS.name), since=since)
        return {
            lead_id
            for record in taken(COMMANDS.name, records)
            for lead_id in subjects(record)
        }


def live_leads(settings: "Settings", partitions: int) -> Iterator[tuple[str, Lead]]:
    """Yield the leads in force, as new owners would find them.

    Raises
    ------
    UserError
        When one cannot be read.
    """
    with TopicReader(settings) as reader:
        for partition in range(partitions):
            states = read_states(settings, reader, LEAD_STATE.name, partition)
            for lead_id, kept in states.kept(Lead).items():
                assert isinstance(kept, Lead)  # noqa: S101 - as it was asked for
                yield lead_id, kept


def how_it_differs(
    generation: Generation, live: LeadState, again: LeadState | None
) -> How:
    """Return what the lead in force is beside the one that was made anew."""
    if again is None:
        return "only-live"
    if bool(live.claims) != bool(again.claims):
        return "identity"
    if live.ids.keys() != again.ids.keys():
        return "events"
    versions = generation.versions(workspace_of(live.lead_id))
    at = max(live.now, again.now)
    model = versions.at(at).model
    same = abs(read(model, live, at).exact - read(model, again, at).exact) <= EXACT
    return "same" if same else "score"


def _difference(
    generation: Generation, lead_id: str, live: Lead, until: Offsets
) -> Difference:
    again = generation.leads.get(lead_id)
    gone_on = any(
        offset >= until[topic][live.partition]
        for topic, offset in live.positions.items()
        if topic in until
    )
    state = live.state
    how = how_it_differs(generation, state, again)
    if how != "same" and gone_on:
        how = "on"
    rebuilt = None if again is None or again.claims else again.score
    return Difference(lead_id, how, None if state.claims else state.score, rebuilt)

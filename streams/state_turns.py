"""What has to be written so that states which were made anew are in force.

What is published goes on: a lead keeps its number, what was said of it last, and what
its alerts have told. Where the score is another one, the next number says so.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final, NamedTuple, cast

import msgspec
from msgspec.structs import replace

from schemas.account import AccountScore
from schemas.score import ScoreUpdate
from schemas.topics import (
    ACCOUNT_MEMBERS,
    ACCOUNT_SCORES,
    ACCOUNT_STATE,
    COMMANDS,
    EVENT_TOPICS,
    LEAD_STATE,
    NOTIFICATIONS,
    SCORE_UPDATES,
)
from schemas.workspace import workspace_of
from scorers.account_state import AccountState
from scorers.accounts import on_account_wakeup
from scorers.notice import last_word_of
from scorers.scorer import on_wakeup
from scorers.state import LeadState
from streams import codec
from streams.event_log import Record
from streams.generation import Generation
from streams.outgoing import Output
from streams.state_files import read_states
from streams.state_rebuild import Comparison, how_it_differs
from streams.state_records import VERSION, Stored, encode_stored, source_name
from streams.tables import Account, Kept, Lead
from streams.topic_reader import TopicReader

if TYPE_CHECKING:
    from confluent_kafka import Message

    from streams.settings import Settings

_MOST_REDIRECTS: Final = 16
"""Redirected leads of which a lead remembers how far it got with their events."""
_TOLD: Final = {SCORE_UPDATES.name, ACCOUNT_SCORES.name, NOTIFICATIONS.name}


class _Numbered(msgspec.Struct, frozen=True):
    sequence: int


_number: Final = msgspec.json.Decoder(_Numbered).decode
_update: Final = msgspec.json.Decoder(ScoreUpdate).decode
_account: Final = msgspec.json.Decoder(AccountScore).decode


Positions = dict[str, list[int]]


class Switched(NamedTuple):
    """What a switch came to, or would."""

    comparison: Comparison
    kept: int
    """Leads that stay as they are, for older events are gone."""
    emptied: int
    """Leads that no event speaks of: they stay with nothing."""
    told: int
    """Updates and alerts that follow."""


class Turn(NamedTuple):
    """What has to be written for one key."""

    states: list[Record]
    told: list[Record]
    """What goes first: if it ends there, the same follows again."""


def _largest(updates: "Iterable[Message]") -> dict[str, bytes]:
    """Return of each key the update with the largest number: what consumers keep."""
    numbers: dict[str, int] = {}
    found: dict[str, bytes] = {}
    for message in updates:
        key, value = (message.key() or b"").decode(), message.value()
        if value is None:
            numbers.pop(key, None)
            found.pop(key, None)
        elif (number := _number(value).sequence) >= numbers.get(key, 0):
            numbers[key], found[key] = number, value
    return found


def _redirected(generation: Generation) -> dict[str, list[str]]:
    """Return the leads that are part of each lead, or were."""
    found: dict[str, list[str]] = {}
    for lead_id, state in generation.leads.items():
        for owner in dict.fromkeys(owner for _, owner in state.claims):
            found.setdefault(owner, []).append(lead_id)
    return found


class Turns:
    """What has to be written so that a generation is in force."""

    def __init__(
        self,
        settings: "Settings",
        generation: Generation,
        positions: tuple[Positions, Positions],
        comparison: Comparison,
    ) -> None:
        """Read what is in force and what was published last.

        `positions` are how far workers had acknowledged, and what the new states
        include.

        Raises
        ------
        UserError
            When a topic or a state in force cannot be read.
        """
        self._settings = settings
        self._generation = generation
        self._committed, self._until = positions
        self._comparison = comparison
        self._live: dict[str, dict[str, Kept]] = {}
        self._last: dict[str, dict[str, bytes]] = {}
        self._terms: dict[tuple[str, int], int] = {}
        self._told = self._emptied = 0
        self._redirected = _redirected(generation)
        self._read()
        self.kept = frozenset(self._keep()) if comparison.cut else frozenset[str]()
        """Who stays as they are: nobody else knows what their old events were."""

    @property
    def total(self) -> int:
        """How many turns there are."""
        leads = self._generation.leads.keys() | self._live[LEAD_STATE.name].keys()
        return len(leads) + len(self._accounts())

    def outcome(self) -> Switched:
        """Return what the turns so far came to."""
        return Switched(self._comparison, len(self.kept), self._emptied, self._told)

    def turns(self) -> Iterator[Turn]:
        """Yield what has to be written, lead by lead and account by account."""
        live = self._live[LEAD_STATE.name].keys()
        for lead_id in sorted(self._generation.leads.keys() | live):
            if lead_id not in self.kept:
                yield self._lead(lead_id)
        for account_id in self._accounts():
            yield self._account(account_id)

    def _accounts(self) -> list[str]:
        known = self._generation.accounts.keys() | self._live[ACCOUNT_STATE.name].keys()
        return sorted(known)

    def _read(self) -> None:
        kinds = ((LEAD_STATE, Lead), (ACCOUNT_STATE, Account))
        published = (SCORE_UPDATES, ACCOUNT_SCORES)
        with TopicReader(self._settings) as reader:
            for topic, kind in kinds:
                live = self._live[topic.name] = {}
                for partition in range(self._generation.partitions):
                    found = read_states(self._settings, reader, topic.name, partition)
                    self._terms[topic.name, partition] = found.epoch.term + 1
                    live.update(found.kept(kind))
            for topic in published:
                name = self._settings.topic(topic.name)
                self._last[topic.name] = _largest(reader.read(name))

    def _keep(self) -> Iterator[str]:
        for lead_id, kept in self._live[LEAD_STATE.name].items():
            state = cast("LeadState", kept.state)
            again = self._generation.leads.get(lead_id)
            how = how_it_differs(self._generation, state, again)
            unknown = again is None or state.ids.keys() - again.ids.keys()
            if how != "same" and unknown:
                yield lead_id

    def _lead(self, lead_id: str) -> Turn:
        nobody = LeadState(lead_id=lead_id)
        state = self._generation.leads.get(lead_id, nobody)
        self._emptied += state is nobody
        kept = self._live[LEAD_STATE.name].get(lead_id)
        before = None if kept is None else cast("LeadState", kept.state)
        versions = self._generation.versions(workspace_of(lead_id))
        now = state.now if before is None else max(state.now, before.now)
        if not state.claims:
            # First to where the lead was: what it planned by then is no news.
            state = versions.apply(state, now, lambda m, s: on_wakeup(m, s, now)).state
        state = self._as_told(state, before)
        outputs: tuple[Output, ...] = ()
        model = versions.at(now).model
        if state.claims and before is not None and not before.claims:
            if before.sequence:
                state = replace(state, sequence=state.sequence + 1)
                last = last_word_of(model, before, state)
                outputs = (codec.update_output(last, ()),)
            state = replace(state, score=0.0, tier=model.tier_of(0.0))
        elif not state.claims:
            step = on_wakeup(model, replace(state, wake_at=now), now)
            state = step.state
            outputs = (
                *(codec.update_output(update, ()) for update in step.updates),
                *(codec.alert_output(alert, ()) for alert in step.alerts),
            )
        sources = (*EVENT_TOPICS, COMMANDS)
        names = [topic.name for topic in sources]
        packed = Lead.encode(state)
        value = self._stored(LEAD_STATE.name, lead_id, packed, state, names)
        return self._turn(LEAD_STATE.name, lead_id, value, kept, outputs)

    def _as_told(self, state: LeadState, before: LeadState | None) -> LeadState:
        """Return `state` with what was published of the lead, and told by alerts."""
        sequence, told = 0, self._last[SCORE_UPDATES.name].get(state.lead_id)
        if before is not None:
            state = replace(
                state,
                sequence=before.sequence,
                score=before.score,
                tier=before.tier,
                grade=before.grade,
                owner=before.owner,
                account_id=before.account_id,
                member_sequence=max(state.member_sequence, before.member_sequence),
                alerts=state.alerts if before.claims else before.alerts,
            )
            sequence = before.sequence
        if told is None:
            if before is None:  # nobody ever heard of it
                state = replace(state, sequence=0, score=0.0, tier="none", alerts={})
            return state
        update = _update(told)
        if update.sequence <= sequence and before is not None:
            return state
        return replace(
            state,
            sequence=update.sequence,
            score=update.score,
            tier=update.tier,
            grade=update.grade,
            owner=update.owner,
            account_id=update.account_id,
        )

    def _account(self, account_id: str) -> Turn:
        nobody = AccountState(account_id=account_id)
        state = self._generation.accounts.get(account_id, nobody)
        kept = self._live[ACCOUNT_STATE.name].get(account_id)
        before = None if kept is None else cast("AccountState", kept.state)
        told = self._last[ACCOUNT_SCORES.name].get(account_id)
        published = 0 if told is None else _account(told).sequence
        now = state.now
        if before is None:
            state = replace(state, sequence=max(state.sequence, published))
        else:
            now = max(now, before.now)
            members = {
                key: each for key, each in before.members.items() if key in self.kept
            }
            state = replace(
                state,
                sequence=max(before.sequence, published),
                members={**state.members, **members},
                published=before.published,
                history=before.history,
                alerts=before.alerts,
            )
        versions = self._generation.versions(workspace_of(account_id))
        model = versions.at(now).model
        outputs: tuple[Output, ...] = ()
        if model.accounts is not None:
            step = on_account_wakeup(model, state, now)
            state = step.state
            outputs = (
                *(codec.account_output(update, ()) for update in step.updates),
                *(codec.alert_output(alert, ()) for alert in step.alerts),
            )
        names, packed = [ACCOUNT_MEMBERS.name], Account.encode(state)
        value = self._stored(ACCOUNT_STATE.name, account_id, packed, state, names)
        return self._turn(ACCOUNT_STATE.name, account_id, value, kept, outputs)

    def _stored(
        self,
        topic: str,
        key: str,
        packed: bytes,
        state: LeadState | AccountState,
        sources: list[str],
    ) -> bytes:
        where = self._generation.place_of(key)
        ends = {
            source_name(other, name): self._until[name][
                self._generation.place_of(other)
            ]
            - 1
            for other in self._redirected.get(key, ())[-_MOST_REDIRECTS:]
            for name in (topic.name for topic in EVENT_TOPICS)
        }
        ends.update({name: self._until[name][where] - 1 for name in sources})
        positions = {name: offset for name, offset in ends.items() if offset >= 0}
        model = state.model if topic == LEAD_STATE.name else ""
        term = self._terms[topic, where]
        return encode_stored(
            Stored(VERSION, term, -1, positions, packed, state.wake_at, (), model)
        )

    def _turn(
        self,
        topic: str,
        name: str,
        value: bytes,
        before: Kept | None,
        outputs: tuple[Output, ...],
    ) -> Turn:
        where, key = self._generation.place_of(name), name.encode()
        self._told += len(outputs)
        told = []
        for each in (*self._unsent(before), *outputs):
            there = self._generation.place_of(each.key) if each.key else where
            whose = each.key.encode() or key
            told.append(self._record(each.topic, there, whose, each.value, each))
        return Turn([self._record(topic, where, key, value)], told)

    def _unsent(self, before: Kept | None) -> list[Output]:
        """Return what a worker had told and may not have sent before it ended."""
        if before is None or not any(
            offset >= self._committed[topic][before.partition]
            for topic, offset in before.positions.items()
            if topic in self._committed
        ):
            return []
        return [each for each in before.outbox if each.topic in _TOLD]

    def _record(
        self,
        topic: str,
        where: int,
        key: bytes,
        value: bytes | None,
        output: Output | None = None,
    ) -> Record:
        headers = [] if output is None else [*output.headers]
        return Record(self._settings.topic(topic), key, value, headers, where)

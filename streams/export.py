"""Everything that is held of a person, for the person: one JSON document."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import msgspec

from schemas.account import AccountCommand, AccountScore, MemberUpdate
from schemas.alert import Alert
from schemas.command import Command
from schemas.event import Event
from schemas.score import ScoreUpdate
from schemas.time import Instant, to_datetime, to_iso
from schemas.topics import (
    ACCOUNT_MEMBERS,
    ACCOUNT_SCORES,
    ACCOUNT_STATE,
    COMMANDS,
    EVENT_TOPICS,
    NOTIFICATIONS,
    SCORE_UPDATES,
    SIDE_STATE,
    SIDE_UPDATES,
    Topic,
)
from scorers.state import LeadState
from streams.dead_letter_log import read_letters
from streams.person import Person, is_about
from streams.rebuilding import Rebuilt
from streams.state_records import OWNER_KEY
from streams.tables import Account, Lead
from streams.topic_reader import read_topic

if TYPE_CHECKING:
    from confluent_kafka import Message

    from streams.settings import Settings

Document = dict[str, Any]

_TYPES: Final[dict[str, Any]] = {
    SCORE_UPDATES.name: ScoreUpdate,
    SIDE_UPDATES.name: ScoreUpdate,
    NOTIFICATIONS.name: Alert,
    COMMANDS.name: Command,
    ACCOUNT_MEMBERS.name: AccountCommand,
    ACCOUNT_SCORES.name: AccountScore,
    **{topic.name: Event for topic in EVENT_TOPICS},
}


def export_person(settings: "Settings", person: Person, now: Instant) -> Document:
    """Return everything held of `person`: the topics are read from their beginnings.

    Raises
    ------
    UserError
        When a topic or what workers know cannot be read.
    """
    return {
        "asked_for": person.term,
        "exported_at": to_iso(now),
        "lead_ids": list(person.lead_ids),
        "identifiers": _plain(person.identifiers),
        "leads": [_lead(state) for state in person.states],
        "beside": list(_beside(settings, person)),
        "accounts": list(_accounts(settings, person)),
        "score_updates": list(_records(settings, SCORE_UPDATES, person)),
        "side_updates": list(_records(settings, SIDE_UPDATES, person)),
        "alerts": list(_records(settings, NOTIFICATIONS, person)),
        "told_to_accounts": list(_records(settings, ACCOUNT_MEMBERS, person)),
        "account_scores": list(_records(settings, ACCOUNT_SCORES, person)),
        "events": [
            record
            for topic in EVENT_TOPICS
            for record in _records(settings, topic, person)
        ],
        "commands": list(_records(settings, COMMANDS, person)),
        "dead_letters": list(_letters(settings, person)),
    }


def _lead(state: LeadState) -> Document:
    """Return a state as people read it: with names and instants."""

    def at(instant: Instant | None) -> str | None:
        return None if not instant else to_iso(instant)

    return {
        "lead_id": state.lead_id,
        "score": state.score,
        "tier": state.tier,
        "grade": state.grade,
        "as_of": at(state.now),
        "first_seen": at(state.first_at),
        "owner": state.owner,
        "account_id": state.account_id,
        "identifiers": {
            "email": list(state.emails),
            "user_id": list(state.user_ids),
            "anonymous_id": list(state.anonymous_ids),
        },
        "traits": {
            name: {"value": fact.value, "since": at(fact.at)}
            for name, fact in state.traits.items()
        },
        "former_traits": {
            name: [{"value": fact.value, "since": at(fact.at)} for fact in facts]
            for name, facts in state.former.items()
        },
        "consent": {
            about or "everything": [
                {"given": word.given, "at": at(word.at)} for word in words
            ]
            for about, words in state.consents.items()
        },
        "refused": list(state.refused),
        "rules": {
            name: {
                "matches": [
                    {"at": at(entry[0]), "amount": entry[2]} for entry in kept.entries
                ],
                "older_matches": kept.base_count,
            }
            for name, kept in state.rules.items()
        },
        "alerts": {
            name: {
                "phase": memory.phase,
                "episode": memory.episode,
                "told_at": at(memory.told_at),
            }
            for name, memory in state.alerts.items()
        },
        "last_events": [
            {"at": at(item.at), "name": item.name, "detail": item.detail}
            for item in state.recent
        ],
        "active": {
            channel: [at(sign[0]) for sign in signs]
            for channel, signs in state.active.items()
        },
        "events_known": len(state.ids),
        "linked_lead_ids": list(state.linked),
    }


def _beside(settings: "Settings", person: Person) -> Iterator[Document]:
    mine = frozenset(person.lead_ids)
    for key, kept in _states(settings, SIDE_STATE, Lead):
        slot, _, lead_id = key.rpartition("/")
        if lead_id in mine:
            yield {"slot": slot, **_lead(kept.state)}


def _accounts(settings: "Settings", person: Person) -> Iterator[Document]:
    """Yield what accounts keep of the person, and of nobody else."""
    mine = frozenset(person.lead_ids)
    for account_id, kept in _states(settings, ACCOUNT_STATE, Account):
        state = kept.state
        for lead_id in sorted(mine & (state.members.keys() | state.departed.keys())):
            member = state.members.get(lead_id)
            yield {
                "account_id": account_id,
                "name": state.published.name,
                "lead_id": lead_id,
                "member": None if member is None else _named(member),
            }


def _states(
    settings: "Settings", changelog: Topic, kind: type[Lead | Account]
) -> Iterator[tuple[str, Any]]:
    rebuilt: dict[int, Rebuilt] = {}
    for message in read_topic(settings, settings.topic(changelog.name)):
        if (key := message.key()) in {None, OWNER_KEY}:
            continue
        partition = message.partition() or 0
        states = rebuilt.setdefault(partition, Rebuilt(partition, 0, ""))
        states.apply(key, message.value(), message.offset() or 0)
    for states in rebuilt.values():
        yield from states.kept(kind).items()


def _records(settings: "Settings", topic: Topic, person: Person) -> Iterator[Document]:
    """Yield the records of a topic that are about the person.

    An account's are reduced to what they say of the person.
    """
    marks = person.marks
    decode = msgspec.json.Decoder(_TYPES[topic.name]).decode
    for message in read_topic(settings, settings.topic(topic.name)):
        raw = message.value()
        if raw is None or not is_about(marks, message.key(), raw):
            continue
        try:
            value = _of_person(decode(raw), person)
        except msgspec.DecodeError:
            value = {"unreadable": raw.decode("utf-8", "replace")}
        if value is not None:
            yield {**_place(topic, message), "record": value}


def _of_person(value: Any, person: Person) -> Any:
    """Return what a record says of the person, without other people's data."""
    mine = frozenset(person.lead_ids)
    match value:
        case AccountScore():
            top = [_plain(each) for each in value.top if each.lead_id in mine]
            return {"account_id": value.account_id, "top": top} if top else None
        case Alert() if value.account is not None:
            people = [each for each in value.account.people if each in mine]
            return {"id": value.id, "alert": value.alert, "people": people}
        case MemberUpdate():
            return _plain(value) if value.lead_id in mine else None
        case _:
            return _plain(value)


def _letters(settings: "Settings", person: Person) -> Iterator[Document]:
    marks = person.marks
    for letter in read_letters(settings):
        if is_about(marks, letter.key, letter.value):
            yield {
                "stage": letter.story.stage,
                "reason": letter.story.reason,
                "at": to_iso(letter.at),
                "record": (letter.value or b"").decode("utf-8", "replace"),
            }


def _place(topic: Topic, message: "Message") -> Document:
    return {
        "topic": topic.name,
        "partition": message.partition(),
        "offset": message.offset(),
        "at": to_datetime(message.timestamp()[1]).isoformat(),
    }


def _plain(value: Any) -> Any:
    return msgspec.to_builtins(value)


def _named(struct: Any) -> Document:
    """Return a struct that is kept as an array with the names of its fields."""
    return {name: _plain(getattr(struct, name)) for name in struct.__struct_fields__}

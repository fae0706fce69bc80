"""Erasing a lead: whatever its owner keeps and has published of it.

Everything that follows is worked out from the state and written before the state goes:
the suppression list, word to the other identifiers of the person and to the account,
the audit record. Then come the tombstones. A crash in between finds the state still
there and does it all again; nothing of it hurts when it is done twice.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple, cast

import structlog
from msgspec.structs import replace

from schemas.command import Erase
from schemas.privacy import AuditRecord
from schemas.time import to_instant
from schemas.topics import LEAD_STATE, SCORE_UPDATES, SIDE_STATE, TRAINING
from scorers.belonging import leave
from scorers.identity import KINDS, leads_named
from scorers.linking import present_owner
from scorers.state import LeadState
from streams import codec, metrics
from streams.event_log import EventLog, Record
from streams.outgoing import Output
from streams.partitioner import partition_of
from streams.privacy_audit import audit_record
from streams.state_records import encode_stored
from streams.suppressions import suppression_records

if TYPE_CHECKING:
    from streams.agents.durable import Confirm
    from streams.model_book import ModelBook
    from streams.settings import Settings
    from streams.suppressions import Suppressions
    from streams.tables import Kept, LeadTable, SideTable
    from streams.timers import Wakeups

_log = structlog.get_logger(__name__)


class Erasure(NamedTuple):
    """A command to erase a lead, and the partition that it came to."""

    partition: int
    command: Erase


class Erasing:
    """Erases leads, for the partitions that this worker owns."""

    def __init__(
        self,
        settings: "Settings",
        *,
        models: "ModelBook",
        leads: "LeadTable",
        beside: "SideTable",
        wakeups: "Wakeups",
        log: EventLog,
        partitions: int,
        suppressions: "Suppressions",
    ) -> None:
        """Erase from `leads`, and from what runs `beside`."""
        self._settings = settings
        self._models = models
        self._leads = leads
        self._beside = beside
        self._wakeups = wakeups
        self._log = log
        self._partitions = partitions
        self._suppressions = suppressions

    async def process(self, erasures: Iterable[Erasure], confirm: "Confirm") -> None:
        """Return when nothing of the leads is left with this worker.

        Raises
        ------
        NotDurableError
            When the broker did not take something; nothing may be acknowledged.
        """
        for partition, command in erasures:
            await self._erase(partition, command, confirm)

    async def _erase(self, partition: int, command: Erase, confirm: "Confirm") -> None:
        lead_id = command.lead_id
        owned = partition in self._leads.partitions
        if not owned or partition_of(lead_id.encode(), self._partitions) != partition:
            return  # nothing of it was ever here
        kept = self._leads.get(lead_id)
        state = None if kept is None else cast("LeadState", kept.state)
        if kept is not None and state is not None and _is_of_others(state, command):
            await self._disown(kept, state, command, confirm)
            return
        follows = [*self._follows(command, state)]
        await confirm()
        await self._log.append(follows)
        keys = [f"{side}/{lead_id}" for side in self._side_names(partition)]
        await confirm()
        await self._log.append(
            [
                self._tombstone(SCORE_UPDATES.name, lead_id, partition),
                self._tombstone(TRAINING.name, lead_id, partition),
                self._tombstone(LEAD_STATE.name, lead_id, partition),
                *(self._tombstone(SIDE_STATE.name, key, partition) for key in keys),
            ]
        )
        self._leads.remove(lead_id)
        self._wakeups.plan(partition, lead_id, None)
        for key in keys:
            self._beside.remove(key)
            self._wakeups.plan(partition, key, None)
        self._suppressions.take(self._suppressions.entry(lead_id, command.at))
        metrics.ERASURES.labels("unknown" if state is None else "erased").inc()
        metrics.LEADS.set(len(self._leads))
        _log.info("lead_erased", known=state is not None)

    def _side_names(self, partition: int) -> set[str]:
        return {key.rpartition("/")[0] for key, _ in self._beside.held([partition])}

    def _follows(self, command: Erase, state: LeadState | None) -> Iterator[Record]:
        """Yield everything that must be durable before the state may go."""
        lead_id, at = command.lead_id, command.at
        known = state is not None
        again = not known and self._suppressions.forgets(lead_id)
        others = {} if state is None else _others(state)
        mine = [lead_id, *(each for each, kind in others.items() if kind in _PERSONAL)]
        yield from suppression_records(
            self._settings,
            [self._suppressions.entry(each, at) for each in mine],
            self._partitions,
        )
        for each in others:
            yield self._keyed(
                codec.command_output(
                    replace(command, lead_id=each, person=(lead_id, *others)), ()
                )
            )
        if state is None:
            if not again:
                yield self._audit(command, {})
            return
        if (owner := present_owner(state)) is not None and not command.person:
            yield self._keyed(codec.command_output(replace(command, lead_id=owner), ()))
        if state.account_id is not None:
            word = leave(_copied(state), state.account_id, to_instant(at))
            # Those that became part of the lead may have left the account, too.
            for each in (lead_id, *others):
                gone = replace(word, lead_id=each, erased=True)
                yield self._keyed(codec.member_output(gone, ()))
        yield self._audit(
            command,
            {
                "identifiers": len(others),
                "events": len(state.ids),
                "traits": len(state.traits),
                "accounts": int(state.account_id is not None),
            },
        )

    def _audit(self, command: Erase, removed: dict[str, int]) -> Record:
        entry = self._suppressions.entry(command.lead_id, command.at)
        return audit_record(
            self._settings,
            AuditRecord(
                kind="erasure",
                subject=entry.subject,
                at=command.at,
                by=command.by,
                removed=removed,
            ),
        )

    async def _disown(
        self, kept: "Kept", state: LeadState, command: Erase, confirm: "Confirm"
    ) -> None:
        """Let an identifier that is somebody else's by now forget whose it was."""
        claims = tuple(
            claim for claim in state.claims if claim[1] not in command.person
        )
        if claims == state.claims:
            return
        state = replace(state, claims=claims)
        stored = self._leads.signed(kept.partition, kept.positions, state, ())
        value = encode_stored(stored)
        topic = self._settings.topic(LEAD_STATE.name)
        key = command.lead_id.encode()
        await confirm()
        await self._log.append([Record(topic, key, value, [], kept.partition)])
        self._leads.renew(command.lead_id, kept.partition, stored, state)

    def _tombstone(self, topic: str, key: str, partition: int) -> Record:
        return Record(self._settings.topic(topic), key.encode(), None, [], partition)

    def _keyed(self, output: Output) -> Record:
        key = output.key.encode()
        return Record(
            self._settings.topic(output.topic),
            key,
            output.value,
            list(output.headers),
            partition_of(key, self._partitions),
        )


_PERSONAL = frozenset({"user_id", "email"})


def _is_of_others(state: LeadState, command: Erase) -> bool:
    """Say whether an identifier was used by the person, and is somebody else's now."""
    owner = present_owner(state)
    return owner is not None and bool(command.person) and owner not in command.person


def _others(state: LeadState) -> dict[str, str]:
    """Return the leads of a person's other identifiers, and of which kind each is."""
    named = {
        lead_id: kind
        for kind, names in zip(
            KINDS, (state.user_ids, state.emails, state.anonymous_ids), strict=True
        )
        for lead_id in leads_named(kind, names, like=state.lead_id)
    }
    others = {**dict.fromkeys(state.linked, "anonymous_id"), **named}
    others.pop(state.lead_id, None)
    return others


def _copied(state: LeadState) -> LeadState:
    """Return a copy to count a last word with: the state itself stays as it is."""
    return replace(state)

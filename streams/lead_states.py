"""A lead's state as the workers keep it, read by those who explain it."""

from typing import TYPE_CHECKING, Final, Protocol, cast

from schemas.topics import LEAD_STATE
from scorers.linking import present_owner
from scorers.state import LeadState
from streams.errors import UserError
from streams.rebuilding import Rebuilt
from streams.state_records import OWNER_KEY, ChangelogError
from streams.tables import Lead
from streams.topic_reader import read_topic

if TYPE_CHECKING:
    from streams.settings import Settings

_NO_CLAIM: Final = ""
"""Whoever only reads claims nothing, so no claim is ever met."""


class UnreadableStateError(UserError):
    """A lead's state is there and this version cannot read it."""


class LeadStates(Protocol):
    """Where the state of a lead is found."""

    def get(self, lead_id: str) -> LeadState | None:
        """Return the lead's state, None where no such lead is known.

        Raises
        ------
        UserError
            When it cannot be read; the text is one clear line.
        """
        ...


class ChangelogLeadStates:
    """Lead states from the changelog: what a worker that starts now would know.

    The lead's partition is read from its beginning, for Kafka has no look-up by key:
    it takes as long as a worker needs to recover that partition.
    """

    def __init__(self, settings: "Settings") -> None:
        """Read the changelog that `settings` name."""
        self._settings = settings

    def get(self, lead_id: str) -> LeadState | None:
        """Return the lead's state, None where no such lead is known.

        Of one that is part of another it is the other's.

        Raises
        ------
        UnreadableTopicError
            When no broker answers, or there is no changelog.
        UnreadableStateError
            When another version wrote the state.
        """
        state = self._read(lead_id)
        while state is not None and (owner := present_owner(state)) is not None:
            state = self._read(owner)
        return state

    def _read(self, lead_id: str) -> LeadState | None:
        topic = self._settings.topic(LEAD_STATE.name)
        key = lead_id.encode()
        rebuilt = Rebuilt(partition=0, term=0, claim=_NO_CLAIM)
        try:
            for message in read_topic(self._settings, topic, key=key):
                found, offset = message.key(), message.offset() or 0
                if found in {key, OWNER_KEY}:
                    rebuilt.apply(found, message.value(), offset)
            kept = rebuilt.kept(Lead).get(lead_id)
            return None if kept is None else cast("LeadState", kept.state)
        except ChangelogError as error:
            msg = f"cannot read the state of {lead_id}: {error}"
            raise UnreadableStateError(msg) from None

"""A person, by whatever they are known by: their leads, and their identifiers."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from schemas.score import Identifiers
from schemas.workspace import DEFAULT_WORKSPACE
from scorers.identity import KINDS, is_lead_id, lead_id_of, leads_named, normalise
from scorers.notice import identifiers_of
from scorers.state import LeadState
from streams.identifying import known_email
from streams.lead_states import ChangelogLeadStates

if TYPE_CHECKING:
    from streams.settings import Settings

_SHORTEST: Final = 4
"""A shorter identifier is in too many texts to say whose they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """What a term names, and what is known by it."""

    term: str
    named: tuple[str, ...]
    """The leads that the term may be the identifier of."""
    states: tuple[LeadState, ...]
    """What workers know, one for each lead that a term names in the end."""
    pseudonym: str
    """The term as it is on the topics."""

    @property
    def lead_ids(self) -> tuple[str, ...]:
        """Every lead id of the person that is known, those that were named first."""
        found = dict.fromkeys(self.named)
        for state in self.states:
            found[state.lead_id] = None
            found |= dict.fromkeys(state.linked)
            for kind, names in zip(KINDS, _names(state), strict=True):
                found |= dict.fromkeys(leads_named(kind, names, like=state.lead_id))
        return tuple(found)

    @property
    def identifiers(self) -> Identifiers:
        """Every identifier that workers know."""
        each = [identifiers_of(state) for state in self.states]
        return Identifiers(
            email=_sorted(name for one in each for name in one.email),
            user_id=_sorted(name for one in each for name in one.user_id),
            anonymous_id=_sorted(name for one in each for name in one.anonymous_id),
        )

    @property
    def marks(self) -> tuple[bytes, ...]:
        """What gives a record away as the person's, in lower case."""
        known = self.identifiers
        named = {*known.email, *known.user_id, *known.anonymous_id}
        if not is_lead_id(self.term):
            named |= {self.term.strip(), self.pseudonym}
        long = {name for name in named if len(name) >= _SHORTEST}
        return tuple(
            mark.lower().encode(errors="surrogatepass")
            for mark in sorted({*long, *self.lead_ids})
        )


def find_person(
    settings: "Settings", term: str, workspace: str = DEFAULT_WORKSPACE
) -> Person:
    """Return whom `term` names: a lead id, user id, address or anonymous id.

    It is looked for in one workspace; a lead id names its own.

    Raises
    ------
    UserError
        When what workers know cannot be read.
    """
    named: tuple[str, ...] = (term,)
    pseudonym = term.strip()
    if not is_lead_id(term):
        pseudonym = known_email(settings)(term) if "@" in term else pseudonym
        named = tuple(
            dict.fromkeys(
                lead_id_of(kind, normalise(kind, pseudonym), workspace)
                for kind in KINDS
            )
        )
    states: dict[str, LeadState] = {}
    known = ChangelogLeadStates(settings)
    for lead_id in named:
        state = known.get(lead_id)
        if state is not None:
            states[state.lead_id] = state
    return Person(
        term=term, named=named, states=tuple(states.values()), pseudonym=pseudonym
    )


def is_about(marks: tuple[bytes, ...], *texts: bytes | None) -> bool:
    """Say whether any text holds any of a person's `marks`."""
    for text in filter(None, texts):
        folded = text.lower()
        if any(mark in folded for mark in marks):
            return True
    return False


def _names(state: LeadState) -> tuple[tuple[str, ...], ...]:
    return state.user_ids, state.emails, state.anonymous_ids


def _sorted(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(names)))

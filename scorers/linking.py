"""Who is who: what leads tell each other when identifiers turn out to be one person's.

A lead that sees a weaker identifier beside its own tells that identifier's lead, which
then hands over what it knows and keeps a redirect. Links only go from weaker to
stronger (anonymous id, address, user id), so there are no cycles, and a lead with a
user id is never handed over. An identifier that several people used is, by event time,
whoever's it was shown to be last.
"""

from typing import Final

from msgspec.structs import replace

from schemas.command import Absorb, Command, Forward, Learn, Link, Release, Retract
from schemas.event import Event
from schemas.time import Instant, to_datetime, to_instant
from scorers.identity import weaker_lead_ids
from scorers.masses import hash64
from scorers.state import Absorption, Claim, LeadState

MAX_LINKED: Final = 64
"""Weaker leads that a lead remembers it has told; others it may tell again."""

MAX_CLAIMS: Final = 16
"""Changes of hands of one identifier that are remembered, the latest."""

MAX_ABSORBED: Final = 256
"""Leads whose absorption is remembered, so that one which comes again is known."""

MAX_CLAIMANTS: Final = 8
"""People after whom an identifier is everybody's, and changes hands no more."""


def links_of(state: LeadState, event: Event, now: Instant) -> tuple[Link, ...]:
    """Return what `event` newly says of who the lead is; `state` remembers it."""
    if (event.anonymous_id is None) + (event.user_id is None) + (
        event.email is None
    ) > 1 or event.properties.get("machine") is True:
        return ()  # a machine's click shows its own cookie with somebody's address
    at, known = event.time, state.linked
    shown = [
        lead_id
        for lead_id in weaker_lead_ids(event)
        if known.get(lead_id, at - 1) < at and lead_id != state.lead_id
    ]
    if not shown:
        return ()
    linked = {**known, **dict.fromkeys(shown, at)}
    while len(linked) > MAX_LINKED:
        del linked[min(linked, key=lambda lead_id: (linked[lead_id], lead_id))]
    state.linked = linked
    return tuple(
        _claim(state, lead_id, at, now) for lead_id in shown if lead_id not in known
    )


def _claim(state: LeadState, lead_id: str, since: Instant, now: Instant) -> Link:
    return Link(
        lead_id=lead_id,
        to=state.lead_id,
        since=to_datetime(since),
        at=to_datetime(now),
    )


def released(
    state: LeadState, release: Release
) -> tuple[dict[str, Instant], Link | None]:
    """Return what is still the lead's after `release`, and what it has to say to it.

    Where it has seen the identifier later than whoever has it now, that one cannot
    know: the sight was no news until the release came. So it claims it anew.
    """
    shown = state.linked.get(release.released)
    if shown is None:
        return state.linked, None
    if (shown, state.lead_id) > (to_instant(release.since), release.to):
        return state.linked, _claim(state, release.released, shown, state.now)
    kept = {
        lead_id: when
        for lead_id, when in state.linked.items()
        if lead_id != release.released
    }
    return kept, None


def claimed(state: LeadState, link: Link) -> tuple[tuple[Claim, ...], Release | None]:
    """Return the claims on a redirected lead after `link`, and who is to be told.

    Whoever's claim is not the latest any more, or was not when it came, must claim
    the identifier anew when they see it again.
    """
    claim = (to_instant(link.since), link.to)
    before = state.claims
    claimants = {lead_id for _, lead_id in before}
    if len(claimants | {link.to}) > MAX_CLAIMANTS:
        return before, None
    claims: list[Claim] = []
    for each in sorted({*before, claim}):
        if not claims or claims[-1][1] != each[1]:
            claims.append(each)
    since, owner = claims[-1]
    loser = before[-1][1] if before and before[-1][1] != owner else link.to
    release = None
    if loser != owner:
        release = Release(
            lead_id=loser, released=state.lead_id, since=to_datetime(since), to=owner
        )
    return tuple(claims[-MAX_CLAIMS:]), release


def owner_at(state: LeadState, at: Instant) -> str:
    """Return whose an identifier was at `at`; before the first claim, the first's.

    >>> owner_at(LeadState(lead_id="a", claims=((10, "ada"), (20, "bob"))), 19)
    'ada'
    """
    owner = state.claims[0][1]
    for since, lead_id in state.claims:
        if since <= at:
            owner = lead_id
    return owner


def present_owner(state: LeadState) -> str | None:
    """Return whose a redirected lead is, None where it is a lead of its own."""
    return state.claims[-1][1] if state.claims else None


def redirect(
    state: LeadState, message: Event | Retract | Learn | Absorb
) -> tuple[Command, ...]:
    """Return `message` to a lead that is no more, addressed to whom it is about."""
    match message:
        case Event():
            lead_id = owner_at(state, message.time)
            return (Forward(lead_id=lead_id, event=message),)
        case Absorb():
            owner = owner_at(state, to_instant(message.since))
            return (replace(message, lead_id=owner),)
        case Learn():
            # Whatever comes by this lead rises by itself, beside the owner's own.
            return (
                replace(
                    message,
                    lead_id=owner_at(state, message.event.time),
                    topic=f"{message.topic}/{state.lead_id}",
                ),
            )
        case Retract():
            owners = dict.fromkeys(lead_id for _, lead_id in state.claims)
            return tuple(replace(message, lead_id=owner) for owner in owners)


def absorption_of(absorb: Absorb) -> Absorption:
    """Return what an absorption is known by when it comes again."""
    return (
        to_instant(absorb.at),
        hash64(absorb.absorbed),
        hash64(absorb.state.hex()),
    )


def with_absorption(state: LeadState, absorption: Absorption) -> tuple[Absorption, ...]:
    """Return what the lead has absorbed or sent on, with one more."""
    return (*state.absorbed, absorption)[-MAX_ABSORBED:]

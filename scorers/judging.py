"""Telling machines from people with a lead's memory, and taking back what they gave.

`machine_traffic` judges an event by itself, `mail_bursts` what happened to one mail.
Here both meet the state: what turns out to be a machine's is taken back to the last
bit and held, so that it can count again if what gave it away is withdrawn.
"""

from bisect import insort
from typing import Final, NamedTuple

from schemas.event import Event
from schemas.score import MachineReason
from schemas.time import Instant
from scorers import holding, memory
from scorers.compiled import CompiledModel
from scorers.machine_traffic import (
    act_word,
    is_evidence,
    link_of,
    links_in,
    mail_of,
    word_of,
)
from scorers.mail_bursts import DELIVERED, scanned
from scorers.masses import hash64
from scorers.state import (
    MACHINE,
    MARKS,
    MAX_IDS,
    WITHDRAWN,
    Flagged,
    LeadState,
    Touch,
)

MOST_TOUCHES: Final = 64
"""What happened to mails that is remembered; the latest by event time."""

MOST_FLAGGED: Final = 16
"""Events of machines that a lead's explanation may speak of."""

_HASH_BITS: Final = 32
"""Of a mail's and a link's hash: a lead has few, and they are kept often."""


class Judged(NamedTuple):
    """What a look at a lead's mails led to."""

    found: tuple[MachineReason, ...] = ()
    """Why events were found to be a machine's, one reason for each."""
    withdrawn: frozenset[int] = frozenset()
    """The events that counted until then."""


NOTHING: Final = Judged()


def judge(model: CompiledModel, state: LeadState, event: Event) -> MachineReason | None:
    """Return why an event is a machine's, as far as it can be told without others."""
    reason = model.traffic.judge(event)
    return "staff" if reason is None and is_staff(model, state) else reason


def is_staff(model: CompiledModel, state: LeadState) -> bool:
    """Say whether a lead is one of the company's own people."""
    return model.traffic.knows_staff and model.traffic.is_staff(state.emails)


def take(
    model: CompiledModel,
    state: LeadState,
    event: Event,
    event_id: int,
    reason: MachineReason | None,
) -> Judged:
    """Let `state` draw the conclusions of an event that it has just learnt.

    `reason` is why it is a machine's, if it is known to be one.
    """
    now = state.now
    at = min(event.time, now)
    if reason is not None:
        _flag(state, (at, event_id, reason, word_of(event)))
    judged = NOTHING
    if event.channel == "email":
        touch = _touch_of(model, event, event_id, at, reason)
        if touch is not None:
            _remember(state, touch)
            judged = _review(model, state, touch[2], now)
    if reason is not None:
        return judged._replace(found=(reason, *judged.found))
    return judged


def forget(
    model: CompiledModel, state: LeadState, ids: frozenset[int], now: Instant
) -> None:
    """Withdraw the events `ids`: what they made look like a machine's counts again."""
    memory.forget(model, state, ids, now)
    mails = {touch[2] for touch in state.touches if touch[1] in ids}
    state.touches = tuple(touch for touch in state.touches if touch[1] not in ids)
    state.held = {known: held for known, held in state.held.items() if known not in ids}
    state.flagged = tuple(item for item in state.flagged if item[1] not in ids)
    for mail in sorted(mails):
        _review(model, state, mail, now)


def unite(
    model: CompiledModel, whole: LeadState, one: LeadState, other: LeadState
) -> None:
    """Let `whole`, in which two states were merged, know the mails of both.

    What only both together show to be a machine's is taken back.
    """
    if not one.touches and not other.touches and not other.flagged:
        return
    gone = {known for known, stamp in whole.ids.items() if stamp % MARKS == WITHDRAWN}
    held = {**other.held, **one.held}
    whole.held = {known: what for known, what in held.items() if known not in gone}
    flagged = sorted({*one.flagged, *other.flagged})
    whole.flagged = tuple(item for item in flagged if item[1] not in gone)[
        -MOST_FLAGGED:
    ]
    touches = sorted({*one.touches, *other.touches})
    whole.touches = tuple(touch for touch in touches if touch[1] not in gone)
    _bound(whole)
    for mail in sorted({touch[2] for touch in whole.touches}):
        _review(model, whole, mail, whole.now)


def _touch_of(
    model: CompiledModel,
    event: Event,
    event_id: int,
    at: Instant,
    reason: MachineReason | None,
) -> Touch | None:
    act = model.traffic.act_of(event)
    if act is None or not is_evidence(reason, act):
        return None
    mail = mail_of(event)
    if mail is None:
        return None
    link = "" if act == DELIVERED else link_of(event)
    return (at, event_id, _short(mail), act, _short(link), links_in(event))


def _short(text: str) -> int:
    return hash64(text) >> _HASH_BITS if text else 0


def _remember(state: LeadState, touch: Touch) -> None:
    touches = list(state.touches)
    insort(touches, touch)
    state.touches = tuple(touches)
    if len(touches) > MOST_TOUCHES or len(state.ids) >= MAX_IDS:
        _bound(state)


def _bound(state: LeadState) -> None:
    """Keep the latest touches of events that are still known, and what they hold."""
    known = [touch for touch in state.touches if touch[1] in state.ids]
    state.touches = tuple(known[-MOST_TOUCHES:])
    if state.held:
        ids = {touch[1] for touch in state.touches}
        state.held = {key: held for key, held in state.held.items() if key in ids}


def _review(model: CompiledModel, state: LeadState, mail: int, now: Instant) -> Judged:
    """Judge what happened to a mail anew; take back and give back what follows."""
    touches = [touch for touch in state.touches if touch[2] == mail]
    found = scanned(model.traffic.policy, touches) if touches else {}
    if not found and not state.held:
        return NOTHING
    news: dict[int, Touch] = {}
    for touch in touches:
        event_id = touch[1]
        mark = state.ids[event_id] % MARKS
        if event_id in found:
            if mark < MACHINE:
                news[event_id] = touch
        elif mark == MACHINE and event_id in state.held:
            holding.release(model, state, event_id, now)
            _unflag(state, event_id)
    if not news:
        return NOTHING
    withdrawn = frozenset(news)
    holding.hold(model, state, withdrawn, now)
    for event_id, touch in news.items():
        _flag(state, (touch[0], event_id, found[event_id], act_word(touch[3])))
    return Judged(tuple(found[event_id] for event_id in news), withdrawn)


def _unflag(state: LeadState, event_id: int) -> None:
    state.flagged = tuple(item for item in state.flagged if item[1] != event_id)


def _flag(state: LeadState, flagged: Flagged) -> None:
    others = [item for item in state.flagged if item[1] != flagged[1]]
    state.flagged = tuple(sorted((*others, flagged))[-MOST_FLAGGED:])

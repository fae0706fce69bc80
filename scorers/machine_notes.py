"""What machines lately did in a lead's name: for programs, and in sentences."""

from typing import Final

from schemas.locale import Locale
from schemas.score import MachineAct, MachineReason, NotCounted
from schemas.time import to_datetime
from scorers.speech import SPEECH
from scorers.state import LeadState

_WHO: Final[dict[str, str]] = {
    "honeypot": "scanner",
    "burst": "scanner",
    "all-links": "scanner",
    "at-delivery": "scanner",
    "privacy-proxy": "proxy",
    "image-proxy": "proxy",
}
"""Who is meant by a reason; else its own name says it."""


def not_counted(state: LeadState, locale: Locale) -> tuple[NotCounted, ...]:
    """Return what machines lately did, by reason and act, the latest first."""
    found: dict[tuple[MachineReason, MachineAct], list[tuple[int, int]]] = {}
    for at, event_id, reason, act in reversed(state.flagged):
        found.setdefault((reason, act), []).append((at, event_id))
    return tuple(
        NotCounted(
            reason=reason,
            act=act,
            count=len(events),
            last_at=to_datetime(events[0][0]),
            text=deed(reason, act, locale, count=len(events)),
            events=tuple(f"{event_id:016x}" for _, event_id in events),
        )
        for (reason, act), events in found.items()
    )


def deed(
    reason: MachineReason, act: MachineAct, locale: Locale, *, count: int = 1
) -> str:
    """Return in a sentence what a machine did, `count` times.

    >>> deed("at-delivery", "clicked", "en", count=2)
    'Clicked by a mail scanner, not counted (twice)'
    """
    speech = SPEECH[locale]
    who = speech.say(f"who.{_WHO.get(reason, reason)}")
    what = speech.say(f"machine.{act}", who=who)
    if count == 1:
        return what
    return speech.say("machine.times", what=what, times=speech.say("times", count))

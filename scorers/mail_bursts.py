"""Which opens and clicks of a mail a scanner made: a pure question about a set.

What happened to one mail is looked at as a whole, by event time alone, so it does not
matter in which order it became known.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from schemas.score import MachineReason
from scorers.machine_policy import Burst, MachineTraffic
from scorers.state import Touch

DELIVERED, OPENED, CLICKED, UNSUBSCRIBED, TRAPPED = range(5)
"""The acts: a click on a link that people cannot see is `TRAPPED`."""

_FOLLOWED: Final = (CLICKED, TRAPPED)
_DONE: Final = (OPENED, CLICKED, TRAPPED)

Found = dict[int, MachineReason]
"""By the hash of an event's id, why it is a machine's."""


def scanned(policy: MachineTraffic, touches: Sequence[Touch]) -> Found:
    """Return the events among those of one mail that a machine made.

    `touches` are in order of time. An unsubscribing is never evidence; it falls with
    what it stands beside.
    """
    done = [touch for touch in touches if touch[3] in _DONE]
    if not done and all(touch[3] != UNSUBSCRIBED for touch in touches):
        return {}
    off = frozenset(policy.off)
    found: Found = {}
    # The stronger evidence first: of several reasons the first one stays.
    if "honeypot" not in off:
        _note(found, "honeypot", _trapped(policy, done))
    if "burst" not in off:
        _note(found, "burst", _bursts(policy, done))
    if "all-links" not in off:
        _note(found, "all-links", _all_links(policy, done, touches))
    if "at-delivery" not in off:
        _note(found, "at-delivery", _at_delivery(policy, touches))
    if found:
        _note_unsubscribed(policy, found, touches)
    return found


def _note(found: Found, reason: MachineReason, touches: Iterable[Touch]) -> None:
    for touch in touches:
        found.setdefault(touch[1], reason)


def _trapped(policy: MachineTraffic, done: Sequence[Touch]) -> Iterable[Touch]:
    """Yield what stands so near to a click on the honeypot, and that click."""
    traps = [touch[0] for touch in done if touch[3] == TRAPPED]
    within = policy.honeypot.within
    return (
        touch for touch in done if any(abs(touch[0] - trap) <= within for trap in traps)
    )


def _bursts(policy: MachineTraffic, done: Sequence[Touch]) -> Iterable[Touch]:
    """Yield what is one of so many in so short a time.

    Where opens and clicks are counted apart, opens beside a burst of clicks are the
    scanner's as well: it loads what it looks at.
    """
    if not policy.burst.alike:
        yield from _at_once(policy.burst, done)
        return
    opens = [touch for touch in done if touch[3] == OPENED]
    clicks = [touch for touch in done if touch[3] in _FOLLOWED]
    scans = list(_at_once(policy.burst, clicks))
    yield from scans
    yield from _at_once(policy.burst, opens)
    within = policy.burst.within
    for touch in opens:
        if any(abs(touch[0] - scan[0]) <= within for scan in scans):
            yield touch


def _at_once(burst: Burst, touches: Sequence[Touch]) -> Iterable[Touch]:
    """Yield those of which there are so many in so short a time."""
    for last in range(burst.least - 1, len(touches)):
        first = last - burst.least + 1
        if touches[last][0] - touches[first][0] <= burst.within:
            yield from touches[first : last + 1]


def _all_links(
    policy: MachineTraffic, done: Sequence[Touch], touches: Sequence[Touch]
) -> Iterable[Touch]:
    """Yield the clicks of a time in which every link of the mail was followed."""
    links = max((touch[5] for touch in touches), default=0)
    if links < policy.all_links.least:
        return
    clicks = [touch for touch in done if touch[3] in _FOLLOWED]
    for place, first in enumerate(clicks):
        end = first[0] + policy.all_links.within
        together = [touch for touch in clicks[place:] if touch[0] <= end]
        if len({touch[4] for touch in together}) >= links:
            yield from together


def _at_delivery(policy: MachineTraffic, touches: Sequence[Touch]) -> Iterable[Touch]:
    """Yield the clicks and unsubscribings in the moment of a delivery."""
    delivered = [touch[0] for touch in touches if touch[3] == DELIVERED]
    within = policy.at_delivery.within
    return (
        touch
        for touch in touches
        if touch[3] in {*_FOLLOWED, UNSUBSCRIBED}
        and any(abs(touch[0] - at) < within for at in delivered)
    )


def _note_unsubscribed(
    policy: MachineTraffic, found: Found, touches: Sequence[Touch]
) -> None:
    """Note the unsubscribings beside a scanner's clicks, as it followed that link."""
    scans = [
        (touch[0], found[touch[1]])
        for touch in touches
        if touch[1] in found and touch[3] in _DONE
    ]
    for touch in touches:
        if touch[3] != UNSUBSCRIBED:
            continue
        for at, reason in scans:
            near = policy.burst.within
            if reason == "honeypot":
                near = max(near, policy.honeypot.within)
            if abs(touch[0] - at) <= near:
                found.setdefault(touch[1], reason)
                break

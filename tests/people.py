"""People who visit before anybody knows them, and what one lead would make of each."""

import random
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator

from schemas.event import Channel, Event
from schemas.time import MINUTE, Instant, to_datetime
from scorers.identity import lead_id_of
from scorers.mailbox import on_message
from scorers.state import LeadState
from tests.worker_harness import MODEL

_DEEDS: tuple[tuple[Channel, str], ...] = (
    ("web", "Offer Clicked"),
    ("web", "Form Submitted"),
    ("web", "Video Watched"),
    ("email", "Email Opened"),
    ("email", "Email Link Clicked"),
    ("social", "Post Liked"),
)


def make_visits(
    count: int,
    people: int,
    *,
    anonymous: float = 0.3,
    seed: int = 1,
    now: Instant | None = None,
) -> Iterator[Event]:
    """Yield what `people` do within the last 25 minutes, in the order of receipt.

    A share of them is `anonymous` at first: a cookie, then an address, then known by
    both with the user id; afterwards all three come up alone. Each of these shows all
    identifiers at least once. The others are known from the start.
    """
    chance = random.Random(seed)
    end = now or time.time_ns() // 1_000_000
    step = 25 * MINUTE / count
    strangers = int(people * anonymous)
    done: dict[int, int] = defaultdict(int)
    for number in range(count):
        who = number % people if number < 4 * people else chance.randrange(people)
        shown: dict[str, str] = {"user_id": f"user-{seed}-{who}"}
        if who < strangers:
            whole = {
                "anonymous_id": f"cookie-{seed}-{who}",
                "email": f"person-{seed}-{who}@example.com",
                **shown,
            }
            names = _shown(done[who], chance)
            shown = {name: whole[name] for name in names}
        done[who] += 1
        channel, name = chance.choice(_DEEDS)
        received = end - int((count - number) * step)
        yield Event(
            id=f"visit-{seed}-{number}",
            type="track",
            channel=channel,
            name=name,
            properties={"email_id": f"m{number % 7}"},
            occurred_at=to_datetime(received - chance.randrange(60_000)),
            received_at=to_datetime(received),
            source="test",
            **shown,
        )


def _shown(visit: int, chance: random.Random) -> tuple[str, ...]:
    """Return which identifiers somebody shows the n-th time they are seen."""
    match visit:
        case 0:
            return ("anonymous_id",)
        case 1:
            return ("anonymous_id", "email")
        case 2:
            return ("email",)
        case 3:
            return ("anonymous_id", "email", "user_id")
        case _:
            return (chance.choice(("anonymous_id", "email", "user_id")),)


def person_of(event: Event) -> str:
    """Return the lead of the person whose visit it was, whatever it shows."""
    shown = event.user_id or event.anonymous_id or (event.email or "").partition("@")[0]
    return lead_id_of("user_id", "user-" + shown.partition("-")[2])


def one_lead_each(events: Iterable[Event]) -> dict[str, LeadState]:
    """Return what each person would be if all was known from the start."""
    states: dict[str, LeadState] = {}
    for event in events:
        lead_id = person_of(event)
        state = states.get(lead_id)
        step = on_message(MODEL, state, event, event.now, lead_id=lead_id)
        states[lead_id] = step.state
    return states

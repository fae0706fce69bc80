"""The demo judges itself: every promise is checked on what really happened."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, assert_never

import msgspec

from schemas.alert import Alert
from schemas.event import Event
from schemas.time import Instant, to_instant
from scorers.compiled import CompiledModel
from scorers.identity import lead_id_of
from scorers.replay import Replay
from scorers.scorer import read
from streams.demo.observer import Seen
from streams.demo.personas import Fate, Persona

_decode = msgspec.json.Decoder(Event).decode


class Counts(NamedTuple):
    """Where the events went."""

    sent: int
    scored: int
    duplicates: int
    dead_letters: int


class Check(NamedTuple):
    """One promise, and what speaks against it."""

    promise: str
    against: list[str]


def judge(
    people: Sequence[Persona], seen: Seen, counts: Counts, model: CompiledModel
) -> list[Check]:
    """Return every promise with what was found against it; all empty is a success."""
    return [
        Check("every event is scored, a duplicate or a dead letter", _count(counts)),
        Check("everybody met their fate", list(_fates(people, seen))),
        Check("sequences have no gaps, alert ids one content", seen.faults),
        *_replayed(seen, model),
    ]


def _count(counts: Counts) -> list[str]:
    found = counts.scored + counts.duplicates + counts.dead_letters
    if found == counts.sent:
        return []
    sum_told = (
        f"{counts.scored} scored + {counts.duplicates} duplicates + "
        f"{counts.dead_letters} dead letters = {found}"
    )
    return [f"{counts.sent} events in, but {sum_told}"]


def _fates(people: Sequence[Persona], seen: Seen) -> Iterator[str]:
    alerts: dict[str, list[Alert]] = defaultdict(list)
    for alert in seen.alerts.values():
        alerts[alert.subject].append(alert)
    cooled_by_silence = 0
    for person in people:
        told = alerts[lead_id_of("user_id", person.user_id)]
        cooled_by_silence += any(
            alert.kind == "cooled" and alert.event_id is None for alert in told
        )
        for fate in person.fates:
            if not _met(fate, person, told, seen):
                yield f"{person.user_id} should be {fate}"
    if any("cooled" in person.fates for person in people) and not cooled_by_silence:
        yield "nobody cooled by silence alone"


def _met(fate: Fate, person: Persona, told: Sequence[Alert], seen: Seen) -> bool:
    kinds = {alert.kind for alert in told}
    match fate:
        case "hot":
            return "hot" in kinds
        case "cooled":
            return "cooled" in kinds
        case "never-hot":
            return "hot" not in kinds
        case "lost-points":
            return seen.effects.get(person.turning_point or "", 0.0) < 0
    assert_never(fate)


def _replayed(seen: Seen, model: CompiledModel) -> Iterator[Check]:
    """Yield whether the recorded stream, replayed, gives what was published live."""
    replay = Replay(model, wake=False)
    told: set[str] = set()
    events = sorted(_events(seen), key=lambda event: event.now)
    for event in events:
        for step in replay.take(event):
            told.update(_ids(step.alerts))
    differing = []
    for lead_id, state in replay.states.items():
        if state.claims:
            continue  # an identifier of somebody
        live = seen.latest.get(lead_id)
        if live is None:
            differing.append(f"{lead_id} has no live score")
            continue
        then = read(model, state, to_instant(live.as_of))
        if (then.score, then.tier) != (live.score, live.tier):
            differing.append(
                f"{lead_id}: {live.score:g} {live.tier} live, "
                f"{then.score:g} {then.tier} replayed as of {live.as_of.isoformat()}"
            )
    differing += [
        f"{lead_id} was scored live only"
        for lead_id in seen.latest.keys() - replay.states.keys()
    ]
    yield Check("replay of the recorded stream gives the live scores", differing)
    for step in replay.until(_end(seen)):
        told.update(_ids(step.alerts))
    live_ids = set(_ids(seen.alerts.values()))
    missing = [f"{each} was told live only" for each in sorted(live_ids - told)]
    missing += [f"{each} was replayed only" for each in sorted(told - live_ids)]
    yield Check("… and the live alerts of leads", missing)


def _ids(alerts: Iterable[Alert]) -> Iterator[str]:
    """Yield the ids of leads' alerts.

    An account hears of its people over the network. At the pace of a demo that takes
    hours, so who was active at the same time is another question than in real time.
    """
    return (alert.id for alert in alerts if alert.account is None)


def _events(seen: Seen) -> Iterator[Event]:
    for raw in seen.recorded:
        try:
            yield _decode(raw)
        except msgspec.DecodeError:  # the poison
            continue


def _end(seen: Seen) -> Instant:
    """Return the last instant of which anything was told."""
    instants = [update.as_of for update in seen.latest.values()]
    instants += [alert.decided_at for alert in seen.alerts.values()]
    return max(map(to_instant, instants), default=0)

"""The demo's people, through the collector's adapter and the core, without a broker."""

from collections import defaultdict

import msgspec
import pytest

from schemas.alert import Alert
from schemas.event import Event
from schemas.score import ScoreUpdate
from schemas.time import MINUTE, Instant, to_iso
from scorers.identity import lead_id_of
from scorers.replay import Replay
from scorers.step import Step
from streams.collector.adapters.segment import Envelope, adapt
from streams.demo.personas import FATES, STORY, Persona, broken_messages, cast
from streams.model_files import read_model

T0: Instant = 1_795_255_200_000


def lived(people: list[Persona], pace: float) -> list[Event]:
    """Every event of their lives, received up to an hour after it happened."""
    events = []
    for person in people:
        for moment in person.life:
            at = T0 + int(moment.at * pace)
            batch = 50 * MINUTE
            received = at + batch - at % batch
            raw = msgspec.json.encode({**moment.message, "timestamp": to_iso(at)})
            event = adapt(raw, Envelope(source="demo", received_at=received))
            assert isinstance(event, Event), event
            events.append(event)
    return sorted(events, key=lambda event: event.now)


@pytest.mark.parametrize(("seed", "pace"), [(1, 1.0), (7, 0.7), (23, 1.15)])
def test_everybody_meets_their_fate(seed: int, pace: float) -> None:
    """Whatever the seed and the pace, every kind ends as it must."""
    people = cast(seed, 42)
    replay = Replay(read_model(None), wake=False)
    alerts: dict[str, list[Alert]] = defaultdict(list)
    updates: dict[str, list[ScoreUpdate]] = defaultdict(list)
    steps = [step for event in lived(people, pace) for step in replay.take(event)]
    steps += replay.until(T0 + int(STORY * pace))
    for step in steps:
        if isinstance(step, Step):
            alerts[step.state.lead_id] += step.alerts
            updates[step.state.lead_id] += step.updates

    for person in people:
        lead_id = lead_id_of("user_id", person.user_id)
        kinds = {alert.kind for alert in alerts[lead_id]}
        peak = max(update.score for update in updates[lead_id])
        told = f"{person.user_id} (at most {peak})"
        for fate in person.fates:
            match fate:
                case "hot":
                    assert "hot" in kinds, f"{told} never became hot"
                case "cooled":
                    assert "cooled" in kinds, f"{told} never cooled"
                case "never-hot":
                    assert "hot" not in kinds, f"{told} became hot"
                case "lost-points":
                    lost = [
                        update.delta
                        for update in updates[lead_id]
                        if update.cause.event_id == person.turning_point
                    ]
                    assert lost, f"{told} did not feel the unsubscription"
                    assert lost[0] < 0, f"{told} gained by unsubscribing"


def test_the_same_seed_gives_the_same_market() -> None:
    """A demo can be shown twice; another seed tells another story."""
    assert cast(7, 30) == cast(7, 30)
    assert cast(7, 30) != cast(8, 30)


def test_every_kind_appears_in_the_smallest_market() -> None:
    """A market as small as the number of kinds has one of each."""
    assert {person.kind for person in cast(1, len(FATES))} == set(FATES)


def test_ids_are_unique() -> None:
    """No two events share an id, so a repeated one is a duplicate on purpose."""
    ids = [m.message["messageId"] for p in cast(7, 60) for m in p.life]

    assert len(ids) == len(set(ids))


def test_broken_senders_are_turned_away() -> None:
    """Each broken message is refused by the adapter with a reason of its own."""
    refused = [
        adapt(msgspec.json.encode(m.message), Envelope(source="demo", received_at=T0))
        for m in broken_messages(7)
    ]

    assert len(refused) == 5
    assert not any(isinstance(verdict, Event) for verdict in refused)

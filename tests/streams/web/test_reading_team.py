"""What the team page knows: how soon hot leads are taken up, how far, who waits."""

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from schemas.alert import Alert
from schemas.delivery import Delivery
from schemas.event import Event
from schemas.examples import ALERT
from schemas.time import DAY, HOUR, MINUTE, Instant, to_datetime
from schemas.topics import CRM_EVENTS, DELIVERIES, NOTIFICATIONS, Topic
from scorers.identity import lead_id_of
from streams.web.reading.team import TeamReport, team_report
from streams.web.reading.team_facts import FollowUpBook

NOW: Instant = 1_795_255_200_000
BEGAN = NOW - 2 * DAY


def hot(number: int, *, owner: str = "sam", at: Instant = BEGAN, **given: Any) -> Alert:
    """A lead that became hot, known by nothing that others are known by."""
    return replace(
        ALERT,
        id=f"al_{number}",
        lead_id=f"ld_{number}",
        owner=owner,
        decided_at=to_datetime(at),
        identifiers=replace(ALERT.identifiers, email=(), anonymous_id=(f"a{number}",)),
        **given,
    )


def told(alert: Alert, after: int) -> Delivery:
    at = to_datetime(round(alert.decided_at.timestamp() * 1000) + after)
    return Delivery(target="slack", standing="told", at=at, alert=alert)


def done(name: str, at: Instant, **properties: Any) -> Event:
    return Event(
        id=f"{name}-{at}-{sorted(properties.items())}",
        type="track",
        name=name,
        channel="crm",
        user_id="u",
        occurred_at=to_datetime(at),
        properties=properties,
    )


def report_of(
    records: Iterable[tuple[Topic, str, Any]], *, days: int = 30
) -> TeamReport:
    book = FollowUpBook()
    for topic, key, message in records:
        value = None if message is None else msgspec.json.encode(message)
        book.take(topic, key, value)
    return team_report(book.facts(), NOW, days)


def alert(one: Alert) -> tuple[Topic, str, Alert]:
    return NOTIFICATIONS, one.lead_id, one


def deed(lead: str, event: Event) -> tuple[Topic, str, Event]:
    return CRM_EVENTS, lead, event


def test_speed_is_from_telling_to_the_first_answer() -> None:
    """It counts from when a target had the alert; what came before it is no answer."""
    first = hot(1)
    report = report_of(
        [
            deed("ld_1", done("Call Logged", BEGAN - HOUR)),
            alert(first),
            (DELIVERIES, "slack/al_1", told(first, MINUTE)),
            deed(
                "ld_1", done("Lead Acknowledged", BEGAN + 4 * MINUTE, alert_id="al_1")
            ),
            deed("ld_1", done("Call Logged", BEGAN + 9 * MINUTE)),
        ]
    )
    everybody = report.everybody
    assert (everybody.hot, everybody.answered) == (1, 1)
    assert everybody.median_ms == 3 * MINUTE
    assert everybody.quick_share == everybody.hour_share == 1.0
    assert [step.count for step in report.funnel] == [1, 1, 1, 1, 0, 0]
    assert report.waiting == ()
    assert [each.count for each in report.spread] == [1, 0, 0, 0, 0, 0]


def test_records_may_come_in_any_order() -> None:
    """Topics are read side by side: an answer may be read before its alert."""
    first = hot(1)
    records = [
        alert(first),
        (DELIVERIES, "slack/al_1", told(first, 0)),
        deed(
            "ld_1", done("Lead Acknowledged", BEGAN + HOUR, alert_id="al_1", by="sam")
        ),
        deed("ld_1", done("Deal Won", BEGAN + DAY, amount=900)),
    ]
    assert report_of(records) == report_of(reversed(records)) == report_of(records * 2)
    assert report_of(records).everybody.amount == 900


def test_who_has_not_been_taken_up_waits_until_cooled() -> None:
    """Waiting leads stand longest first; one that cooled or was withdrawn does not."""
    escalated = hot(2, at=BEGAN - DAY)
    report = report_of(
        [
            alert(hot(1)),
            alert(escalated),
            alert(replace(escalated, id="al_u", kind="unworked")),
            alert(hot(3)),
            alert(replace(hot(3, at=BEGAN + HOUR), id="al_c", kind="cooled")),
            alert(hot(4)),
            alert(replace(hot(4, at=BEGAN + HOUR), id="al_r", recalls="al_4")),
        ]
    )
    assert [(each.lead_id, each.escalated) for each in report.waiting] == [
        ("ld_2", True),
        ("ld_1", False),
    ]
    assert report.waiting[0].waits_ms == NOW - BEGAN + DAY
    assert [each.lead_id for each in report.escalations] == ["ld_2"]
    assert report.everybody.hot == 3, "the one that was withdrawn does not count"


def test_an_answer_belongs_to_the_episode_before_it() -> None:
    """A lead that is hot again waits again, unless the answer names the alert."""
    again = replace(hot(1, at=BEGAN + DAY), id="al_again")
    report = report_of(
        [
            alert(hot(1)),
            alert(again),
            deed("ld_1", done("Call Logged", BEGAN + HOUR)),
        ]
    )
    assert [each.alert_id for each in report.waiting] == ["al_again"]


def test_a_crm_may_know_the_lead_by_another_name() -> None:
    """What came under the id of a weaker identifier is the same lead's."""
    other = lead_id_of("anonymous_id", "a1")
    report = report_of([alert(hot(1)), deed(other, done("Meeting Held", BEGAN + HOUR))])
    assert report.everybody.answered == 1


@pytest.mark.parametrize(
    ("answers", "unfit", "counsel"),
    [
        ((1, 1, 1, 1), 0, "leading"),
        ((10, 11, 10, 12), 0, "steady"),
        ((300, 240, 400, 300), 0, "slow"),
        ((10, 11, 10, 12), 2, "unfit"),
        ((10, None), 0, "waiting"),
        ((10,), 0, "few"),
    ],
)
def test_what_there_is_to_say_to_an_owner(
    answers: tuple[int | None, ...], unfit: int, counsel: str
) -> None:
    """One thing is said to each owner, and the figures behind it are given."""
    records = [alert(hot(number, owner="team")) for number in range(100, 106)]
    records += [
        deed(f"ld_{number}", done("Call Logged", BEGAN + 10 * MINUTE))
        for number in range(100, 106)
    ]
    for number, minutes in enumerate(answers):
        records.append(alert(hot(number, owner="ada")))
        name = "Lead Disqualified" if number < unfit else "Call Logged"
        if minutes is not None:
            at = BEGAN + minutes * MINUTE
            records.append(deed(f"ld_{number}", done(name, at)))
    report = report_of(records)
    said = {each.owner: each for each in report.coaching}
    assert said["ada"].counsel == counsel
    assert said["ada"].figures.hot == len(answers)
    assert said["team"].counsel == "steady"


def test_only_the_days_asked_for_count() -> None:
    """An alert before them is not counted, and nothing fails where there is none."""
    assert report_of([alert(hot(1, at=NOW - 10 * DAY))], days=7).everybody.hot == 0
    empty = report_of([(NOTIFICATIONS, "x", None)])
    assert empty.everybody.median_ms is None
    assert empty.coaching == empty.owners == ()


def test_what_cannot_be_read_is_passed_over() -> None:
    """Garbage on a topic is somebody else's dead letter."""
    book = FollowUpBook()
    book.take(NOTIFICATIONS, "k", b"\xff{")
    book.take(CRM_EVENTS, "k", b"[]")
    book.take(DELIVERIES, "slack/al", None)
    assert book.facts().alerts == []

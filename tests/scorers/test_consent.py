"""Consent: what is said of it, what does not count without it, and what comes back."""

import itertools
from typing import Any

import pytest
from msgspec.structs import replace

from schemas.event import Event
from schemas.time import DAY, HOUR, Instant, to_datetime
from scorers.compiled import CompiledModel
from scorers.consent import MOST_WORDS, words_of
from scorers.consent_gate import NO_CONSENT
from scorers.masses import hash64
from scorers.scorer import on_event, on_model_change, on_retract, read
from scorers.state import LeadState
from scorers.step import Step
from streams.model_files import read_model
from tests.scorers.small_models import CLICK, model_of
from tests.strategies import START

DEFAULT = read_model(None)
RULE = {"name": "clicked", "points": 5.0, "when": CLICK}
PROFILING = model_of(RULE, consent=[{"purpose": "profiling"}])
OPT_IN = model_of(RULE, consent=[{"purpose": "profiling", "required": True}])
LATER = START + 40 * DAY


def told(hour: int, name: str = "Offer Clicked", **given: Any) -> Event:
    """Return an event of an hour; `received` is an hour, too."""
    received = given.pop("received", hour)
    kind = "identify" if not name else "track"
    return Event(
        id=given.pop("id", f"{name}-{hour}-{given}"),
        type=kind,
        name=name,
        channel=given.pop("channel", "web"),
        user_id="ada",
        occurred_at=to_datetime(START + hour * HOUR),
        received_at=to_datetime(START + received * HOUR),
        **given,
    )


def says(hour: int, consent: Any, **given: Any) -> Event:
    """Return an `identify` that says something of consent."""
    return told(hour, "", traits={"consent": consent}, **given)


def lived(model: CompiledModel, *events: Event) -> Step:
    """Return the last step of a life, in the order of receipt."""
    step: Step | None = None
    for event in sorted(events, key=lambda event: event.now):
        step = on_event(model, None if step is None else step.state, event, event.now)
    assert step is not None
    return step


def score(model: CompiledModel, *events: Event, at: Instant = LATER) -> float:
    """Return what a life comes to."""
    return read(model, lived(model, *events).state, at).score


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"traits": {"consent": True}}, {"": True}),
        ({"traits": {"consent": "withdrawn"}}, {"": False}),
        ({"traits": {"consent": "opted_out"}}, {"": False}),
        ({"traits": {"consent": {"Marketing": "yes"}}}, {"marketing": True}),
        (
            {"traits": {"consent": {"marketing": {"E-Mail": False, "sms": "granted"}}}},
            {"marketing.email": False, "marketing.sms": True},
        ),
        (
            {"traits": {"consent": {"profiling": {"status": "denied", "at": "2026"}}}},
            {"profiling": False},
        ),
        ({"traits": {"consent": ["marketing"]}}, {"marketing": True}),
        ({"traits": {"consent": None}}, {}),
        ({"traits": {"consent": {"marketing": "perhaps"}}}, {}),
        (
            {
                "context": {
                    "consent": {
                        "categoryPreferences": {"Advertising": True, "C0002": False}
                    }
                }
            },
            {"advertising": True, "c0002": False},
        ),
        ({"traits": {"HasOptedOutOfEmail": True}}, {"marketing.email": False}),
        ({"traits": {"hs_email_optout": "true"}}, {"marketing.email": False}),
        ({"traits": {"HasOptedOutOfEmail": False}}, {}),
        ({"traits": {"HasOptedOutOfEmail": None}}, {}),
    ],
)
def test_words_in_traits_and_context(
    given: dict[str, Any], words: dict[str, bool]
) -> None:
    """Consent is understood as Segment, OneTrust, Salesforce and HubSpot write it."""
    assert words_of(told(1, "", **given)) == words


@pytest.mark.parametrize(
    ("name", "properties", "words"),
    [
        ("Unsubscribed", {}, {"marketing.email": False}),
        ("Email Marked as Spam", {}, {"marketing.email": False}),
        ("Resubscribed", {}, {"marketing.email": True}),
        ("Consent Withdrawn", {}, {"": False}),
        ("Consent Given", {"purpose": "Profiling"}, {"profiling": True}),
        (
            "Consent Withdrawn",
            {"purposes": ["marketing"], "channel": "sms"},
            {"marketing.sms": False},
        ),
        ("Unsubscribed", {"channel": "sms"}, {"marketing.sms": False}),
        ("Offer Clicked", {"purpose": "profiling"}, {}),
    ],
)
def test_words_of_events(
    name: str, properties: dict[str, Any], words: dict[str, bool]
) -> None:
    """Events of consent are about what their properties say."""
    assert words_of(told(1, name, properties=properties)) == words


def test_a_refusal_empties_the_score_and_says_so() -> None:
    """Who refuses to be scored has a score of 0, and that is the reason."""
    step = lived(PROFILING, told(1), says(2, {"profiling": False}))

    (update,) = step.updates
    assert (update.score, update.previous, update.groups) == (0.0, 5.0, {"web": 0.0})
    assert [(reason.rule, reason.points) for reason in update.reasons] == [
        (NO_CONSENT, 0.0)
    ]
    assert update.reasons[0].text == "No consent to profiling"
    assert update.ledger == {}


def test_what_came_before_counts_again_and_what_came_meanwhile_never() -> None:
    """Given again, consent brings back what was before the refusal, and that only."""
    life = [told(1), says(2, {"profiling": False}), told(3)]

    assert score(PROFILING, *life) == 0
    assert score(PROFILING, *life, says(4, {"profiling": True}), told(5)) == 10


@pytest.mark.parametrize("order", [*itertools.permutations(range(5))])
def test_the_order_of_arrival_does_not_matter(order: tuple[int, ...]) -> None:
    """However late a word of consent comes, the score is that of its own time."""
    life = [
        told(1),
        says(2, {"profiling": False}),
        told(3),
        says(4, {"profiling": True}),
        told(5),
    ]
    late = [
        replace(life[place], received_at=to_datetime(START + (10 + at) * HOUR))
        for at, place in enumerate(order)
    ]

    assert score(PROFILING, *late) == 10


def test_opting_in() -> None:
    """Where consent is required nothing counts that was done before it was given."""
    assert score(OPT_IN, told(1)) == 0
    assert score(OPT_IN, told(1), says(2, "yes"), told(3)) == 5


def test_a_general_yes_does_not_undo_an_unsubscription() -> None:
    """A banner's yes to everything leaves the refusal of e-mail as it is."""
    unsubscribed = [told(1, "Unsubscribed", channel="email"), says(2, "yes")]
    known = lived(DEFAULT, *unsubscribed)
    again = lived(DEFAULT, *unsubscribed, told(3, "Resubscribed", channel="email"))

    assert known.state.refused == ("marketing.email",)
    assert again.state.refused == ()


def test_what_is_withheld_is_told() -> None:
    """Updates say which events do not count for want of consent, since when, and why.

    Given again, those of the refusal stay uncounted and the earlier ones do not.
    """
    refused = says(2, {"profiling": False})
    given = says(4, {"profiling": True})
    (while_refused,) = lived(PROFILING, told(1), refused).updates
    (later,) = lived(PROFILING, told(1), refused, told(3, id="late"), given).updates

    (one,) = while_refused.withheld
    assert (one.purpose, one.count, one.everything) == ("profiling", 1, True)
    assert one.since == to_datetime(START + 2 * HOUR)
    assert one.text == (
        f"No consent to profiling since {one.since:%-d %b %Y}: 1 event is not counted"
    )
    (other,) = later.withheld
    assert (other.count, other.everything, other.since) == (1, False, None)
    assert other.events == (f"{hash64('late'):016x}",)
    assert other.text == (
        "There was no consent to profiling at the time: 1 event is not counted"
    )
    assert not lived(PROFILING, told(1)).updates[0].withheld


def test_unsubscribing_stops_mail_and_keeps_what_it_costs() -> None:
    """Mails give nothing any more, the loss stays, and updates forbid to write."""
    mail = {"email_id": "m1"}
    opened = told(1, "Email Link Clicked", channel="email", properties=mail)
    before = lived(DEFAULT, opened)
    after = lived(DEFAULT, opened, told(2, "Unsubscribed", channel="email"))

    assert before.updates[-1].groups["email"] > 0
    assert not before.updates[-1].do_not_email
    assert after.updates[-1].groups["email"] == -10
    assert after.updates[-1].do_not_email
    (withheld,) = after.updates[-1].withheld
    assert withheld.events == (f"{hash64(opened.id):016x}",)
    assert not withheld.everything


def test_a_machine_does_not_unsubscribe() -> None:
    """A scanner that follows the link of an unsubscription refuses nothing."""
    scanner = told(
        2, "Unsubscribed", channel="email", properties={"machine": True}, id="scan"
    )
    step = lived(DEFAULT, told(1), scanner)

    assert step.state.refused == ()


def test_a_late_verdict_takes_an_unsubscription_back() -> None:
    """An unsubscription that is withdrawn later was none."""
    event = told(2, "Unsubscribed", channel="email", id="scan")
    state = lived(DEFAULT, told(1), event).state
    step = on_retract(DEFAULT, state, ["scan"], event.now + HOUR)

    assert state.refused == ("marketing.email",)
    assert step.state.refused == ()
    assert not step.updates[-1].do_not_email


def test_a_model_may_gate_what_the_one_before_did_not() -> None:
    """What was said of consent counts from a new model's first instant on."""
    plain = model_of(RULE)
    state = lived(plain, told(1), says(2, {"profiling": False}), told(3)).state
    step = on_model_change(plain, PROFILING, state, START + 5 * HOUR)

    assert read(plain, state, LATER).score == 10
    assert step.updates[-1].score == 0
    back = on_model_change(PROFILING, plain, step.state, START + 6 * HOUR)
    assert read(plain, back.state, LATER).score == 10


def test_repeated_words_do_not_push_out_a_refusal() -> None:
    """A CRM that says yes every day does not make a time of refusal count."""
    life = [told(1), says(2, "no"), told(3), says(4, "yes")]
    daily = [says(24 * day, "yes") for day in range(1, 3 * MOST_WORDS)]
    state: LeadState = lived(PROFILING, *life, *daily).state

    assert read(PROFILING, state, START + 100 * DAY).score == 5
    assert max(map(len, state.consents.values())) <= MOST_WORDS


def test_accounts_hear_nothing_of_who_refuses_to_be_scored() -> None:
    """A person who refuses profiling is no sign of life for the company."""
    work = {"email": "ada@corp.example"}
    step = lived(
        DEFAULT,
        replace(told(1), **work),
        replace(says(2, {"profiling": False}), **work),
    )

    (word,) = step.members
    assert (word.score, word.signs, word.active_at, word.last_event) == (
        0.0,
        (),
        None,
        None,
    )

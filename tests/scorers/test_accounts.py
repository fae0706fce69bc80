"""Accounts: what people add up to, when a surge is told, and that time is data."""

import random
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.account import AccountScore, MemberUpdate, Sign
from schemas.alert import Alert, RecentEvent
from schemas.time import DAY, HOUR, MINUTE, SECOND, Instant, to_datetime
from scorers.account_notice import by_strength
from scorers.account_state import (
    MAX_MEMBERS,
    AccountState,
    decode_account,
    encode_account,
)
from scorers.accounts import AccountStep, on_account_wakeup, on_member
from scorers.compiled import CompiledModel, compile_model
from scorers.loading import load_model

START: Instant = 20_458 * DAY + 9 * HOUR
"""A Monday, nine in the morning."""


def model(accounts: str = "", version: str = "1") -> CompiledModel:
    """Return a model with this `accounts` section."""
    text = f"""\
model: test
version: "{version}"
groups: {{web: {{cap: 100, rules: [{{name: page, when: {{type: page}}, points: 5}}]}}}}
tiers: [{{name: gold, at: 60}}, {{name: silver, at: 30}}, {{name: bronze, at: 10}}]
stages: [{{name: unknown, next_action: Ask}}, {{name: decision, next_action: Call}}]
accounts: {{{accounts}}}
"""
    return compile_model(load_model(text, "test.yaml"))


SURGE = "name: group, kind: account-surge, people: 3, within: 30m"


def surges(more: str = "") -> CompiledModel:
    return model(f"alerts: [{{{SURGE}{more}}}]")


def word(
    lead: str,
    sequence: int = 1,
    *,
    at: Instant = START,
    score: float = 20.0,
    active: Iterable[Instant] = (),
    points: float = 0.0,
    days: int = 1,
    **more: Any,
) -> MemberUpdate:
    """Return what `lead` tells; it was `active` at these instants, in their order."""
    heard = sorted(active)
    return MemberUpdate(
        account_id="ac_1",
        lead_id=lead,
        sequence=sequence,
        as_of=to_datetime(at),
        score=score,
        tier="gold" if score >= 60 else "silver" if score >= 30 else "bronze",
        active_at=to_datetime(heard[-1]) if heard else None,
        active_days=days if heard else 0,
        signs=tuple(Sign(at=to_datetime(when), points=points) for when in heard),
        **more,
    )


class Account:
    """An account that hears words and wake-ups, and keeps what it told."""

    def __init__(self, rules: CompiledModel) -> None:
        self.model = rules
        self.state: AccountState | None = None
        self.updates: list[AccountScore] = []
        self.alerts: list[Alert] = []
        self.reasons: list[str] = []

    def hear(self, *words: MemberUpdate) -> "Account":
        for each in words:
            now = int(each.as_of.timestamp() * 1000)
            self._take(on_member(self.model, self.state, each, now))
        return self

    def wake(self, now: Instant) -> "Account":
        assert self.state is not None
        self._take(on_account_wakeup(self.model, self.state, now))
        return self

    def _take(self, step: AccountStep) -> None:
        self.state = step.state
        self.updates += step.updates
        self.alerts += step.alerts
        self.reasons += [decision.reason for decision in step.decisions]

    @property
    def last(self) -> AccountScore:
        return self.updates[-1]


# ── adding up ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("scoring", "scores", "expected"),
    [
        # the best person's score
        ("kind: max", [20, 65.5, 3], 65.5),
        ("kind: max", [], 0),
        # the mean of the best two of three
        ("kind: top_mean, people: 2", [20, 65, 3], 42.5),
        # a missing person counts as zero
        ("kind: top_mean, people: 2", [65], 32.5),
        # half a tenth is rounded up, as for leads
        ("kind: top_mean, people: 2", [10.1, 10.0], 10.1),
        # points for each of the tier and above
        ("kind: breadth, points: 12, of_tier: silver", [29.9, 30, 61], 24),
        ("kind: breadth, points: 12, min_score: 20, cap: 30", [20, 30, 61], 30),
    ],
)
def test_what_people_add_up_to(
    scoring: str, scores: list[float], expected: float
) -> None:
    """The account's score is the declared sum of its people's."""
    account = Account(model(f"score: {{{scoring}}}"))
    account.hear(word("ld_0", score=50), word("ld_0", 2, left=True))
    account.hear(*(word(f"ld_{n}", 3, score=s) for n, s in enumerate(scores)))

    assert account.last.score == expected
    assert account.last.members == len(scores)


@pytest.mark.parametrize(
    ("active", "scores", "expected"),
    [
        ("at_least: any, of_tier: silver", [35, 20], (1, True)),
        ("at_least: any, of_tier: silver", [25, 20], (0, False)),
        ("at_least: all, of_tier: silver", [35, 20], (1, False)),
        ("at_least: all, of_tier: silver", [35, 30], (2, True)),
        ("at_least: 2, min_score: 20", [35, 20, 19.9], (2, True)),
        ("at_least: 3, min_score: 20", [35, 20, 19.9], (2, False)),
        ("at_least: any", [0], (1, True)),
    ],
)
def test_who_is_active(
    active: str, scores: list[float], expected: tuple[int, bool]
) -> None:
    """Any, all or so many people of a tier or a score make an account qualified."""
    account = Account(model(f"active: {{{active}}}"))
    account.hear(*(word(f"ld_{n}", score=s) for n, s in enumerate(scores)))

    assert (account.last.active, account.last.qualified) == expected


def test_the_account_has_a_tier_and_its_strongest_people() -> None:
    """The tier is that of the account's score; five of the people are named."""
    account = Account(model())
    account.hear(*(word(f"ld_{n}", score=10.0 * n) for n in range(8)))

    assert account.last.tier == "gold"
    assert [each.lead_id for each in account.last.top] == [
        "ld_7",
        "ld_6",
        "ld_5",
        "ld_4",
        "ld_3",
    ]
    assert account.last.previous == 60


def test_the_name_is_what_most_people_say() -> None:
    """Of several names of a company the one that most say counts."""
    account = Account(model()).hear(
        word("ld_1", name="ACME", domain="acme.example"),
        word("ld_2", name="Acme Ltd", domain="acme.example"),
        word("ld_3", name="Acme Ltd"),
    )

    assert (account.last.name, account.last.domain) == ("Acme Ltd", "acme.example")


def test_somebody_who_leaves_counts_no_longer() -> None:
    """A lead that moved to another account, or was erased, is gone from this one."""
    account = Account(model()).hear(word("ld_1", score=70), word("ld_2", score=20))
    account.hear(word("ld_1", 2, left=True))

    assert (account.last.score, account.last.members) == (20, 1)
    assert account.state is not None
    assert "ld_1" not in account.state.members


def test_an_empty_account_is_published_as_zero() -> None:
    """An account that everybody left has the score zero, not none."""
    account = Account(model()).hear(word("ld_1", score=70), word("ld_1", 2, left=True))

    assert (account.last.score, account.last.members) == (0, 0)
    assert not account.last.qualified


def test_nothing_new_is_not_published() -> None:
    """A word that changes nothing of what is published is heard and not repeated."""
    account = Account(model()).hear(word("ld_1"), word("ld_1", 2))

    assert [each.sequence for each in account.updates] == [1]


def test_a_crowd_keeps_its_strongest() -> None:
    """Beyond the most that are kept, the weakest person is left out."""
    account = Account(model())
    account.hear(*(word(f"ld_{n}", score=n / 10) for n in range(MAX_MEMBERS + 1)))

    assert account.last.members == MAX_MEMBERS
    assert account.state is not None
    assert "ld_0" not in account.state.members


def test_the_trend_is_against_seven_days_before() -> None:
    """The trend rises with the score and is gone a week later."""
    account = Account(model()).hear(word("ld_1", score=20))
    account.hear(word("ld_1", 2, score=50, at=START + 8 * DAY))
    assert (account.updates[0].trend, account.last.trend) == (20, 30)

    assert account.state is not None
    planned = account.state.wake_at
    assert planned == (START // DAY + 15) * DAY
    account.wake(planned - 1)
    assert account.last.trend == 30
    account.wake(planned)
    assert account.last.trend == 0
    assert account.state.wake_at is None


def test_activity_leaves_the_window_at_its_instant() -> None:
    """Somebody who was active is no longer so when the window has passed."""
    account = Account(model("active: {at_least: any, within: 7d}"))
    account.hear(word("ld_1", active=[START]))
    assert account.last.qualified
    account.wake(START + 7 * DAY - 1)
    assert account.last.qualified

    account.wake(START + 7 * DAY)

    assert (account.last.active, account.last.qualified) == (0, False)


# ── surges ──────────────────────────────────────────────────────────────────────


def at(*minutes: float) -> list[Instant]:
    return [START + int(each * MINUTE) for each in minutes]


def people(count: int, minute: float = 0, **more: Any) -> list[MemberUpdate]:
    """Return so many people who are active at `minute`."""
    (now,) = at(minute)
    return [word(f"ld_{n}", at=now, active=[now], **more) for n in range(count)]


@pytest.mark.parametrize(
    ("more", "words", "alerts"),
    [
        # three people at once
        ("", people(3), 1),
        # two are not enough
        ("", people(2), 0),
        # one person who acts three times is one person
        ("", [word("ld_1", active=at(0, 1, 2), at=at(2)[0])], 0),
        # the first has left the window when the third comes
        (
            "",
            [word(f"ld_{n}", at=at(15 * n)[0], active=at(15 * n)) for n in range(3)],
            0,
        ),
        # a millisecond less, and it is a surge
        (
            "",
            [
                word("ld_0", active=at(0)),
                word("ld_1", active=at(15), at=at(15)[0]),
                word("ld_2", active=[START + 30 * MINUTE - 1], at=at(30)[0] - 1),
            ],
            1,
        ),
        # what was done yesterday and is heard of now is no surge
        (
            "",
            [word(f"ld_{n}", at=START, active=[START - DAY]) for n in range(3)],
            0,
        ),
        # each must have gained five points …
        (", each: {points: 5}", people(3, points=4.5), 0),
        (", each: {points: 5}", people(3, points=5), 1),
        # … which many small steps may give
        (
            ", each: {points: 5}",
            [
                word(f"ld_{n}", at=at(4)[0], active=at(0, 2, 4), points=2)
                for n in range(3)
            ],
            1,
        ),
        # each must have done two things
        (", each: {events: 2}", people(3), 0),
        (
            ", each: {events: 2}",
            [word(f"ld_{n}", at=at(2)[0], active=at(0, 2)) for n in range(3)],
            1,
        ),
        # people without any activity are none
        ("", [word(f"ld_{n}") for n in range(5)], 0),
    ],
)
def test_when_a_surge_is_told(
    more: str, words: list[MemberUpdate], alerts: int
) -> None:
    """So many people within the time are a surge, each having done enough."""
    account = Account(surges(more)).hear(*words)

    assert len(account.alerts) == alerts


def test_the_alert_says_who_and_why() -> None:
    """A surge names the account, its active people and what the strongest needs."""
    event = RecentEvent(
        at=to_datetime(START), name="Demo Requested", channel="web", detail="demo"
    )
    account = Account(surges(", route: enterprise")).hear(
        word("ld_0", score=80, name="Example Ltd", domain="example.com"),
        word("ld_1", active=[START], score=20, name="Example Ltd"),
        word(
            "ld_2",
            active=[START],
            score=70,
            owner="sam",
            stage="Decision",
            grade="A1",
            last_event=event,
        ),
        word("ld_3", active=[START], score=30),
    )

    (alert,) = account.alerts
    assert alert.account is not None
    assert (alert.kind, alert.alert) == ("account-surge", "group")
    assert alert.reason == "surged"
    assert (alert.account_id, alert.lead_id) == ("ac_1", "ld_2")
    assert alert.account.people == ("ld_2", "ld_3", "ld_1")
    assert (alert.account.name, alert.account.members) == ("Example Ltd", 4)
    assert (alert.account.within_seconds, alert.threshold) == (1800, 3)
    assert (alert.owner, alert.next_action, alert.route) == (
        "sam",
        "Call",
        "enterprise",
    )
    assert (alert.score, alert.tier, alert.grade) == (80, "gold", "A1")
    assert alert.last_events == (event,)
    assert alert.reasons[0].text == "3 people active within 30 minutes"


def test_a_surge_is_told_once_and_again_after_the_cooldown() -> None:
    """The same people ring once; a new surge after the cooldown has another id."""
    account = Account(surges()).hear(*people(3))
    account.hear(*(word(f"ld_{n}", 2, at=at(5)[0], active=at(5)) for n in range(3)))
    assert len(account.alerts) == 1
    account.hear(*(word(f"ld_{n}", 3, at=at(120)[0], active=at(120)) for n in range(3)))
    assert len(account.alerts) == 1
    assert account.reasons[-1] == "cooldown"

    later = at(26 * 60)
    account.hear(*(word(f"ld_{n}", 4, at=later[0], active=later) for n in range(3)))

    assert [each.episode for each in account.alerts] == [1, 2]
    assert account.alerts[0].id != account.alerts[1].id


def test_more_people_end_the_cooldown() -> None:
    """A surge of a fifth more people than the last one rings within its cooldown."""
    account = Account(surges()).hear(*people(3))
    account.hear(*people(4, 120, sequence=2))

    assert [each.reason for each in account.alerts] == ["surged", "re-rose"]


def test_a_surge_at_night_is_told_in_the_morning_if_it_lasts() -> None:
    """What is due in quiet hours is told when they end, if it still is."""
    quiet = ', within: 2h, quiet_hours: {from: "08:00", to: "10:00"}'
    rules = model(f"alerts: [{{{SURGE.replace(', within: 30m', '')}{quiet}}}]")
    account = Account(rules).hear(*people(3))
    assert account.alerts == []

    account.wake(START + HOUR)

    assert [each.reason for each in account.alerts] == ["surged"]


def test_withdrawn_evidence_recalls_the_surge() -> None:
    """A surge that a scanner made is recalled, by the id that was told."""
    account = Account(surges()).hear(*people(3))
    account.hear(word("ld_2", 2, at=at(1)[0], withdrawn=True))

    told, recall = account.alerts
    assert (recall.reason, recall.recalls) == ("recalled", told.id)
    assert recall.id != told.id


def test_a_surge_that_time_ends_is_not_recalled() -> None:
    """Withdrawing an event of a surge that is over long since recalls nothing."""
    account = Account(surges()).hear(*people(3))
    account.hear(word("ld_2", 2, at=at(120)[0], withdrawn=True))

    assert len(account.alerts) == 1


# ── momentum ────────────────────────────────────────────────────────────────────

MOMENTUM = ", momentum: {factor: 3, baseline: 4w}"


def daily(lead: str, days: int, today: int = 1) -> MemberUpdate:
    """Return somebody who was active on each of the last `days` days, and now."""
    bits = (1 << (days + 1)) - 2 | today
    return word(lead, active=[START], days=bits)


@pytest.mark.parametrize(
    ("words", "alerts"),
    [
        # nobody was ever here: the first surge counts
        ([daily(f"ld_{n}", 0) for n in range(3)], 1),
        # three people every day: three people today are nothing special
        ([daily(f"ld_{n}", 30) for n in range(3)], 0),
        # one person every day and two new ones: three times as many
        ([daily("ld_0", 30), daily("ld_1", 0), daily("ld_2", 0)], 1),
        # two people every day and one new one: half as many again
        ([daily("ld_0", 30), daily("ld_1", 30), daily("ld_2", 0)], 0),
        # known for four days only: judged by those, not by four weeks
        ([daily(f"ld_{n}", 4) for n in range(3)], 0),
        # yesterday belongs to the burst, not to what is usual
        ([daily(f"ld_{n}", 1) for n in range(3)], 1),
        # busy ten weeks ago is long forgotten
        ([word(f"ld_{n}", active=[START], days=1 | 1 << 40) for n in range(3)], 1),
    ],
)
def test_momentum_is_against_the_accounts_own_past(
    words: list[MemberUpdate], alerts: int
) -> None:
    """With momentum only what is unusual for this very account rings."""
    account = Account(surges(MOMENTUM)).hear(*words)

    assert len(account.alerts) == alerts
    assert alerts or account.reasons[-1] == "usual"


def test_momentum_tells_what_is_usual() -> None:
    """The alert carries how many people are active on a usual day."""
    account = Account(surges(MOMENTUM))
    account.hear(daily("ld_0", 15), daily("ld_1", 0), daily("ld_2", 0))

    (alert,) = account.alerts
    assert alert.account is not None
    assert alert.account.usual == 1.0
    assert alert.reasons[1].text == "3 people in 24 hours, 1 on a usual day"


def test_a_usual_day_is_another_one_after_midnight() -> None:
    """What was usual before midnight may be a surge after it, without any event."""
    late = START // DAY * DAY + 24 * HOUR - 5 * MINUTE
    rules = model(
        "alerts: [{name: group, kind: account-surge, people: 3, within: 30m, "
        "momentum: {factor: 2.2, baseline: 7d}}]"
    )
    # Two days before today three people were here, before that one or two a day.
    account = Account(rules).hear(
        word("ld_0", at=late, active=[late], days=0b1_1111_1111),
        word("ld_1", at=late, active=[late], days=0b1_1000_0001),
        word("ld_2", at=late, active=[late], days=0b1_0000_0001),
    )
    assert account.alerts == []
    assert account.state is not None
    assert account.state.wake_at == late + 5 * MINUTE

    account.wake(late + 5 * MINUTE)

    assert len(account.alerts) == 1


# ── laws ────────────────────────────────────────────────────────────────────────

RULES = (
    "score: {kind: top_mean, people: 2}, "
    "active: {at_least: 2, of_tier: bronze, within: 3d}, "
    "alerts: [{name: group, kind: account-surge, people: 2, within: 30m, dwell: 5m, "
    "cooldown: 2h, each: {points: 3}, momentum: {factor: 1.5, baseline: 7d}}, "
    "{name: crowd, kind: account-surge, people: 3, within: 6h, quiet_hours: {from: "
    '"12:00", to: "13:00"}}]'
)
LIVELY = model(RULES)
LAW = settings()


@st.composite
def lives(draw: st.DrawFn) -> list[MemberUpdate]:
    """Draw what a few leads tell over some days, in the order of telling."""
    told: list[MemberUpdate] = []
    sequences: dict[str, int] = {}
    now = START
    for _ in range(draw(st.integers(1, 14))):
        now += draw(
            st.sampled_from([0, SECOND, 7 * MINUTE, 29 * MINUTE, 5 * HOUR, DAY])
        )
        lead = f"ld_{draw(st.integers(0, 4))}"
        sequences[lead] = sequence = sequences.get(lead, 0) + 1
        if draw(st.integers(0, 9)) == 0:
            told.append(word(lead, sequence, at=now, left=True))
            continue
        ages = draw(st.lists(st.sampled_from([0, 1, 5, 28, 40]), max_size=4))
        told.append(
            word(
                lead,
                sequence,
                at=now,
                score=draw(st.sampled_from([0.0, 9.9, 10.0, 33.3, 60.0, 100.0])),
                active=[now - age * MINUTE for age in set(ages)],
                points=draw(st.sampled_from([0.0, 2.0, 3.0])),
                days=draw(st.integers(1, 2**51 - 1)),
                withdrawn=draw(st.integers(0, 7)) == 0,
            )
        )
    return told


def facts(account: Account) -> tuple[Any, ...]:
    state = account.state
    assert state is not None
    return (
        {lead: member.sequence for lead, member in state.members.items()},
        by_strength(state.members),
        account.last.score,
        account.last.tier,
        account.last.active,
        account.last.qualified,
        account.last.top,
    )


@LAW
@given(lives(), st.randoms(use_true_random=False))
def test_the_order_of_words_does_not_matter(
    told: list[MemberUpdate], chance: random.Random
) -> None:
    """However the words are shuffled and repeated, the same account comes of it."""
    end = int(told[-1].as_of.timestamp() * 1000) + HOUR
    straight = Account(LIVELY).hear(*told).wake(end)
    mixed = [*told, *chance.choices(told, k=3)]
    chance.shuffle(mixed)
    shuffled = Account(LIVELY).hear(*mixed).wake(end)

    assert facts(straight) == facts(shuffled)


@LAW
@given(lives(), st.randoms(use_true_random=False))
def test_a_repeated_or_stale_word_changes_nothing(
    told: list[MemberUpdate], chance: random.Random
) -> None:
    """After any word, those before it change neither state nor anything told."""
    account = Account(LIVELY)
    for index, each in enumerate(told):
        account.hear(each)
        before = (account.state, len(account.updates), len(account.alerts))
        account.hear(chance.choice(told[: index + 1]))
        assert before == (account.state, len(account.updates), len(account.alerts))


@LAW
@given(lives(), st.randoms(use_true_random=False), st.integers(0, 3))
def test_wakeups_are_hints(
    told: list[MemberUpdate], chance: random.Random, promptness: int
) -> None:
    """Prompt, late, needless and lost wake-ups give the same facts, bit for bit."""
    lost, woken = Account(LIVELY), Account(LIVELY)
    for each in told:
        now = int(each.as_of.timestamp() * 1000)
        lost.hear(each)
        while woken.state is not None and promptness:
            planned = woken.state.wake_at
            if planned is None or planned > now:
                break
            woken.wake(min(now, planned + chance.randrange(promptness) * 11 * MINUTE))
        if woken.state is not None and promptness == 3:
            woken.wake(chance.randint(woken.state.now, max(now, woken.state.now)))
        woken.hear(each)
    for account in (lost, woken):
        account.wake(now + 40 * DAY)

    def instants(account: Account) -> list[Any]:
        return [(a.id, a.occurred_at, a.reason, a.score) for a in account.alerts]

    assert lost.state == woken.state
    assert lost.updates == woken.updates
    assert instants(lost) == instants(woken)


@LAW
@given(lives())
def test_plans_are_complete(told: list[MemberUpdate]) -> None:
    """Nothing that is told changes at an instant for which no look was planned."""
    account = Account(LIVELY).hear(*told)
    assert account.state is not None
    for _ in range(60):
        state = account.state
        planned = state.wake_at or state.now + 60 * DAY
        step = min(max((planned - state.now) // 2, 1), 20 * MINUTE)
        quiet = on_account_wakeup(LIVELY, state, min(state.now + step, planned - 1))
        assert (quiet.updates, quiet.alerts) == ((), ())
        account.wake(planned)


@LAW
@given(lives())
def test_a_state_survives_being_stored(told: list[MemberUpdate]) -> None:
    """A stored account is the same account; no input is ever changed."""
    account = Account(LIVELY).hear(*told)
    assert account.state is not None
    stored = encode_account(account.state)

    assert decode_account(stored) == account.state
    on_member(LIVELY, account.state, word("ld_9", 9, at=START + 9 * DAY), 0)
    on_account_wakeup(LIVELY, account.state, START + 90 * DAY)
    assert encode_account(account.state) == stored


@LAW
@given(lives())
def test_scores_stay_within_bounds(told: list[MemberUpdate]) -> None:
    """Scores are between 0 and 100, and their sequence rises by one."""
    account = Account(LIVELY).hear(*told)

    assert all(0 <= each.score <= 100 for each in account.updates)
    assert [each.sequence for each in account.updates] == [
        *range(1, len(account.updates) + 1)
    ]


def test_another_model_counts_from_the_next_look() -> None:
    """A model that adds up otherwise is applied at the next look."""
    account = Account(model()).hear(word("ld_1", score=60), word("ld_2", score=40))
    account.model = model("score: {kind: top_mean, people: 2}", version="2")
    account.wake(START + HOUR)

    assert (account.last.score, account.last.model.version) == (50, "2")

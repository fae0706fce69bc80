"""Machines and people: who is told from whom, and what is taken back when."""

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from schemas.event import Event
from schemas.time import DAY, HOUR, SECOND
from scorers.compiled import CompiledModel, compile_model
from scorers.machine_policy import DETECTORS
from scorers.machine_traffic import is_one_click
from scorers.model import Model
from scorers.scorer import on_event, on_retract, read
from scorers.state import LeadState, decode_state, encode_state
from scorers.user_agents import kind_of
from tests.oracle import Oracle
from tests.scorers.living import event, live, take
from tests.scorers.small_models import model_of, text_of
from tests.strategies import START, Retraction

OPEN, CLICK, LEFT = "Email Opened", "Email Link Clicked", "Unsubscribed"
FILE = "Offer Downloaded"
RULES: tuple[dict[str, Any], ...] = (
    {"name": "opened", "when": {"event": OPEN}, "points": 1.0},
    {"name": "clicked", "when": {"event": CLICK}, "points": 3.0},
    {"name": "filed", "when": {"event": FILE}, "points": 5.0},
    {"name": "left", "when": {"event": LEFT}, "points": -10.0},
    {"name": "paged", "when": {"type": "page"}, "points": 5.0},
)
HOT = {"name": "hot", "kind": "hot", "enter": 6.0, "cooldown": "0s"}
CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/130.0.0.0 Safari/537.36"
)
GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
HEADLESS = CHROME.replace("Chrome", "HeadlessChrome")


def traffic(**given: Any) -> CompiledModel:
    """Return a model with a rule for each act, and this machine traffic."""
    return model_of(*RULES, alerts=[HOT], machine_traffic=given)


MODEL = traffic()


def mail(
    number: int | str, at: int = 0, name: str = CLICK, mail_id: str = "m1", **told: Any
) -> Event:
    """Return an event of a mail, `at` milliseconds after the start."""
    return event(
        number, at, name=name, channel="email", **{"email_id": mail_id, **told}
    )


def by_agent(agent: str, name: str = CLICK) -> Event:
    """Return an event that a user agent sent."""
    return replace(mail("a", name=name), context={"user_agent": agent})


def page(**context: Any) -> Event:
    """Return a page view."""
    return replace(event("p", name=""), context=context)


def score(*items: Any, model: CompiledModel = MODEL) -> float:
    """Return the score after a life."""
    return read(model, live(model, items, START + DAY).state, START + DAY).score


# ── by itself ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (mail(1, machine=True), "flagged"),
        (mail(1, name=OPEN, sg_machine_open=True), "flagged"),
        (mail(1, name=OPEN, machine_open="true"), "flagged"),
        (mail(1, name=OPEN, sg_machine_open=False), None),
        (mail(1, is_bot=1), "flagged"),
        (mail(1, honeypot=True), "honeypot"),
        (by_agent("Mozilla/5.0", OPEN), "privacy-proxy"),
        (by_agent("Mozilla/5.0"), None),
        (by_agent("Mozilla/5.0 (via ggpht.com GoogleImageProxy)", OPEN), "image-proxy"),
        (mail(1, name=OPEN, agent="YahooMailProxy; https://x.example"), "image-proxy"),
        (by_agent("python-requests/2.31"), "automation"),
        (by_agent("curl/8.5.0"), "automation"),
        (by_agent(HEADLESS), "automation"),
        (by_agent("Barracuda Sentinel (EE)"), "automation"),
        (page(user_agent=GOOGLEBOT), "crawler"),
        (page(user_agent=CHROME), None),
        (page(user_agent="Mozilla/5.0"), None),
        (by_agent(CHROME), None),
        (replace(event(1, agent="java"), context={"ip": "8.8.8.8"}), None),
    ],
)
def test_told_by_itself(item: Event, reason: str | None) -> None:
    """Flags, agents and hidden links tell a machine by a single event."""
    assert MODEL.traffic.judge(item) == reason
    step = on_event(MODEL, None, item, item.now)
    assert step.machines == (() if reason is None else (reason,))
    if reason is not None:
        assert step.state.score == 0


def test_networks_and_staff() -> None:
    """Staff and data centres are known by their addresses, in either version."""
    model = traffic(
        staff={
            "domains": ["@Corp.Example"],
            "networks": ["192.0.2.0/28", "2001:db8::/48"],
        },
        data_centres=["198.51.100.0/24", "198.51.100.7", "203.0.113.9"],
    )
    judged = [
        model.traffic.judge(page(ip=address))
        for address in (
            "192.0.2.15",
            "192.0.2.16",
            "2001:db8::1",
            "::ffff:198.51.100.255",
            "203.0.113.9",
            "203.0.113.10",
            "nowhere",
        )
    ]
    assert judged == [
        "staff",
        None,
        "staff",
        "data-centre",
        "data-centre",
        None,
        None,
    ]
    for email, staff in (("ada@corp.example", True), ("bo@eu.corp.example", True)):
        assert (model.traffic.judge(replace(page(), email=email)) == "staff") is staff
    assert model.traffic.judge(replace(page(), email="a@notcorp.example")) is None


def test_staff_are_no_leads() -> None:
    """Who turns out to be staff has no score, and the alert of them is recalled."""
    model = traffic(staff={"domains": ["corp.example"]})
    first, second = replace(page(), id="p1"), replace(page(), id="p2")
    told = replace(event(9, HOUR, name="x"), email="ada@corp.example")
    story = live(model, [first, second, told, replace(page(), id="p3")], START + DAY)

    assert [alert.reason for alert in story.alerts] == ["crossed-threshold", "recalled"]
    assert (story.state.score, story.updates[-1].cause.kind) == (0.0, "retraction")


@pytest.mark.parametrize("detector", DETECTORS)
def test_every_detector_can_be_switched_off(detector: str) -> None:
    """A detector that is off finds nothing, and no other speaks for it."""
    shows: dict[str, list[Event]] = {
        "flagged": [mail(1, machine=True)],
        "staff": [replace(page(), email="ada@corp.example")],
        "honeypot": [mail(1, honeypot=True)],
        "burst": [mail(1), mail(2, SECOND)],
        "all-links": [
            mail(number, number * 9 * SECOND, link_url=f"/{number}", links=3)
            for number in range(3)
        ],
        "at-delivery": [mail(1, name="Email Delivered"), mail(2, SECOND)],
        "automation": [by_agent("curl/8")],
        "crawler": [page(user_agent=GOOGLEBOT)],
        "data-centre": [page(ip="198.51.100.7")],
        "privacy-proxy": [by_agent("Mozilla/5.0", OPEN)],
        "image-proxy": [by_agent("GoogleImageProxy", OPEN)],
    }
    given = {
        "staff": {"domains": ["corp.example"]},
        "data_centres": ["198.51.100.0/24"],
    }
    assert score(*shows[detector], model=traffic(**given)) == 0
    assert score(*shows[detector], model=traffic(**given, off=[detector])) > 0


def test_agents_are_looked_at_once() -> None:
    """An agent that was met before costs a look-up, however odd it is."""
    kind_of.cache_clear()
    for _ in range(50):
        kind_of("Lamp/1.0 (somewhere)")
    assert kind_of.cache_info().misses == 1


# ── by what else happened to the mail ───────────────────────────────────────────


@pytest.mark.parametrize(
    ("items", "points"),
    [
        ([mail(1), mail(2, 3 * SECOND)], 0),
        ([mail(1), mail(2, 3 * SECOND + 1)], 6),
        ([mail(1), mail(2, SECOND, mail_id="m2")], 6),
        ([mail(1, name=OPEN), mail(2, SECOND)], 4),
        ([mail(1, name=OPEN), mail(2, SECOND, name=OPEN), mail(3, SECOND)], 3),
        ([mail(1, -SECOND, name=OPEN), mail(2), mail(3, 2 * SECOND)], 0),
        ([mail(1), mail(2, 2 * SECOND), mail(3, 6 * SECOND, name=OPEN)], 1),
        ([mail(1), mail(2, SECOND, name=FILE)], 0),
        ([mail(1, name=FILE), mail(2, 4 * SECOND, name=FILE)], 10),
        ([mail(1, name="Email Delivered"), mail(2, 1_999, name=FILE)], 0),
        ([mail(1, name=OPEN, sg_machine_open=True), mail(2, SECOND)], 3),
        ([mail(1), mail(2, SECOND), mail(3, HOUR), mail(4, -HOUR)], 6),
        ([mail(1, name="Email Delivered"), mail(2, 1_999)], 0),
        ([mail(1, name="Email Delivered"), mail(2, 2_000)], 3),
        ([mail(1, 1_999, name="Email Delivered"), mail(2)], 0),
        ([mail(1), mail(2, SECOND), mail(3, 2 * SECOND, name=LEFT)], 0),
        ([mail(1), mail(2, SECOND, name=LEFT)], 0),
        ([mail(1), mail(2, SECOND, name=LEFT), mail(3, HOUR)], 0),
        ([mail(1, honeypot=True), mail(2, 10 * SECOND)], 0),
        ([mail(1, honeypot=True), mail(2, 10 * SECOND + 1)], 3),
        ([by_agent("curl/8"), mail(2, SECOND)], 0),
        ([event(1, name=CLICK, channel="email"), mail(2, SECOND)], 6),
    ],
)
def test_told_by_its_neighbours(items: list[Event], points: float) -> None:
    """What stands together counts or not as the bounds say, in whatever order."""
    if any(item.name == LEFT for item in items):
        points = {3: 0.0, 2: 0.0}.get(len(items), points)
    for order in permutations(items):
        received = [
            replace(item, received_at=items[0].received_at and later)
            for item, later in zip(
                order,
                [event("t", HOUR * (2 + n)).occurred_at for n in range(len(order))],
                strict=True,
            )
        ]
        assert score(*received) == points


def test_alike() -> None:
    """An open and a click at once are a person's, unless a model says otherwise."""
    model = traffic(burst={"alike": False})
    pair = [mail(1, name=OPEN), mail(2, SECOND)]

    assert score(*pair) == 4
    assert score(*pair, model=model) == 0


def test_late_verdict_recalls() -> None:
    """A burst takes back what counted, says why, and recalls the alert on it."""
    model = MODEL
    items = [mail("a"), mail("b", HOUR), mail("c", HOUR + SECOND)]
    steps, state = [], None
    for item in items:
        steps.append(take(model, state, item))
        state = steps[-1].state
    *_, last = steps

    assert [step.state.score for step in steps] == [3, 6, 3]
    assert [alert.reason for alert in last.alerts] == ["recalled"]
    assert (last.updates[-1].cause.kind, last.updates[-1].cause.event_id) == (
        "retraction",
        "c",
    )
    assert last.machines == ("burst", "burst")


def test_a_scanner_never_unsubscribes() -> None:
    """An unsubscribing beside a scanner's clicks takes nothing; a one-click one does.

    (RFC 8058: the mail program posts what its user pressed.)
    """
    scan = [mail(1), mail(2, SECOND), mail(4, -3 * SECOND)]
    for told, points in (
        ({}, 5.0),
        ({"one_click": True}, 0.0),
        ({"method": "List-Unsubscribe"}, 0.0),
        ({"agent": "List-Unsubscribe"}, 0.0),
    ):
        left = mail(3, 2 * SECOND, name=LEFT, **told)
        assert is_one_click(left) is bool(told)
        assert score(page(), *scan, left) == points
    assert (
        score(page(), replace(mail(3, name=LEFT), context={"user_agent": "curl/8"}))
        == 5
    )
    assert score(page(), mail(3, HOUR, name=LEFT)) == 0


def test_withdrawn_evidence_acquits() -> None:
    """If what gave an event away never happened, it was a person's after all."""
    state = None
    for item in (mail("a"), mail("b", SECOND)):
        state = on_event(MODEL, state, item, START + HOUR).state
    assert state is not None
    assert state.score == 0
    step = on_retract(MODEL, state, ["b"], START + HOUR)
    alone = on_event(MODEL, None, mail("a"), START + HOUR).state

    assert step.state.score == alone.score == 3
    assert step.state.recent == alone.recent
    assert (step.state.flagged, step.state.held) == ((), {})
    assert step.state.active == alone.active


def test_a_rule_may_count_machines() -> None:
    """A rule that counts machines keeps their events, early or late."""
    rules = [{**RULES[1]}, {**RULES[1], "name": "any", "machine": "counts"}]
    model = model_of(*rules)

    assert score(mail(1, machine=True), model=model) == 3
    assert score(mail(1), mail(2, SECOND), model=model) == 6
    assert score(mail(1), mail(2, SECOND), mail(3, HOUR), model=model) == 12
    held = Retraction(("1",), START + HOUR)
    assert score(mail(1), mail(2, SECOND), held, model=model) == 6


def test_memory_is_bounded() -> None:
    """However often a lead is scanned, its state stays small and can be stored."""
    state: LeadState | None = None
    for number in range(1_500):
        item = mail(number, number * SECOND, mail_id=f"m{number // 9}", links=9)
        state = on_event(MODEL, state, item, item.now).state
    assert state is not None

    assert len(state.touches) <= 64
    assert len(state.held) <= 64
    assert len(encode_state(state)) < 40_000
    assert decode_state(encode_state(state)) == state


# ── laws ────────────────────────────────────────────────────────────────────────

_gaps = st.sampled_from([400, 900, 2_000, 3_000, 3_001, 5_000, 40_000, HOUR])
_acts = st.tuples(
    st.sampled_from([OPEN, OPEN, CLICK, CLICK, FILE, "Email Delivered", LEFT]),
    st.sampled_from(["m1", "m1", "m1", "m2"]),
    st.sampled_from(["/a", "/b", "/c"]),
    st.sampled_from([0, 0, 2, 3]),
    st.sampled_from([{}, {}, {}, {}, {}, {"honeypot": True}, {"one_click": True}]),
    _gaps,
)
_policies = st.sampled_from(
    [
        {},
        {"burst": {"alike": False}, "all_links": {"least": 2}},
        {"burst": {"least": 3}, "honeypot": {"within": "4s"}},
        {"off": ["burst"], "all_links": {"least": 2}},
        {"off": ["at-delivery"]},
    ]
)


@st.composite
def mailed(draw: st.DrawFn) -> list[Event]:
    """Return what happens to two mails within seconds and hours."""
    items, at = [], 0
    for number, act in enumerate(draw(st.lists(_acts, min_size=1, max_size=9))):
        name, mail_id, link, links, told, gap = act
        at += gap
        items.append(
            mail(number, at, name, mail_id, link_url=link, links=links, **told)
        )
    return items


@given(_policies, mailed(), st.randoms(use_true_random=False), st.data())
def test_judged_by_the_set_alone(
    given_policy: dict[str, Any], life: list[Event], random: Any, data: Any
) -> None:
    """In any order, and with any of it withdrawn, the score is the brute-force one."""
    text = text_of(*RULES, machine_traffic=given_policy)
    model, now = compile_model(Model.model_validate(text)), START + DAY
    gone = data.draw(st.sets(st.sampled_from([item.id for item in life])), label="gone")
    inputs: list[Any] = [*life, *([Retraction(tuple(sorted(gone)), now)] * bool(gone))]
    random.shuffle(inputs)
    first = next(place for place, item in enumerate(inputs) if isinstance(item, Event))
    inputs.insert(0, inputs.pop(first))
    state: LeadState | None = None
    for item in inputs:
        step = (
            on_event(model, state, item, now)
            if isinstance(item, Event)
            else take(model, state, item)
        )
        state = decode_state(encode_state(step.state))
    assert state is not None
    oracle = Oracle(Model.model_validate(text))
    for item in life:
        if item.id not in gone:
            oracle.take(item)
    oracle.until(now)

    assert read(model, state, now).exact == pytest.approx(oracle.exact(now), abs=1e-9)
    rest = [item for item in life if item.id not in gone]
    if rest:
        fresh = live(model, rest, now).state
        assert read(model, state, now).groups == read(model, fresh, now).groups
        assert state.active == fresh.active
        assert {i[1] for i in state.flagged} == {i[1] for i in fresh.flagged}


@given(
    st.lists(
        st.tuples(
            st.sampled_from([OPEN, CLICK, "page"]),
            st.integers(60, 3_600),
            st.booleans(),
        ),
        min_size=1,
        max_size=10,
    ),
    st.lists(
        st.tuples(st.integers(1, 2_900), st.sampled_from([OPEN, CLICK, LEFT])),
        min_size=2,
        max_size=8,
    ),
    st.integers(0, 10),
)
def test_a_burst_takes_back_exactly_its_own(
    acts: list[tuple[str, int, bool]], scan: list[tuple[int, str]], place: int
) -> None:
    """Real acts before and after a scanner's burst on a mail keep their points."""
    at, real = 0, []
    for number, (name, seconds, same) in enumerate(acts):
        at += seconds * SECOND
        if name == "page":
            real.append(event(f"r{number}", at, name=""))
        else:
            real.append(mail(f"r{number}", at, name, "m1" if same else "m2"))
    base = [item.time - START for item in real][min(place, len(real) - 1)] + 20 * SECOND
    burst = [
        mail("s0", base, CLICK),
        mail("s1", base + 10, CLICK),
        *(
            mail(f"s{number + 2}", base + after, name)
            for number, (after, name) in enumerate(scan)
        ),
    ]
    whole = sorted([*real, *burst], key=lambda item: item.now)
    end = START + 2 * DAY
    with_burst, without = live(MODEL, whole, end), live(MODEL, real, end)

    assert (
        read(MODEL, with_burst.state, end).exact
        == read(MODEL, without.state, end).exact
    )
    kept = {name: rule for name, rule in with_burst.state.rules.items() if rule.entries}
    assert kept == without.state.rules
    assert with_burst.state.active == without.state.active

"""What a lead's state takes in, and what it never grows beyond."""

import random
from pathlib import Path

import pytest
from msgspec.structs import replace

from schemas.event import Event
from schemas.time import DAY, HOUR, MINUTE
from scorers.compiled import compile_model
from scorers.identity import lead_id_of
from scorers.loading import load_model
from scorers.masses import hash64
from scorers.memory import taught_before
from scorers.scorer import on_backfill, on_event, on_retract, read
from scorers.state import MAX_IDS, LeadState, decode_state, encode_state
from tests.scorers.living import event, live
from tests.scorers.small_models import CLICK, model_of, text_of
from tests.strategies import START

DEFAULT = Path(__file__).parents[2] / "deploy" / "models" / "default.yaml"
SCORE = {"name": "click", "when": CLICK, "points": 1.0}


def identify(number: int, **traits: object) -> Event:
    """Return an event that states traits, each a millisecond later."""
    stated = event(number, number, name="")
    return replace(stated, type="identify", traits=traits)


def lived(*items: Event, model: object = None) -> LeadState:
    """Return the state after events, in the order given."""
    return live(model or model_of(SCORE), items, START + DAY).state


# ── ids ─────────────────────────────────────────────────────────────────────────


def test_ids_beyond_the_bound() -> None:
    """Of a busy lead the latest ids are remembered, however they arrived."""
    model = model_of(SCORE)
    items = [event(number, number * MINUTE) for number in range(MAX_IDS + 90)]
    shuffled = random.Random(3).sample(items, len(items))
    in_order, state = live(model, items, START + DAY).state, None
    for item in shuffled:
        state = on_event(model, state, item, START + DAY).state
    assert state is not None

    latest = {hash64(item.id) for item in items[-MAX_IDS:]}
    assert set(in_order.ids) == set(state.ids) == latest
    assert on_event(model, state, items[-1], START + DAY).outcome == "duplicate"


def test_ids_of_one_instant_beyond_the_bound() -> None:
    """Of events of one instant the same ones are remembered, however they arrived."""
    model = model_of(SCORE)
    items = [event(number) for number in range(MAX_IDS + 5)]

    kept = lived(*items, model=model).ids
    assert lived(*items[::-1], model=model).ids.keys() == kept.keys()
    assert len(kept) == MAX_IDS


# ── traits ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("x" * 300, "x" * 256),
        (None, None),
        (True, True),
        (2.5, 2.5),
        (7, 7),
        (1 << 70, float(1 << 70)),
        ([1, "a"], "[1, 'a']"),
        (
            {"city": "c" * 300, "no": 10**30, "deep": {}, "flag": None},
            {"city": "c" * 256, "no": 1e30, "flag": None},
        ),
    ],
    ids=["text", "null", "bool", "float", "int", "huge", "list", "mapping"],
)
def test_trait_is_kept_plain_and_short(given: object, kept: object) -> None:
    """Whatever a stranger sends as a trait can be stored, and not too much of it."""
    state = lived(identify(1, company=given))

    assert state.traits["company"].value == kept
    assert decode_state(encode_state(state)) == state


def test_latest_fact_holds_by_event_time() -> None:
    """The latest fact by event time holds, ties by id, however they arrive."""
    first, second = identify(1, company="a"), identify(2, company="b")
    tied = replace(identify(2, company="c"), id="tied")

    assert lived(first, second).traits["company"].value == "b"
    assert lived(second, first).traits["company"].value == "b"
    assert lived(second, tied).traits == lived(tied, second).traits


def test_only_traits_that_matter_are_kept() -> None:
    """Traits that neither a rule nor a card reads are not kept."""
    rule = {"name": "shoe", "where": {"traits.shoe.size": 44}, "points": 2.0}
    said = identify(1, shoe={"size": 44}, password="x", title="CEO")
    state = lived(said, model=model_of(rule))

    assert set(state.traits) == {"shoe", "title"}
    assert read(model_of(rule), state, START).score == 2.0


def test_true_is_not_one() -> None:
    """A trait that is true is no number, and one is not true."""
    rule = {"name": "n", "where": {"traits.age": {"gte": 1}}, "points": 2.0}
    model = model_of(rule)
    scores = [
        read(model, lived(identify(1, age=age), model=model), START).score
        for age in (1, True, 1.0, True)
    ]

    assert scores == [2.0, 0.0, 2.0, 0.0]


def test_worths_are_looked_up_anew_when_there_are_too_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Remembered look-ups are bounded, and right after they were dropped."""
    monkeypatch.setattr("scorers.compiled._MEMORY", 3)
    per_ten = {"of": "traits.age", "per": 10.0, "points": 1.0, "max": 100.0}
    model = model_of({"name": "n", "points": per_ten})
    for _ in range(2):
        for age in range(10, 100, 10):
            state = lived(identify(1, age=age), model=model)
            assert read(model, state, START).score == age / 10


def test_facts_that_events_state() -> None:
    """Stage, budget and owner are stated by the CRM's events as well."""
    said = [
        replace(event(1, name="Stage Changed"), properties={"stage": "decision"}),
        replace(
            event(2, name="Budget Stated"), properties={"amount": 5, "currency": "EUR"}
        ),
        replace(event(3, name="lead assigned"), properties={"owner": "bo"}),
        event(4, name="Lead Assigned"),
    ]
    traits = {name: fact.value for name, fact in lived(*said).traits.items()}

    assert traits == {
        "lifecycle_stage": "decision",
        "budget": 5,
        "budget_currency": "EUR",
        "owner": "bo",
    }


def test_mail_domain_is_the_address_s() -> None:
    """The domain of the latest address holds, also where a machine gave it."""
    first = replace(event(1), email="Ada@Example.COM")
    second = replace(event(2, 5, machine=True), email="ada@corp.example")
    state = lived(second, first)

    assert state.traits["email_domain"].value == "corp.example"
    assert state.emails == ("ada@corp.example", "ada@example.com")
    kept = on_retract(model_of(SCORE), state, ["2"], START + DAY).state
    assert kept.traits == state.traits
    odd = replace(event(1), email="no-address")
    assert "email_domain" not in lived(odd).traits


# ── identifiers ─────────────────────────────────────────────────────────────────


def test_identifiers_are_collected_and_bounded() -> None:
    """Legal identifiers are kept sorted, each once, thirty-two of a kind."""
    items = [
        replace(event(number), anonymous_id=f" a{number:02} ", user_id=f"u{number % 2}")
        for number in range(40)
    ]
    state = lived(*items, replace(event("x"), anonymous_id="null", email="undefined"))

    assert state.anonymous_ids == tuple(f"a{number:02}" for number in range(32))
    assert state.user_ids == ("ada", "u0", "u1")
    assert state.emails == ()


# ── signs of life ───────────────────────────────────────────────────────────────


def test_what_happens_to_a_lead_is_no_sign_of_life() -> None:
    """A delivered mail or a CRM's note ends no silence; what a person does ends it."""
    passive = event(1, 0, name="Email Delivered", channel="email")
    noted = replace(event(2, 1, channel="crm", name=""), type="identify")
    called = event(3, 2, channel="crm", name="Call Logged")
    state = lived(passive, noted)

    assert state.active == {}
    assert state.recent == ()
    assert state.first_at == START
    assert list(lived(passive, called).active) == ["crm"]


def test_last_events_are_those_of_event_time() -> None:
    """Of the last events the latest five by event time are kept, with a detail."""
    items = [
        event(
            number,
            number,
            path=f"/p{number}",
            name="" if number % 2 else "Offer Clicked",
        )
        for number in range(8)
    ]
    recent = lived(*items[::-1]).recent

    assert [item.detail for item in recent] == ["/p3", "/p4", "/p5", "/p6", "/p7"]
    assert [item.name for item in recent[-2:]] == ["Offer Clicked", "Page"]
    assert lived(*items).recent == recent


# ── big lives ───────────────────────────────────────────────────────────────────


def busy(count: int) -> list[Event]:
    """Return a plausible mix of what one very busy lead does."""
    dice = random.Random(11)
    kinds = [
        ("", "web", {"path": "/pricing"}),
        ("", "web", {"path": "/blog"}),
        ("Email Opened", "email", {}),
        ("Email Link Clicked", "email", {}),
        ("Content Clicked", "content", {}),
        ("Content Downloaded", "content", {"asset_type": "ebook"}),
        ("Product Viewed", "web", {}),
        ("Call Logged", "crm", {}),
    ]
    events = []
    at = 0
    for number in range(count):
        at += dice.randrange(2 * HOUR)
        name, channel, properties = dice.choice(kinds)
        keys = {
            "email_id": f"m{number // 3}",
            "link_url": f"/l{number}",
            "asset_id": f"a{dice.randrange(300)}",
            "product": f"p{dice.randrange(9)}",
        }
        events.append(
            event(number, at, name=name, channel=channel, **keys, **properties)
        )
    return events


def test_two_thousand_events_of_one_lead() -> None:
    """A lead with thousands of events stays small and within bounds."""
    model = compile_model(load_model(DEFAULT.read_text(), "default.yaml"))
    state: LeadState | None = None
    sizes = []
    for number, item in enumerate(busy(2_000), start=1):
        state = on_event(model, state, item, item.now).state
        if number % 500 == 0:
            sizes.append(len(encode_state(state)))
            assert decode_state(encode_state(state)) == state

    # Once every memory is full it only breathes.
    assert max(sizes) < 64_000
    assert max(sizes[1:]) < 1.5 * sizes[0]
    assert state is not None
    assert 0 <= read(model, state, state.now).score <= 100


def test_every_kind_of_rule_in_a_big_life() -> None:
    """Whatever fades how, a thousand events leave a bounded state."""
    kinds = ["none", {"half_life": "7d"}, {"linear": "30d"}, {"expires": "30d"}]
    rules = [
        {
            "name": f"rule-{number}",
            "when": CLICK,
            "points": 0.01,
            "decay": decay,
            **({"limit": {"by": "properties.key", "per": "1d"}} if number % 2 else {}),
        }
        for number, decay in enumerate(kinds * 2)
    ]
    model = model_of(*rules)
    assert text_of(*rules)["groups"]["web"]["rules"][1]["limit"]
    items = [event(n, n * 10 * MINUTE, key=f"k{n % 40}") for n in range(1_000)]
    state = live(model, items, items[-1].now).state

    assert len(encode_state(state)) < 96_000


def test_event_that_an_absence_rule_only_might_match() -> None:
    """An event of the right name that neither raises nor meets it leaves no trace."""
    after = {"event": "Content Clicked", "properties.key": "x"}
    unless = {"event": "Content Downloaded"}
    rule = {
        "name": "left",
        "points": -1.0,
        "absence": {"after": after, "unless": unless, "within": "30m"},
    }
    model = model_of(rule)

    assert lived(event(1, name="Content Clicked", key="y"), model=model).rules == {}
    assert set(
        lived(event(1, name="Content Downloaded", key="x"), model=model).rules
    ) == {"left/unless"}


def test_a_lead_is_known_by_the_strongest_identifier_there_is() -> None:
    """User id beats e-mail beats anonymous id, and each may be all there is."""
    named = replace(event(1), email=" Ada@Example.com ", anonymous_id="a1")
    mailed = replace(named, user_id=None)
    ids = [
        lived(item).lead_id
        for item in (named, mailed, replace(mailed, email=None, anonymous_id=" a1 "))
    ]

    assert ids == [
        lead_id_of("user_id", "ada"),
        lead_id_of("email", "ada@example.com"),
        lead_id_of("anonymous_id", "a1"),
    ]


def test_shown_texts_are_short() -> None:
    """Of a long name or detail as much is kept as a card shows."""
    recent = lived(event(1, name="n" * 200, path="p" * 200)).recent[0]

    assert (recent.name, recent.detail) == ("n" * 80, "p" * 120)


# ── backfills ───────────────────────────────────────────────────────────────────


def test_a_backfill_that_is_run_again_is_known_by_its_place() -> None:
    """What a backfill taught once, by topic and offset, it does not teach again."""
    rule = {"name": "page", "when": {"type": "page"}, "points": 2.0}
    model = model_of({"name": "click", "when": CLICK, "points": 1.0}, rule)
    state = on_event(model, None, event("now", DAY), START + DAY).state
    rules, at = frozenset({"page"}), START + DAY
    scores, outcomes = [], []
    for number, place in enumerate(
        [("b", "web", 7), ("b", "web", 7), ("b", "web", 6), ("b", "email", 6)]
    ):
        old = event(f"old-{number}", name="")
        step = on_backfill(model, state, old, rules, at, place=place)
        state = step.state
        outcomes.append(step.outcome)
        scores.append(state.score)

    assert outcomes == ["scored", "duplicate", "duplicate", "scored"]
    assert scores == [3.0, 3.0, 3.0, 5.0]


def test_the_places_of_few_backfills_are_kept() -> None:
    """A lead remembers the last backfills only, each with all its topics."""
    state = LeadState(lead_id="ld")
    for number in range(20):
        assert not taught_before(state, f"b{number}", "web", 1)
        assert not taught_before(state, f"b{number}", "email", 1)

    assert len(state.taught) < 20
    assert state.taught["b19"] == {"web": 1, "email": 1}
    assert taught_before(state, "b19", "web", 1)

"""The view's contract, on a real Redis."""

from collections.abc import Callable
from itertools import permutations
from typing import Any

import msgspec
import pytest
from redis import Redis

from schemas.event import Event
from schemas.score import Identifiers
from schemas.time import MINUTE, to_datetime
from scorers.belonging import account_id_of
from scorers.identity import lead_id_of
from streams.redis_server import RedisServer
from streams.view import Change, Erased, View, ViewAwayError, connect_view
from streams.view_writer import HISTORY, RECENT_EVENTS
from tests.streams.view.records import (
    ACME,
    ADA,
    T0,
    account,
    alert,
    change,
    event,
    surge,
    update,
)

BOB = lead_id_of("user_id", "bob")


def write(view: View, *changes: Change) -> bool:
    return view.write(view.build(), changes, {})


def contents(redis: Redis, prefix: str) -> dict[bytes, Any]:
    """Return what is in the keys of a view (the bytes of a dump have no order)."""
    reading: dict[bytes, Callable[[bytes], Any]] = {
        b"hash": redis.hgetall,
        b"string": redis.get,
        b"zset": lambda key: redis.zrange(key, 0, -1, withscores=True),
    }
    keys = redis.scan_iter(f"{prefix}*")
    return {key: reading[redis.type(key)](key) for key in keys}


def test_ranks_leads_best_first(view: View) -> None:
    """The ranked list holds every lead once, the highest score first."""
    write(view, change(update(score=10)), change(update(lead_id=BOB, score=70)))

    assert [card.update.lead_id for card in view.top(limit=10)] == [BOB, ADA]
    assert [card.update.lead_id for card in view.top(limit=1)] == [BOB]


def test_a_lead_moves_between_tiers_and_owners(view: View) -> None:
    """A lead stands in its present tier and owner's list and in no former one."""
    write(view, change(update(tier="bronze", owner="lee")))
    write(view, change(update(sequence=2, score=65, tier="gold", owner="kim")))

    assert view.tiers(["gold", "bronze"]) == {"gold": 1, "bronze": 0}
    assert view.top(limit=9, owner="lee") == ()
    assert view.top(limit=9, tier="bronze") == ()
    assert len(view.top(limit=9, tier="gold", owner="kim")) == 1
    assert view.top(limit=9, tier="gold", owner="lee") == ()


@pytest.mark.parametrize("order", list(permutations([1, 2, 3])))
def test_the_highest_sequence_wins(view: View, order: tuple[int, ...]) -> None:
    """In whatever order updates arrive, the newest sequence is what is shown."""
    tiers = {1: "bronze", 2: "gold", 3: "silver"}
    for sequence in order:
        new = update(sequence=sequence, score=sequence * 10, tier=tiers[sequence])
        write(view, change(new))

    card = view.lead(ADA)
    assert card is not None
    assert (card.update.sequence, card.update.score) == (3, 30.0)
    assert view.tiers(["gold", "silver", "bronze"]) == {
        "gold": 0,
        "silver": 1,
        "bronze": 0,
    }


def test_a_repeated_batch_changes_nothing(
    view: View, redis_url: str, view_prefix: str
) -> None:
    """Redelivery leaves every key as it was and publishes nothing again."""
    batch = [
        change(update(owner="kim")),
        change(update(sequence=2, score=61, tier="gold", owner="kim")),
        change(alert()),
        change(event()),
        change(account()),
        change(surge()),
    ]
    redis = Redis.from_url(redis_url)
    with redis.pubsub() as live:
        live.subscribe(view.live_channel)
        assert live.get_message(timeout=5) is not None
        write(view, *batch)
        before = contents(redis, view_prefix)
        write(view, *batch)
        seen = [live.get_message(timeout=0.2) for _ in range(9)]

    assert len(before) >= 14
    assert before == contents(redis, view_prefix)
    told = {message["data"] for message in seen if message is not None}
    # Of a lead only its newest score.
    assert told == {batch[index].raw for index in (1, 2, 4, 5)}


def test_one_batch_is_as_good_as_many(view: View) -> None:
    """Updates of one lead in one batch, in any order, count as if they came singly."""
    write(view, *(change(update(sequence=n, score=n * 10)) for n in (2, 4, 1, 3)))

    card = view.lead(ADA)
    assert card is not None
    assert (card.update.sequence, card.update.score) == (4, 40.0)
    assert [point.score for point in card.history] == [10, 20, 30, 40]


def test_what_came_before_an_erasure_stays_erased(view: View) -> None:
    """Within one batch, only what a lead did after its tombstone is kept."""
    write(
        view,
        change(update(score=50)),
        change(event()),
        Change(Erased(ADA), b""),
        change(update(sequence=1, score=5)),
    )

    card = view.lead(ADA)
    assert card is not None
    assert ([point.score for point in card.history], card.events) == ([5.0], ())


def test_unknown_fields_reach_the_card_untouched(
    view: View, redis_url: str, view_prefix: str
) -> None:
    """What a newer producer adds to an update is kept as it came."""
    known = msgspec.json.encode(update())
    raw = b'{"colour":"red",' + known[1:]
    write(view, Change(update(), raw))

    stored = Redis.from_url(redis_url).hget(f"{view_prefix}lp:lead:{ADA}", "update")
    assert raw == stored
    assert view.lead(ADA) is not None


def test_recent_events_are_the_newest_by_event_time(view: View) -> None:
    """Late and repeated events find their place; only the newest few are kept."""
    many = [event(event_id=f"e{n}", at=T0 + n * MINUTE) for n in range(30)]
    write(view, change(update()), *(change(each) for each in reversed(many)))
    write(view, change(many[29]))

    card = view.lead(ADA)
    assert card is not None
    newest_first = [each.occurred_at for each in reversed(many)][:RECENT_EVENTS]
    assert newest_first == [recent.at for recent in card.events]
    assert card.events[0].detail == "/pricing"


def test_history_is_bounded_and_in_order(view: View) -> None:
    """The score history keeps the latest points, oldest first."""
    changes = [
        change(update(sequence=n, score=n % 100, at=T0 + n))
        for n in range(1, HISTORY + 11)
    ]
    write(view, *changes)

    card = view.lead(ADA)
    assert card is not None
    assert list(range(T0 + 11, T0 + HISTORY + 11)) == [at for at, _ in card.history]


def test_alerts_are_kept_once_newest_first(view: View) -> None:
    """Each alert id appears once, the latest decision on top."""
    first, second = alert(alert_id="a"), alert(alert_id="b", at=T0 + MINUTE)
    write(view, change(update()), change(second), change(first), change(first))

    assert [told.id for told in view.alerts(10)] == ["b", "a"]
    assert [told.id for told in view.alerts(1)] == ["b"]
    card = view.lead(ADA)
    assert card is not None
    assert [told.id for told in card.alerts] == ["b", "a"]


@pytest.mark.parametrize(
    "term", [ADA, "ada", " ada ", "Ada@Example.com", "anon-7"], ids=repr
)
def test_a_lead_is_found_by_any_identifier(view: View, term: str) -> None:
    """A lead id, user id, e-mail or anonymous id leads to the same card."""
    known = Identifiers(
        user_id=("ada",), email=("ada@example.com",), anonymous_id=("anon-7",)
    )
    write(view, change(update(identifiers=known)))

    assert view.find(term) == (ADA,)


def test_an_unknown_lead_is_nobody(view: View) -> None:
    """A term that names no lead finds none, and an unseen id has no card."""
    assert view.find("nobody@example.com") == ()
    assert view.lead("ld_0") is None
    assert view.top(limit=5) == ()
    assert view.alerts(5) == ()


def test_an_erased_lead_leaves_nothing(
    view: View, redis_url: str, view_prefix: str
) -> None:
    """After a tombstone no key, list or alert names the lead any more."""
    write(
        view,
        change(update(owner="kim")),
        change(alert()),
        change(event()),
        Change(Erased(ADA), b""),
    )

    left = set(Redis.from_url(redis_url).scan_iter(f"{view_prefix}*"))
    assert {f"{view_prefix}lp:build".encode()} == left
    assert view.find("ada") == ()


def test_positions_are_kept_with_the_build_they_belong_to(view: View) -> None:
    """Positions move with a write, but not into a build that began since."""
    build = view.build()
    assert view.write(build, [], {("t", 0): 5, ("a:b", 11): 7})
    assert view.positions() == {("t", 0): 5, ("a:b", 11): 7}
    view.drop()

    assert not view.write(build, [change(update())], {("t", 0): 9})
    assert view.positions() == {}
    assert build != view.build()


def test_drop_touches_only_this_view(view: View, redis_url: str) -> None:
    """Dropping one view leaves another prefix and foreign keys alone."""
    other = connect_view(redis_url, prefix="other.")
    write(other, change(update()))
    write(view, change(update()), change(alert()))

    assert view.drop() > 0
    assert view.top(limit=5) == ()
    assert len(other.top(limit=5)) == 1
    other.drop()
    other.close()


def test_a_redis_that_is_away_is_one_clear_error(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Every use of an absent Redis raises the view's own error, and later works."""
    with RedisServer(tmp_path_factory.mktemp("away"), keep=False) as server:
        view = connect_view(server.url)
        write(view, change(update()))
        server.stop()

        for use in (
            view.build,
            view.positions,
            view.drop,
            lambda: view.write("x", [], {}),
            lambda: view.top(limit=1),
            lambda: view.lead(ADA),
            lambda: view.find("ada"),
            lambda: view.tiers(["gold"]),
            lambda: view.alerts(1),
        ):
            with pytest.raises(ViewAwayError, match="Redis does not answer"):
                use()

        server.start()
        write(view, change(update()))
        assert len(view.top(limit=1)) == 1


# ── accounts ────────────────────────────────────────────────────────────────────


def test_accounts_are_ranked_best_first(view: View) -> None:
    """The accounts have a ranking of their own, and one per tier; no lead is in it."""
    other = account_id_of("domain", "other.example")
    write(
        view,
        change(update(score=99, tier="gold")),
        change(account()),
        change(account(account_id=other, score=70, tier="gold")),
    )

    def top(tier: str | None = None) -> list[str]:
        return [c.update.account_id for c in view.accounts.top(limit=9, tier=tier)]

    assert top() == [other, ACME]
    assert top("gold") == [other]
    assert [card.update.lead_id for card in view.top(limit=9)] == [ADA]
    write(view, change(account(account_id=other, sequence=2, score=5, tier="none")))
    assert (top(), top("gold"), top("none")) == ([ACME, other], [], [other])


def test_a_stale_score_of_an_account_changes_nothing(view: View) -> None:
    """The newest sequence is what is shown; an older one fills the history."""
    write(view, change(account(sequence=2, score=40)))
    write(view, change(account(sequence=1, score=20)))

    card = view.accounts.show(ACME)
    assert card is not None
    assert card.update.score == 40
    assert [point.score for point in card.history] == [20, 40]


def test_an_account_that_everybody_left_is_ranked_no_more(view: View) -> None:
    """An empty account keeps its card and is not among the best."""
    write(view, change(account(members=0, score=0)))

    assert view.accounts.top(limit=9) == ()
    assert view.accounts.show(ACME) is not None


def test_an_account_has_its_people_with_their_present_scores(view: View) -> None:
    """People are ranked by the leads' own scores, and leave with their account."""
    write(
        view,
        change(account()),
        change(update(account_id=ACME)),
        change(update(lead_id=BOB, score=70, account_id=ACME)),
    )
    card = view.accounts.show(ACME)
    assert card is not None
    assert [each.update.lead_id for each in card.people] == [BOB, ADA]

    write(view, change(update(lead_id=BOB, sequence=2, account_id="ac_other")))
    card = view.accounts.show(ACME)
    assert card is not None
    assert [each.update.lead_id for each in card.people] == [ADA]


@pytest.mark.parametrize(
    "term", [ACME, "acme.example", "ACME.example", "Acme Ltd", "acme ltd"]
)
def test_an_account_is_found_by_what_people_call_it(view: View, term: str) -> None:
    """Its id, its mail domain and its name all name the account."""
    write(view, change(account()))

    assert view.accounts.find(term) == ACME


def test_an_account_of_the_crm_is_found_by_its_id_and_its_domain(view: View) -> None:
    """The CRM's id names the account; so does the domain of its people."""
    crm = account_id_of("account", "0014x")
    write(view, change(account(account_id=crm)))

    assert view.accounts.find("0014x") == crm
    assert view.accounts.find("acme.example") == crm
    assert view.accounts.find("nobody.example") is None


def test_the_alert_of_an_account_is_on_its_card(view: View) -> None:
    """A surge is among the latest alerts and on the account's card, not the lead's."""
    write(view, change(account()), change(update()), change(surge()))

    card, lead = view.accounts.show(ACME), view.lead(ADA)
    assert card is not None
    assert lead is not None
    assert [each.id for each in card.alerts] == [surge().id]
    assert [each.id for each in view.alerts(9)] == [surge().id]
    assert lead.alerts == ()


def test_an_erased_lead_is_gone_from_its_account(
    view: View, redis_url: str, view_prefix: str
) -> None:
    """After a tombstone no key of the account names the lead, nor does an alert."""
    write(
        view,
        change(account()),
        change(update(account_id=ACME)),
        change(surge()),
        Change(Erased(ADA), b""),
        change(account(sequence=2, top=())),
    )

    redis = Redis.from_url(redis_url)
    assert ADA not in repr(contents(redis, view_prefix))


# ── leads that became one ───────────────────────────────────────────────────────

COOKIE = lead_id_of("anonymous_id", "cookie")


def visit(event_id: str, at: int = 0) -> Change:
    """Return what a visitor did of whom only the cookie is known."""
    given = event(event_id=event_id, at=T0 + at)
    anonymous = msgspec.structs.replace(given, user_id=None, anonymous_id="cookie")
    return change(anonymous)


def gone(sequence: int = 2, into: str = ADA) -> Change:
    """Return the last word of the cookie's lead."""
    return change(
        update(
            lead_id=COOKIE,
            sequence=sequence,
            score=0.0,
            tier="none",
            merged_into=into,
            identifiers=Identifiers(anonymous_id=("cookie",)),
        )
    )


def test_a_merged_lead_leaves_the_ranking(view: View) -> None:
    """Its events and alerts are its person's, and so is its name; stale ones too."""
    before = update(lead_id=COOKIE, owner="kim", account_id=ACME, score=40.0)
    write(view, change(update(score=50.0)), change(before), visit("e7"))
    write(view, change(alert(alert_id="al_9", lead_id=COOKIE)))
    write(view, gone())
    write(view, change(before), visit("e8", MINUTE))

    assert [card.update.lead_id for card in view.top(limit=9)] == [ADA]
    assert view.top(limit=9, tier="none", owner="kim") == ()
    assert view.lead(COOKIE) is None
    assert view.find("cookie") == view.find(COOKIE) == (ADA,)
    card = view.lead(ADA)
    assert card is not None
    assert len(card.events) == 2
    assert [each.id for each in card.alerts] == ["al_9"]


def test_merged_again_and_again(view: View) -> None:
    """A chain ends at the last lead, in whatever order it is heard of."""
    address = lead_id_of("email", "ada@example.com")
    links = [
        gone(into=address),
        change(update(lead_id=address, sequence=2, score=0.0, merged_into=ADA)),
        change(update()),
    ]
    for order in permutations(links):
        view.drop()
        write(view, visit("e1"))
        for each in order:
            write(view, each)
        write(view, visit("e2", MINUTE))

        card = view.lead(ADA)
        assert card is not None
        assert [card.update.lead_id for card in view.top(limit=9)] == [ADA]
        assert len(card.events) == 2
        assert view.find(address) == (ADA,)


def test_a_workspace_sees_its_own(view: View) -> None:
    """Ranking, cards, aliases, alerts and the live channel are apart."""
    theirs = lead_id_of("user_id", "ada", "acme")
    write(
        view,
        change(update(score=10)),
        change(update(lead_id=theirs, score=70)),
        change(alert(alert_id="al_2", lead_id=theirs)),
        change(account(account_id=account_id_of("domain", "acme.example", "acme"))),
    )

    acme = view.of("acme")
    assert [card.update.lead_id for card in view.top(limit=9)] == [ADA]
    assert [card.update.lead_id for card in acme.top(limit=9)] == [theirs]
    assert view.find("ada") == (ADA,)
    assert acme.find("ada") == (theirs,)
    assert view.alerts(9) == ()
    assert [each.id for each in acme.alerts(9)] == ["al_2"]
    assert view.accounts.find("acme.example") is None
    assert acme.accounts.find("acme.example") is not None
    assert view.lead(theirs) is None
    assert view.live_channel != acme.live_channel
    assert view.drop() > 0
    assert acme.top(limit=9) == (), "the view is dropped as a whole"


@pytest.mark.parametrize("event_first", [True, False])
def test_events_of_an_identifier_that_was_no_lead(
    view: View, *, event_first: bool
) -> None:
    """What a known person does before logging in again is on their card."""
    known = change(update(identifiers=Identifiers(anonymous_id=("c",))))
    seen = change(event(user_id=None, anonymous_id="c"))
    for each in (seen, known) if event_first else (known, seen):
        write(view, each)

    card = view.lead(ADA)

    assert card is not None
    assert len(card.events) == 1


def work(name: str, *, event_id: str = "w1", **properties: str | int) -> Change:
    return change(
        Event(
            id=event_id,
            type="track",
            channel="crm",
            name=name,
            user_id="ada",
            occurred_at=to_datetime(T0),
            properties=dict(properties),
        )
    )


def test_what_sales_did_is_kept_once_and_goes_with_the_lead(
    view: View, redis_url: str, view_prefix: str
) -> None:
    """Work is on the lead's card, repeated it is one, and an erasure takes it along."""
    write(
        view,
        change(update()),
        work("Lead Acknowledged", by="kim", via="web", alert_id="al_1"),
        work("Lead Snoozed", event_id="w2", by="kim", until=T0 + MINUTE),
        work("Page Liked", event_id="w3"),
    )
    write(view, work("Lead Acknowledged", by="kim", via="web", alert_id="al_1"))

    card = view.lead(ADA)
    assert card is not None
    done = {each.name: each for each in card.work}
    assert sorted(each.name for each in card.work) == [
        "Lead Acknowledged",
        "Lead Snoozed",
    ]
    assert (done["Lead Acknowledged"].by, done["Lead Acknowledged"].via) == (
        "kim",
        "web",
    )
    assert done["Lead Snoozed"].until == T0 + MINUTE
    line = view.board.lines([ADA])[0]
    assert len(line.work) == 2

    write(view, Change(Erased(ADA), b""))
    assert [
        key
        for key in contents(Redis.from_url(redis_url), view_prefix)
        if ADA.encode() in key
    ] == []


def test_a_deal_is_worth_what_the_crm_said_last(view: View) -> None:
    """In any order and as often as it comes; it moves with its lead and ends lost."""

    def said(name: str, at: int, **properties: Any) -> Change:
        told = msgspec.structs.replace(
            event(event_id=f"{name}{at}", at=T0 + at),
            type="track",
            channel="crm",
            name=name,
            properties=properties,
        )
        return change(told)

    first = said("Stage Changed", 1, stage="proposal", amount="8000", currency="eur")
    later = said("Deal Corrected", 5, amount=9_500, currency="EUR")
    write(view, change(update()), later)
    write(view, first, later, first)

    card = view.lead(ADA)
    assert card is not None
    assert card.deal is not None
    assert (card.deal.amount, card.deal.currency, card.deal.at) == (9500, "EUR", T0 + 5)
    (line,) = view.board.lines([ADA])
    assert line.deal == card.deal

    write(view, change(update(lead_id=BOB)))
    write(view, change(update(sequence=2, merged_into=BOB)))
    merged = view.lead(BOB)
    assert merged is not None
    assert merged.deal == card.deal
    write(view, said("Deal Lost", 9))
    lost = view.lead(BOB)
    assert lost is not None
    assert lost.deal is not None
    assert lost.deal.lost

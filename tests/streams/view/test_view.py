"""The view's contract, on a real Redis."""

from itertools import permutations

import msgspec
import pytest
from redis import Redis

from schemas.score import Identifiers
from schemas.time import MINUTE
from scorers.identity import lead_id_of
from streams.redis_server import RedisServer
from streams.view import (
    HISTORY,
    RECENT_EVENTS,
    Change,
    Erased,
    View,
    ViewAwayError,
    connect_view,
)
from tests.streams.view.records import ADA, T0, alert, change, event, update

BOB = lead_id_of("user_id", "bob")


def write(view: View, *changes: Change) -> bool:
    return view.write(view.build(), changes, {})


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
    ]
    redis = Redis.from_url(redis_url)
    with redis.pubsub() as live:
        live.subscribe(view.live_channel)
        assert live.get_message(timeout=5) is not None
        write(view, *batch)
        keys = sorted(redis.scan_iter(f"{view_prefix}*"))
        before = [redis.dump(key) for key in keys]
        write(view, *batch)
        seen = [live.get_message(timeout=0.2) for _ in range(6)]

    assert len(keys) >= 8
    assert keys == sorted(redis.scan_iter(f"{view_prefix}*"))
    assert before == [redis.dump(key) for key in keys]
    told = {message["data"] for message in seen if message is not None}
    assert told == {batch[1].raw, batch[2].raw}  # of a lead only its newest score


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

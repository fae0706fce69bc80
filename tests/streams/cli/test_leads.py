"""`leadpulse leads`: the view, as a person at a terminal sees it."""

import json
from collections.abc import Callable

import msgspec
import pytest

from schemas.score import Identifiers, NotCounted, Withheld
from schemas.time import HOUR, to_datetime
from scorers.identity import is_legal, lead_id_of, normalise
from scorers.masses import hash64
from streams.clock import SystemClock
from streams.processes import free_port
from streams.view import View
from tests.scorers.test_identity import NASTY
from tests.streams.view.records import ADA, alert, change, event, update

MARKUP = ("[/red]", "[bold]x[/bold]", "[link=file:///etc/passwd]y[/link]", "a[/]b")
BOB = lead_id_of("email", "bob@example.com")


@pytest.fixture
def two_leads(view: View) -> View:
    now = SystemClock().now()
    ada = Identifiers(user_id=("ada",), email=("ada@example.com",))
    bob = Identifiers(email=("bob@example.com",))
    changes = [
        change(update(identifiers=ada, owner="kim", at=now - 9 * HOUR)),
        change(
            update(
                sequence=2,
                score=65,
                tier="gold",
                identifiers=ada,
                owner="kim",
                at=now - 8 * HOUR,
            )
        ),
        change(update(lead_id=BOB, score=12.5, identifiers=bob, at=now - HOUR)),
        change(event(at=now - 8 * HOUR)),
        change(alert(at=now - 8 * HOUR)),
    ]
    assert view.write(view.build(), changes, {})
    return view


@pytest.mark.usefixtures("two_leads")
def test_top_ranks_the_leads(leadpulse: Callable) -> None:
    """The best lead comes first, with tier, score, reason, owner and last sign."""
    ran = leadpulse("leads", "top")
    first, second = (line for line in ran.out.splitlines() if "example.com" in line)

    assert ran.code == 0
    for told in ("1", "gold", "65.0", "ada@example.com", "Saw the prices +5", "kim"):
        assert told in first
    assert "8 h ago" in first
    assert "bob@example.com" in second


@pytest.mark.usefixtures("two_leads")
@pytest.mark.parametrize(
    ("argv", "leads"),
    [
        (["--tier", "gold"], [ADA]),
        (["--tier", "silver"], []),
        (["--owner", "kim"], [ADA]),
        (["--owner", "kim", "--tier", "bronze"], []),
        (["--limit", "1"], [ADA]),
        ([], [ADA, BOB]),
    ],
    ids=["tier", "empty tier", "owner", "owner and tier", "limit", "all"],
)
def test_top_selects(leadpulse: Callable, argv: list[str], leads: list[str]) -> None:
    """Tier, owner and limit choose among the leads, also for programs."""
    ran = leadpulse("leads", "top", "--json", *argv)

    assert [card["lead_id"] for card in json.loads(ran.out)] == leads


@pytest.mark.usefixtures("two_leads")
@pytest.mark.parametrize("width", ["60", "80", "140"])
def test_top_fits_the_terminal(
    leadpulse: Callable, monkeypatch: pytest.MonkeyPatch, width: str
) -> None:
    """No line is wider than the terminal, and one lead is one line."""
    monkeypatch.setenv("COLUMNS", width)
    lines = leadpulse("leads", "top").out.splitlines()

    assert max(map(len, lines)) <= int(width)
    assert sum(" gold " in line for line in lines) == 1


@pytest.mark.usefixtures("view")
def test_nobody_yet_is_a_friendly_line(leadpulse: Callable) -> None:
    """An empty view says so, and what to do."""
    ran = leadpulse("leads", "top")

    assert ran.code == 0
    assert "No leads here yet" in ran.out


@pytest.mark.usefixtures("two_leads")
@pytest.mark.parametrize("name", [ADA, "ada", "ADA@example.com"])
def test_show_tells_all_about_a_lead(leadpulse: Callable, name: str) -> None:
    """Identity, groups, reasons, history, events and alerts are on the card."""
    ran = leadpulse("leads", "show", name)

    assert ran.code == 0
    for told in (
        "ada@example.com", ADA, "kim", "65.0", "Saw the prices", "Silent for 14 days",
        "/pricing", "hot-lead", "crossed-threshold", "Call now.", "since 9 h ago",
    ):  # fmt: skip
        assert told in ran.out


@pytest.mark.usefixtures("two_leads")
def test_show_for_programs(leadpulse: Callable) -> None:
    """As JSON the card is the update's own fields with history, events and alerts."""
    card = json.loads(leadpulse("leads", "show", "ada", "--json").out)

    assert (card["lead_id"], card["sequence"], card["score"]) == (ADA, 2, 65.0)
    assert [point["score"] for point in card["history"]] == [10.0, 65.0]
    assert [one["name"] for one in card["events"]] == ["Pricing"]
    assert [one["id"] for one in card["alerts"]] == ["al_1"]


def test_show_marks_what_does_not_count(leadpulse: Callable, view: View) -> None:
    """Events of machines, and those withheld for want of consent, say why not."""
    now = SystemClock().now()
    at = to_datetime(now - HOUR)
    opened = NotCounted(
        reason="privacy-proxy",
        act="opened",
        count=1,
        last_at=at,
        text="Opened by a mail proxy, not counted",
        events=(f"{hash64('e1'):016x}",),
    )
    refused = Withheld(
        purpose="marketing.email",
        count=3,
        text="No consent to marketing since 3 Nov 2026: 3 events are not counted",
        events=(f"{hash64('e2'):016x}",),
    )
    changes = [
        change(update(at=now, not_counted=(opened,), withheld=(refused,))),
        *(change(event(event_id=f"e{one}", at=now - one * HOUR)) for one in range(4)),
    ]
    assert view.write(view.build(), changes, {})

    shown = leadpulse("leads", "show", ADA).out
    assert shown.count("Opened by a mail proxy, not counted") == 2
    assert "3 events are not counted" in shown
    (row,) = (line for line in shown.splitlines() if "marketing.email" in line)
    assert "Pricing" in row
    told = json.loads(leadpulse("leads", "show", ADA, "--json").out)["events"]
    assert [bool(one["not_counted"]) for one in told] == [False, True, True, False]

    whole = msgspec.structs.replace(refused, everything=True)
    changes = [change(update(sequence=2, at=now, withheld=(whole,)))]
    assert view.write(view.build(), changes, {})
    told = json.loads(leadpulse("leads", "show", ADA, "--json").out)["events"]
    assert all(one["not_counted"] for one in told)


@pytest.mark.usefixtures("two_leads")
def test_an_unknown_lead_is_told(leadpulse: Callable) -> None:
    """A name that nobody has is one clear line and exit code 1."""
    ran = leadpulse("leads", "show", "nobody@example.com")

    assert (ran.code, ran.out) == (1, "")
    assert "no lead is known as nobody@example.com" in ran.err


def test_rebuild_empties_the_view(leadpulse: Callable, two_leads: View) -> None:
    """After a rebuild nothing is left until the delivery role has filled it."""
    ran = leadpulse("leads", "rebuild")

    assert ran.code == 0
    assert two_leads.top(limit=9) == ()
    assert two_leads.positions() == {}


@pytest.mark.parametrize("argv", [["top"], ["show", "ada"], ["rebuild"]])
def test_an_absent_redis_is_one_clear_line(
    leadpulse: Callable, monkeypatch: pytest.MonkeyPatch, argv: list[str]
) -> None:
    """Without Redis every command says so in one line and leaves with 1."""
    monkeypatch.setenv("LEADPULSE_REDIS_URL", f"redis://127.0.0.1:{free_port()}/0")
    ran = leadpulse("leads", *argv)

    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("leadpulse: the view's Redis does not answer")
    assert len(ran.err.splitlines()) == 1


def test_no_identifier_breaks_the_view_or_the_screen(
    leadpulse: Callable, view: View
) -> None:
    """Whatever people are called, each is found under that name, and is shown."""
    now = SystemClock().now()
    known = {
        lead_id_of("user_id", name): name
        for name in (normalise("user_id", nasty) for nasty in (*NASTY, *MARKUP))
        if is_legal(name) and name.isprintable()
    }
    changes = [
        change(
            update(
                lead_id=lead_id,
                identifiers=Identifiers(user_id=(name,), email=(name,)),
                owner=name,
                at=now,
            )
        )
        for lead_id, name in known.items()
    ]
    assert view.write(view.build(), changes, {})

    assert {card.update.lead_id for card in view.top(limit=99)} == set(known)
    for lead_id, name in known.items():
        assert view.find(name)[0] == lead_id
    ranked = leadpulse("leads", "top", "--limit", "99")
    assert ranked.code == 0, ranked.err
    for name in MARKUP:
        shown = leadpulse("leads", "show", name)
        assert shown.code == 0, shown.err
        assert name in shown.out

"""`leadpulse accounts`: the companies in the view, as a person sees them."""

import json
from collections.abc import Callable

import pytest

from schemas.score import Identifiers
from schemas.time import HOUR
from scorers.belonging import account_id_of
from scorers.identity import lead_id_of
from streams.clock import SystemClock
from streams.processes import free_port
from streams.view import View
from tests.streams.view.records import ACME, ADA, account, change, surge, update

BOB = lead_id_of("email", "bob@acme.example")
OTHER = account_id_of("account", "0014x")


@pytest.fixture
def two_accounts(view: View) -> View:
    now = SystemClock().now()
    bob = Identifiers(email=("bob@acme.example",))
    changes = [
        change(account(at=now - 9 * HOUR, score=12)),
        change(account(at=now - HOUR, sequence=2, score=35, tier="silver")),
        change(account(account_id=OTHER, score=5, tier="none")),
        change(update(account_id=ACME, at=now - HOUR)),
        change(update(lead_id=BOB, score=70, identifiers=bob, account_id=ACME)),
        change(surge(at=now - HOUR)),
    ]
    assert view.write(view.build(), changes, {})
    return view


@pytest.mark.usefixtures("two_accounts")
def test_top_ranks_the_accounts(leadpulse: Callable) -> None:
    """The best account comes first, with tier, score, trend, name and people."""
    ran = leadpulse("accounts", "top")
    first, second = (line for line in ran.out.splitlines() if "Acme" in line)

    assert ran.code == 0
    for told in ("1", "silver", "35.0", "+4.5", "Acme Ltd", "1 of 2 active"):
        assert told in first
    assert "5.0" in second


@pytest.mark.usefixtures("two_accounts")
@pytest.mark.parametrize(
    ("argv", "accounts"),
    [
        ([], [ACME, OTHER]),
        (["--tier", "silver"], [ACME]),
        (["--tier", "gold"], []),
        (["--limit", "1"], [ACME]),
    ],
    ids=["all", "tier", "empty tier", "limit"],
)
def test_top_selects(leadpulse: Callable, argv: list[str], accounts: list[str]) -> None:
    """Tier and limit choose among the accounts, also for programs."""
    ran = leadpulse("accounts", "top", "--json", *argv)

    assert [card["account_id"] for card in json.loads(ran.out)] == accounts


@pytest.mark.usefixtures("two_accounts")
@pytest.mark.parametrize("width", ["60", "80", "140"])
def test_top_fits_the_terminal(
    leadpulse: Callable, monkeypatch: pytest.MonkeyPatch, width: str
) -> None:
    """No line is wider than the terminal, and one account is one line."""
    monkeypatch.setenv("COLUMNS", width)
    lines = leadpulse("accounts", "top").out.splitlines()

    assert max(map(len, lines)) <= int(width)
    assert sum(" silver " in line for line in lines) == 1


@pytest.mark.usefixtures("two_accounts")
@pytest.mark.parametrize("name", [ACME, "0014x"])
def test_show_tells_all_about_an_account(leadpulse: Callable, name: str) -> None:
    """Score, trend, domain and people are on the card, the strongest person first."""
    out = leadpulse("accounts", "show", name).out

    for told in ("Acme Ltd", "+4.5", "acme.example", "1 of 2 active, not qualified"):
        assert told in out
    if name == ACME:
        assert out.index("bob@acme.example") < out.index("ada")
        for told in ("buying-group", "surged", "since 9 h ago", "Saw the prices"):
            assert told in out


@pytest.mark.usefixtures("two_accounts")
@pytest.mark.parametrize("width", ["70", "80", "140"])
def test_show_has_room_for_everybodys_tier_and_score(
    leadpulse: Callable, monkeypatch: pytest.MonkeyPatch, width: str
) -> None:
    """However long the reasons are, a person's tier and score stay legible."""
    monkeypatch.setenv("COLUMNS", width)
    lines = leadpulse("accounts", "show", ACME).out.splitlines()
    people = [line for line in lines if " bob@" in line or " ada " in line]

    assert max(map(len, lines)) <= int(width)
    assert [line.split()[:2] for line in people] == [
        ["bronze", "70.0"],
        ["bronze", "10.0"],
    ]


@pytest.mark.usefixtures("two_accounts")
def test_show_for_programs(leadpulse: Callable) -> None:
    """As JSON the card is the score's own fields with history, people and alerts."""
    card = json.loads(leadpulse("accounts", "show", ACME, "--json").out)

    assert (card["account_id"], card["sequence"], card["trend"]) == (ACME, 2, 4.5)
    assert [point["score"] for point in card["history"]] == [12, 35]
    assert [person["lead_id"] for person in card["people"]] == [BOB, ADA]
    assert [one["kind"] for one in card["alerts"]] == ["account-surge"]


@pytest.mark.usefixtures("view")
def test_no_account_is_told(leadpulse: Callable) -> None:
    """An empty ranking says why; an unknown name is one line and exit code 1."""
    ranked, shown = leadpulse("accounts", "top"), leadpulse("accounts", "show", "acme")

    assert (ranked.code, "No accounts here yet" in ranked.out) == (0, True)
    assert (shown.code, shown.out) == (1, "")
    assert "no account is known as acme" in shown.err


@pytest.mark.parametrize("argv", [["top"], ["show", "acme"]])
def test_an_absent_redis_is_one_clear_line(
    leadpulse: Callable, monkeypatch: pytest.MonkeyPatch, argv: list[str]
) -> None:
    """Without Redis every command says so in one line and leaves with 1."""
    monkeypatch.setenv("LEADPULSE_REDIS_URL", f"redis://127.0.0.1:{free_port()}/0")
    ran = leadpulse("accounts", *argv)

    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("leadpulse: the view's Redis does not answer")

"""What others wrote is text on every page, whatever it would like to be."""

import json
from html.parser import HTMLParser

import msgspec
import pytest

from schemas.account import TopMember
from schemas.alert import DealValue, RecentEvent
from schemas.event import Event
from schemas.score import Identifiers, Reason
from schemas.time import to_datetime
from scorers.belonging import account_id_of
from scorers.identity import lead_id_of
from streams.view import Change
from tests.streams.view.records import T0, account, alert, change, surge, update
from tests.streams.web.conftest import Web

EVIL = (
    "</script><img src=x onerror=alert(1)>\"'`{{7*7}}${7*7}"
    "\u202egnp.exe\u2066=HYPERLINK(1)"
)
EVIL_ID = lead_id_of("user_id", EVIL)
EVIL_ACCOUNT = account_id_of("account", "evil")


def evil_changes() -> list[Change]:
    reason = Reason(rule="r", group="web", points=9.0, text=EVIL)
    who = msgspec.structs.replace(
        update(
            lead_id=EVIL_ID,
            score=91,
            tier="gold",
            owner=EVIL,
            account_id=EVIL_ACCOUNT,
            identifiers=Identifiers(user_id=(EVIL,)),
        ),
        reasons=(reason,),
        ledger={EVIL: {EVIL: 91.0}},
        grade="A1",
    )
    told = msgspec.structs.replace(
        alert(alert_id="al_evil", lead_id=EVIL_ID),
        alert=EVIL,
        reasons=(reason,),
        next_action=EVIL,
        traits={"company": EVIL, EVIL: EVIL},
        deal_value=DealValue(amount=5.0, currency=EVIL),
        last_events=(
            RecentEvent(at=to_datetime(T0), name=EVIL, channel="web", detail=EVIL),
        ),
        identifiers=Identifiers(user_id=(EVIL,)),
        owner=EVIL,
    )
    group = msgspec.structs.replace(
        surge(), id="al_group", account_id=EVIL_ACCOUNT, reasons=(reason,)
    )
    top = TopMember(lead_id=EVIL_ID, score=91.0, tier="gold")
    firm = msgspec.structs.replace(
        account(account_id=EVIL_ACCOUNT, top=(top,)), name=EVIL, domain=EVIL
    )

    def event(name: str, channel: str, **properties: str) -> Event:
        return msgspec.convert(
            {
                "id": f"{name}{channel}",
                "type": "track",
                "name": name,
                "channel": channel,
                "user_id": EVIL,
                "occurred_at": to_datetime(T0),
                "properties": properties,
            },
            Event,
        )

    events = [
        event(EVIL, "email", link_url=EVIL),
        event("Lead Acknowledged", "crm", by=EVIL, via=EVIL, alert_id=EVIL),
        event("Lead Assigned", "crm", by=EVIL, owner=EVIL),
    ]
    return [change(each) for each in (who, told, group, firm, *events)]


class Tags(HTMLParser):
    """Collects what a browser would make of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.fixture(scope="module")
def evil(web: Web) -> Web:
    web.view.write(web.view.build(), evil_changes(), {})
    return web


PATHS = {
    "now": "/",
    "search": "/?text=onerror",
    "owner": f"/?owner={EVIL[:30]}",
    "lead": f"/leads/{EVIL_ID}",
    "why": f"/leads/{EVIL_ID}/why",
    "accounts": "/accounts",
    "account": f"/accounts/{EVIL_ACCOUNT}",
    "team": "/team",
    "operations": "/operations",
}


@pytest.mark.parametrize("page", sorted(PATHS))
@pytest.mark.parametrize("lang", ["en", "fa"])
def test_it_is_text_on_the_page(evil: Web, page: str, lang: str) -> None:
    """It opens no element, has no handler, turns no line and ends no script."""
    path = PATHS[page]
    client = evil.known("admin")
    separator = "&" if "?" in path else "?"
    answer = client.get(
        f"{path}{separator}lang={lang}", headers={"Accept": "text/html"}
    )
    tags = Tags()
    tags.feed(answer.text)

    assert answer.status_code == 200, answer.text[:500]
    assert not [tag for tag, _ in tags.found if tag == "img"]
    for _, attributes in tags.found:
        assert not [name for name in attributes if name.startswith("on")]
        assert "style" not in attributes
    assert "\u202e" not in _without_boot(answer.text)
    assert "\u2066" not in _without_boot(answer.text)
    assert answer.text.count("</script>") == answer.text.count("<script")


def test_it_comes_through_the_api_as_it_was(evil: Web) -> None:
    """Programs get the very text; that a browser takes it for a page is ruled out."""
    answer = evil.known("viewer").get(f"/api/v1/leads/{EVIL_ID}")

    assert answer.json()["update"]["identifiers"]["user_id"] == [EVIL]
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    listed = evil.known("viewer").get("/api/v1/leads?tier=gold").json()["leads"]
    assert [row["work"]["by"] for row in listed if row["lead_id"] == EVIL_ID] == [EVIL]


def _without_boot(text: str) -> str:
    """Return a page without the data of its scripts, which write it harmless."""
    begin = text.find('<script type="application/json"')
    if begin < 0:
        return text
    end = text.index("</script>", begin)
    json.loads(text[text.index(">", begin) + 1 : end])
    return text[:begin] + text[end:]

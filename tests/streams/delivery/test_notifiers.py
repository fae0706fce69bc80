"""One suite for all notifiers, against real servers on loopback."""

import base64
import email
import email.policy
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import structlog
from prometheus_client import generate_latest
from standardwebhooks.webhooks import Webhook

from streams.notifiers import notifier as notifier_module
from streams.notifiers.mail import Mailbox, MailNotifier
from streams.notifiers.message import Links, Message, Writer
from streams.notifiers.notifier import Notifier, Parcel
from streams.notifiers.pagerduty import PagerDutyNotifier
from streams.notifiers.slack import SlackNotifier
from streams.notifiers.teams import TeamsNotifier
from streams.notifiers.terminal import TerminalNotifier
from streams.notifiers.webhook import WebhookNotifier
from streams.sending_policy import Outcome, Refuse, Retry, Sent
from tests.streams.delivery.alerts import NASTY, alert
from tests.streams.delivery.servers import (
    HttpServer,
    MailServer,
    http_server,
    mail_server,
)

KEY = base64.b64encode(b"a key of twenty-four bytes").decode()
SECRETS = {
    "slack": "xoxb-17-very-secret-token",
    "teams": "very-secret-signature",
    "webhook": f"whsec_{KEY}",
    "pagerduty": "R0UTINGKEYSECRET",
    "email": "hunter2-smtp",
}
LINKS = Links(
    lead="https://crm.example/ada", taken="https://c/w/1", unfit="https://c/w/2"
)


def message(locale: str = "en", **given: Any) -> Message:
    """Return a message on an alert with the given fields."""
    writer = Writer(locale, ZoneInfo("Asia/Tehran"))  # type: ignore[arg-type]
    return writer.write(alert(**given), links=LINKS)


def parcel(*messages: Message, **given: Any) -> Parcel:
    """Return a parcel to Dana."""
    given.setdefault("address", "dana@sales.example")
    return Parcel(messages=messages or (message(),), **given)


@pytest.fixture(scope="module")
def http() -> Iterator[HttpServer]:
    with http_server() as server:
        yield server


@pytest.fixture(scope="module")
def smtp() -> Iterator[MailServer]:
    with mail_server() as server:
        yield server


@pytest.fixture(autouse=True)
def _fresh(http: HttpServer, smtp: MailServer) -> None:
    http.planned.clear()
    http.requests.clear()
    smtp.planned.clear()
    smtp.mails.clear()
    smtp.recipient_replies.clear()


def box(smtp: MailServer, password: str = SECRETS["email"]) -> Mailbox:
    return Mailbox(
        host="127.0.0.1",
        port=smtp.port,
        security="none",
        sender="leadpulse@sales.example",
        user="leadpulse",
        password=password,
    )


@dataclass
class Case:
    """A notifier, what its server says when all is well, and how it is read."""

    name: str
    make: Callable[[str], Notifier]
    """Makes it for a URL."""
    well: tuple[int, bytes, dict[str, str]]
    limited: tuple[int, bytes, dict[str, str]]
    broken: tuple[int, bytes, dict[str, str]]
    locked: tuple[int, bytes, dict[str, str]]
    """Wrong credentials."""
    invalid: tuple[int, bytes, dict[str, str]]
    key: Callable[[Any], str]
    """Finds the idempotency key in a request."""


LATER = {"Retry-After": "7"}


def slack_says(status: int = 200, headers: Any = None, **body: Any) -> Any:
    head = {"Content-Type": "application/json", **(headers or {})}
    return (status, json.dumps(body).encode(), head)


CASES = [
    Case(
        "slack",
        lambda url: SlackNotifier(SECRETS["slack"], "C024BE91L", f"{url}/api/"),
        slack_says(ok=True, channel="C024BE91L", ts="1503435956.000247"),
        slack_says(429, LATER, ok=False, error="ratelimited"),
        (503, b"upstream", {}),
        slack_says(ok=False, error="invalid_auth"),
        slack_says(ok=False, error="invalid_blocks"),
        lambda request: request.json["metadata"]["event_payload"]["key"],
    ),
    Case(
        "teams",
        lambda url: TeamsNotifier(f"{url}/workflows/1?sig={SECRETS['teams']}"),
        (202, b"", {}),
        (429, b"{}", LATER),
        (502, b"", {}),
        (401, b"{}", {}),
        (400, b"{}", {}),
        lambda request: request.headers["x-leadpulse-key"],
    ),
    Case(
        "webhook",
        lambda url: WebhookNotifier(f"{url}/hook", SECRETS["webhook"]),
        (204, b"", {}),
        (429, b"", LATER),
        (500, b"", {}),
        (401, b"", {}),
        (400, b"", {}),
        lambda request: request.headers["webhook-id"],
    ),
    Case(
        "pagerduty",
        lambda url: PagerDutyNotifier(
            SECRETS["pagerduty"], f"{url}/v2/enqueue", "warning"
        ),
        (202, b'{"status": "success", "dedup_key": "k"}', {}),
        (429, b"{}", LATER),
        (500, b"{}", {}),
        (403, b"{}", {}),
        (400, b'{"status": "invalid event"}', {}),
        lambda request: request.json["dedup_key"],
    ),
]
by_http = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])


@by_http
def test_every_answer_has_its_meaning(
    case: Case, http: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sent, later, never: whatever the server says, and no secret is in the answer."""
    monkeypatch.setattr(notifier_module, "ANSWER_SECONDS", 0.3)
    http.usual = case.well
    teller = case.make(http.url)
    answers: list[Outcome] = []
    with structlog.testing.capture_logs() as logs:
        for plan in (
            case.well,
            case.limited,
            case.broken,
            case.locked,
            case.invalid,
            "drop",
        ):
            http.planned.append(plan)
            answers.append(teller.tell(parcel()))

    assert isinstance(answers[0], Sent)
    assert [getattr(each, "reason", "") for each in answers[1:]] == [
        "rate-limited",
        "server-error",
        "credentials",
        "invalid",
        "unreachable",
    ]
    assert isinstance(answers[1], Retry)
    assert answers[1].after == 7
    assert isinstance(answers[4], Refuse)
    assert {case.key(request) for request in http.requests} == {alert().id}
    told = repr(answers) + repr(logs) + generate_latest().decode()
    for hidden in (*SECRETS.values(), "ada@analytical", "Lovelace"):
        assert hidden not in told


@by_http
def test_nobody_waits_for_a_slow_server_for_ever(
    case: Case, http: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that does not answer in time is tried again later."""
    monkeypatch.setattr("streams.notifiers.notifier.ANSWER_SECONDS", 0.2)
    monkeypatch.setattr("streams.notifiers.slack.ANSWER_SECONDS", 1)
    http.usual = case.well
    http.planned.append(1.5 if case.name == "slack" else 0.5)

    answer = case.make(http.url).tell(parcel())

    assert isinstance(answer, Retry)
    assert answer.reason == "timeout"


def test_nothing_listening_is_tried_again() -> None:
    """A refused connection is no fault of the message."""
    tellers = [case.make("http://127.0.0.1:9") for case in CASES]
    away = Mailbox(host="127.0.0.1", port=9, security="none", sender="a@b.example")
    tellers.append(MailNotifier(away))

    answers = [teller.tell(parcel()) for teller in tellers]

    assert {getattr(each, "reason", "") for each in answers} == {"unreachable"}


def test_replies_of_smtp_have_their_meaning(smtp: MailServer) -> None:
    """4xx is later, 5xx is never, a wrong password is for an operator to mend."""
    teller = MailNotifier(box(smtp))
    smtp.planned.extend(["", "451 later", "552 too big", "drop"])
    answers = [teller.tell(parcel()) for _ in range(4)]
    smtp.recipient_replies.extend(["550 no such user", "450 greylisted"])
    answers += [teller.tell(parcel()) for _ in range(2)]
    answers.append(MailNotifier(box(smtp, "wrong-password")).tell(parcel()))

    assert isinstance(answers[0], Sent)
    assert [getattr(each, "reason", "") for each in answers[1:]] == [
        "server-error",
        "invalid",
        "unreachable",
        "unknown-recipient",
        "server-error",
        "credentials",
    ]
    for hidden in ("hunter2", "wrong-password", "dana@", "ada@"):
        assert hidden not in repr(answers)


@pytest.mark.parametrize("locale", ["en", "fa"])
def test_a_mail_is_html_and_text_in_the_reader_s_language(
    smtp: MailServer, locale: str
) -> None:
    """Both parts say who, how hot, why, what next; names full of markup are text."""
    nasty = message(locale, traits={"name": NASTY, "company": "<i>A & B</i>"})
    teller = MailNotifier(box(smtp))
    assert teller.tell(parcel(nasty, parent="al_before")) == Sent(
        str(teller.compose(parcel(nasty))["Message-ID"])
    )

    ((to, raw),) = smtp.mails
    mail = email.message_from_bytes(raw, policy=email.policy.default)
    plain = mail.get_body(("plain",)).get_content()
    html = mail.get_body(("html",)).get_content()
    assert to == ["dana@sales.example"]
    assert mail["X-Leadpulse-Key"] == nasty.key
    assert mail["References"] == mail["In-Reply-To"] != mail["Message-ID"]
    assert "<b>" not in html
    assert "&lt;b&gt;*Love*&lt;/b&gt;" in html
    assert "\u202e" not in plain + html + mail["Subject"]
    assert html.count("<li") == 5
    for part in (plain, html):
        assert "Offer a demo" in part
        assert "Reason number 5" in part
        assert ("۷۲٫۵" if locale == "fa" else "72.5") in part
        assert ("۳۰ آبان ۱۴۰۵" if locale == "fa" else "21 Nov 2026") in part
        assert ("۱۳:۳۰" if locale == "fa" else "13:30") in part
        assert "https://c/w/1" in part
    assert f'dir="{"rtl" if locale == "fa" else "ltr"}"' in html


def test_a_digest_is_one_mail_that_is_stopped_with_one_click(smtp: MailServer) -> None:
    """Several alerts come as one mail with the headers of RFC 8058."""
    several = parcel(
        message(), message(person="grace"), stop_url="https://collect.example/d/x"
    )

    MailNotifier(box(smtp)).tell(several)

    ((_, raw),) = smtp.mails
    mail = email.message_from_bytes(raw, policy=email.policy.default)
    assert mail["Subject"] == "2 alerts for you"
    assert mail["List-Unsubscribe"] == "<https://collect.example/d/x>"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


def test_slack_shows_names_letter_by_letter(http: HttpServer) -> None:
    """No markup, no mention and no link can be made by whoever names a lead."""
    http.usual = CASES[0].well
    nasty = message(traits={"name": NASTY, "company": "<!channel|x> <@U1>"})
    teller = CASES[0].make(http.url)

    answer = teller.tell(parcel(nasty))
    teller.tell(parcel(nasty, handle="C024BE91L/1503435956.000247"))
    teller.show(parcel(nasty, handle="C024BE91L/1503435956.000247"))

    assert answer == Sent("C024BE91L/1503435956.000247")
    posted, threaded, updated = (request.json for request in http.requests)
    assert [request.path for request in http.requests] == [
        "/api/chat.postMessage",
        "/api/chat.postMessage",
        "/api/chat.update",
    ]
    assert "<" not in posted["text"]
    assert not posted["link_names"]
    marked = [block for block in _walk(posted["blocks"]) if block["type"] == "mrkdwn"]
    assert not marked
    names = [
        block["text"]
        for block in _walk(posted["blocks"])
        if block["type"] == "text" and "*Love*" in block["text"]
    ]
    assert len(names) == 1
    assert "\u202e" not in json.dumps(posted, ensure_ascii=False)
    buttons = [block for block in _walk(posted["blocks"]) if block["type"] == "button"]
    assert [each["text"]["text"] for each in buttons] == [
        "I'm on it",
        "Not a fit",
        "Open the lead",
    ]
    assert threaded["thread_ts"] == updated["ts"] == "1503435956.000247"


def _walk(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        if isinstance(value.get("type"), str):
            yield value
        for each in value.values():
            yield from _walk(each)
    elif isinstance(value, list):
        for each in value:
            yield from _walk(each)


def test_a_webhook_is_signed_as_the_specification_says(http: HttpServer) -> None:
    """The reference library verifies it; a changed body it does not."""
    http.usual = (200, b"", {})
    WebhookNotifier(f"{http.url}/hook", f"{SECRETS['webhook']} whsec_b2xka2V5").tell(
        parcel()
    )

    (request,) = http.requests
    body = Webhook(SECRETS["webhook"]).verify(request.body.decode(), request.headers)
    Webhook("whsec_b2xka2V5").verify(request.body.decode(), request.headers)
    assert body["type"] == "leadpulse.alert.hot"
    assert body["data"]["alert"]["id"] == alert().id
    with pytest.raises(Exception, match="No matching signature"):
        Webhook(SECRETS["webhook"]).verify(
            request.body.decode().replace("72.5", "99.5"), request.headers
        )


def test_a_card_in_teams_has_no_markdown_to_read(http: HttpServer) -> None:
    """All texts stand in runs that are shown as they are; Persian from the right."""
    http.usual = (202, b"", {})
    nasty = message("fa", traits={"name": "[click](http://evil.example) **x**"})
    TeamsNotifier(http.url).tell(parcel(nasty))

    content = http.requests[0].json["attachments"][0]["content"]
    assert content["rtl"]
    assert {element["type"] for element in content["body"]} == {"RichTextBlock"}
    assert [action["url"] for action in content["actions"]] == [
        "https://c/w/1",
        "https://c/w/2",
        "https://crm.example/ada",
    ]


def test_an_incident_is_acknowledged_and_resolved_by_the_same_key(
    http: HttpServer,
) -> None:
    """Trigger, acknowledge, resolve: all with the alert's id."""
    http.usual = CASES[3].well
    teller = CASES[3].make(http.url)
    writer = Writer("en", ZoneInfo("UTC"))
    sent = teller.tell(parcel())
    assert isinstance(sent, Sent)
    for shown in ("taken", "ended"):
        teller.show(
            parcel(
                writer.write(alert(), links=Links(), shown=shown),  # type: ignore[arg-type]
                handle=sent.handle,
            )
        )

    bodies = [request.json for request in http.requests]
    assert [body["event_action"] for body in bodies] == [
        "trigger",
        "acknowledge",
        "resolve",
    ]
    assert {body["dedup_key"] for body in bodies} == {alert().id}


def test_the_terminal_shows_no_control_characters() -> None:
    """What stands in a name cannot move the cursor or turn the text around."""
    out = io.StringIO()
    TerminalNotifier(out).tell(parcel(message(traits={"name": f"\x1b[2J{NASTY}"})))

    assert "Hot lead: [2JAda <b>*Love*</b>" in out.getvalue()
    assert not {"\x1b", "\u202e"} & set(out.getvalue())

"""Providers without recordings: what their documentation says they send."""

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from streams.collector.adapters.provider import Envelope, Incoming, Taken
from streams.collector.adapters.registry import PROVIDERS

NOW = 1_795_348_800_000
ADA = "ada@example.com"
BY_NAME = {provider.name: provider for provider in PROVIDERS}
LINK = "https://example.com/pricing"


def taken(name: str, body: Any) -> Taken:
    """Return what the adapter of `name` makes of a body."""
    text, content_type = json.dumps(body), "application/json"
    if name == "mandrill":
        text = urlencode({"mandrill_events": text})
        content_type = "application/x-www-form-urlencoded"
    request = Incoming(
        method="POST",
        url="https://hooks.example/",
        headers={"content-type": content_type},
        query={},
        body=text.encode(),
    )
    return BY_NAME[name].adapt(request, Envelope(source="s", received_at=NOW))


MAILS: list[tuple[str, Any, str, dict[str, Any]]] = [
    (
        "postmark",
        {
            "RecordType": "Click",
            "MessageID": "m",
            "Recipient": ADA,
            "ReceivedAt": "2026-11-01T10:00:00.0000000Z",
            "OriginalLink": LINK,
            "UserAgent": "Mozilla",
            "Geo": {"IP": "192.0.2.1"},
        },
        "Email Link Clicked",
        {"email_id": "m", "link_url": LINK},
    ),
    (
        "postmark",
        {"RecordType": "Bounce", "ID": 4, "Type": "HardBounce", "Email": ADA},
        "Email Bounced",
        {"bounce_type": "hard", "bounce_class": "HardBounce"},
    ),
    (
        "postmark",
        {
            "RecordType": "SubscriptionChange",
            "Recipient": ADA,
            "SuppressSending": True,
            "SuppressionReason": "ManualSuppression",
        },
        "Unsubscribed",
        {"reason": "ManualSuppression"},
    ),
    (
        "brevo",
        {
            "event": "click",
            "email": ADA,
            "message-id": "<m@example.com>",
            "ts_epoch": 1793527200000,
            "link": "https://example.com/guide.pdf",
        },
        "Offer Downloaded",
        {"email_id": "m@example.com", "link_url": "https://example.com/guide.pdf"},
    ),
    (
        "brevo",
        {"event": "proxy_open", "email": ADA, "ts_epoch": 1793527200000},
        "Email Opened",
        {"machine": True, "proxy_open": True},
    ),
    (
        "mandrill",
        [{"event": "open", "ts": 1793527200, "_id": "m", "msg": {"email": ADA}}],
        "Email Opened",
        {"email_id": "m"},
    ),
    (
        "mandrill",
        [{"event": "inbound", "ts": 1793527200, "msg": {"from_email": ADA}}],
        "Email Replied",
        {},
    ),
    (
        "resend",
        {
            "type": "email.clicked",
            "created_at": "2026-11-01T10:00:00Z",
            "data": {"email_id": "m", "to": [ADA], "click": {"link": LINK}},
        },
        "Email Link Clicked",
        {"email_id": "m", "link_url": LINK},
    ),
    (
        "resend",
        {
            "type": "contact.updated",
            "created_at": "2026-11-01T10:00:00Z",
            "data": {"id": "c", "email": ADA, "unsubscribed": True},
        },
        "Unsubscribed",
        {},
    ),
    (
        "mailersend",
        {
            "type": "activity.hard_bounced",
            "data": {
                "id": "a",
                "created_at": "2026-11-01T10:00:00.258000Z",
                "email": {"message": {"id": "m"}, "recipient": {"email": ADA}},
                "morph": {"reason": "no such user"},
            },
        },
        "Email Bounced",
        {"email_id": "m", "bounce_type": "hard", "reason": "no such user"},
    ),
]


@pytest.mark.parametrize(("name", "body", "event", "properties"), MAILS)
def test_mail(name: str, body: object, event: str, properties: dict[str, Any]) -> None:
    """What happened to a mail is an event of its recipient, with what is told."""
    found = taken(name, body)
    assert not found.refused
    (one,) = found.events
    assert (one.name, one.channel, one.email) == (event, "email", ADA)
    assert one.properties == properties
    assert taken(name, body).events[0].id == one.id


def test_who_of_several_is_not_guessed() -> None:
    """A click on a mail to several is nobody's; its delivery is each one's."""
    data = {"email_id": "m", "to": [ADA, "bob@example.com"]}
    delivered = taken("resend", {"type": "email.delivered", "data": data})
    clicked = taken("resend", {"type": "email.clicked", "data": data})
    assert [event.email for event in delivered.events] == data["to"]
    assert [one.rejection.reason for one in clicked.refused] == ["unroutable"]


def acts(found: Taken) -> list[tuple[str, str | None]]:
    """Return what was done by whom."""
    assert all(event.channel == "social" for event in found.events)
    return [(event.name, event.anonymous_id) for event in found.events]


def test_linkedin() -> None:
    """Actions of people on a page's posts, and forms; not those of organizations."""
    actions = {
        "type": "ORGANIZATION_SOCIAL_ACTION_NOTIFICATIONS",
        "notifications": [
            {
                "notificationId": 1,
                "action": "LIKE",
                "sourcePost": "urn:li:share:1",
                "lastModifiedAt": 1793527200000,
                "generatedActivity": "urn:li:like:(urn:li:person:ab,urn:li:share:1)",
            },
            {
                "notificationId": 2,
                "action": "COMMENT",
                "generatedActivity": "urn:li:comment:(urn:li:activity:1,2)",
                "decoratedGeneratedActivity": {
                    "comment": {"owner": "urn:li:person:cd"}
                },
            },
            {
                "notificationId": 3,
                "action": "SHARE",
                "decoratedGeneratedActivity": {
                    "share": {"owner": "urn:li:organization:9"}
                },
            },
            {"notificationId": 4, "action": "ADMIN_COMMENT"},
        ],
    }
    found = taken("linkedin", actions)
    assert acts(found) == [
        ("Post Liked", "linkedin:ab"),
        ("Post Replied", "linkedin:cd"),
    ]
    assert found.ignored == ["organization", "ADMIN_COMMENT"]
    lead = {
        "type": "LEAD_ACTION",
        "leadAction": "CREATED",
        "leadGenFormResponse": "urn:li:leadGenFormResponse:7",
        "leadGenForm": "urn:li:versionedLeadGenForm:(urn:li:leadGenForm:3,1)",
        "occurredAt": 1793527200000,
    }
    assert acts(taken("linkedin", lead)) == [
        ("Form Submitted", "linkedin:lead:urn:li:leadGenFormResponse:7")
    ]


def test_x() -> None:
    """What people do with our account and posts; what we do is passed over."""
    user, we = {"id_str": "5", "screen_name": "ada"}, {"id_str": "9"}
    body = {
        "for_user_id": "9",
        "tweet_create_events": [
            {"id_str": "1", "user": user, "in_reply_to_user_id_str": "9"},
            {"id_str": "2", "user": user, "retweeted_status": {"user": we}},
            {
                "id_str": "3",
                "user": user,
                "entities": {"user_mentions": [{"id_str": "9"}]},
                "created_at": "Sun Nov 01 10:00:00 +0000 2026",
            },
            {"id_str": "4", "user": we},
        ],
        "favorite_events": [
            {"id": "f", "user": user, "favorited_status": {"id_str": "8", "user": we}}
        ],
        "follow_events": [
            {"type": "follow", "source": {"id": "5"}, "target": {"id": "9"}},
            {"type": "unfollow", "source": {"id": "5"}, "target": {"id": "9"}},
        ],
    }
    found = taken("x", body)
    assert acts(found) == [
        (act, "x:5")
        for act in (
            "Post Replied",
            "Post Shared",
            "Mentioned",
            "Post Liked",
            "Followed",
        )
    ]
    assert found.ignored == ["own", "unfollow"]
    assert found.events[2].occurred_at.isoformat() == "2026-11-01T10:00:00+00:00"


def test_meta_lead_with_answers() -> None:
    """A lead form that comes with its answers names the person; its name, the offer."""
    value = {
        "leadgen_id": "7",
        "form_name": "E-book: 12 ways",
        "field_data": [
            {"name": "email", "values": [ADA]},
            {"name": "company_name", "values": ["Acme"]},
        ],
    }
    body = {
        "object": "page",
        "entry": [{"id": "1", "changes": [{"field": "leadgen", "value": value}]}],
    }
    (event,) = taken("meta", body).events
    assert (event.name, event.email) == ("Offer Downloaded", ADA)
    assert event.traits == {"company": "Acme"}
    assert event.anonymous_id == "facebook:lead:7"

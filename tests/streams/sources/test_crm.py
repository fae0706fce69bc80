"""Webhooks of CRM and form tools, and how they are signed."""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from schemas.event import Event
from schemas.topics import DEAD_LETTERS, EVENT_TOPICS
from scorers.outcomes import Outcome, outcome_of, verdict_of
from streams.collector.adapters.crm_signatures import signed_by_hubspot
from streams.collector.adapters.mapped import take
from streams.collector.adapters.provider import Envelope, Incoming
from streams.collector.mapping.files import load_mappings
from streams.collector.mapping.payload import read_payload
from streams.settings import Settings
from tests.conftest import MakeTopics
from tests.shared_data import shared_data, shared_lines
from tests.streams.collector.conftest import running
from tests.worker_harness import read_all

NOW = 1_795_301_200_000
MAPPINGS = load_mappings(None)
KEY = "wk-crm"


def bodies(name: str) -> list[tuple[str, bytes]]:
    """Return the recorded bodies of a file, each with the mapping that reads it."""
    lines = list(shared_lines("webhooks_crm", f"{name}.ndjson"))
    match name:
        case "hubspot_webhooks":
            return [("hubspot", json.dumps(line["payload"]).encode()) for line in lines]
        case "salesforce_cdc_lead_conversion":
            return [("salesforce", json.dumps(line).encode()) for line in lines]
        case "mautic":
            return [("mautic", _mautic(line)) for line in lines]
    return [(name.partition("_")[0], line["body"].encode()) for line in lines]


def _mautic(line: dict[str, Any]) -> bytes:
    payload = line["payload"]
    return json.dumps({f"mautic.{line['event']}": payload}).encode()


RECORDINGS = {
    # file: events, dead letters, passed over
    "hubspot_webhooks": (6, 0, 0),
    "hubspot_adapter_spec": (1, 0, 3),
    "salesforce_cdc_lead_conversion": (5, 0, 1),
    "mautic": (4, 0, 0),
    "unbounce_form_leads": (6, 4, 0),
}


@pytest.fixture
def http(make_topics: MakeTopics) -> Iterator[tuple[httpx.Client, Settings]]:
    """A running collector, and its settings."""
    settings = make_topics(write_keys=f"acme/crm={KEY}", collector_port=0)
    with running(settings) as (client, _):
        yield client, settings


@pytest.mark.parametrize("name", RECORDINGS)
def test_recorded_webhooks_are_taken(
    name: str, http: tuple[httpx.Client, Settings]
) -> None:
    """Every recorded webhook is answered with 200, and nothing of it is lost."""
    collector, settings = http
    told = {"accepted": 0, "ignored": 0}
    for provider, body in bodies(name):
        answer = collector.post(f"/v1/webhooks/{provider}/{KEY}", content=body)
        assert answer.status_code == 200, answer.text
        for each in told:
            told[each] += answer.json()[each]

    events = [
        msgspec.json.decode(record.value() or b"", type=Event)
        for topic in EVENT_TOPICS
        for record in read_all(settings, topic)
    ]
    letters = len(read_all(settings, DEAD_LETTERS))
    assert (len(events), letters, told["ignored"]) == RECORDINGS[name]
    assert len(events) == told["accepted"]
    assert all((one.workspace, one.source) == ("acme", "crm") for one in events)


BECOME = {
    "hubspot_webhooks": ["identify"] * 5 + ["Stage Changed"],
    "hubspot_adapter_spec": ["identify"],
    "salesforce_cdc_lead_conversion": [
        "identify",
        "identify",
        "Stage Changed",
        "Lead Qualified",
        "alias",
    ],
    "mautic": ["identify", "Mautic Points Changed", "Email Opened", "PageHit"],
    "unbounce_form_leads": ["Form Submitted"] * 6,
}


@pytest.mark.parametrize("name", RECORDINGS)
def test_recorded_webhooks_become_the_right_events(name: str) -> None:
    """Each webhook becomes events of the right names, in order, about somebody."""
    envelope = Envelope(source="crm", received_at=NOW)
    events: list[Event] = []
    for provider, body in bodies(name):
        events += take(MAPPINGS[provider], read_payload(body), envelope).events

    assert [event.name or event.type for event in events] == BECOME[name]
    people = "hubspot:", "salesforce:", "mautic:"
    for event in events:
        assert (event.user_id or event.anonymous_id or "").startswith(people) or (
            event.email is not None
        )


def events_of(mapping: str, payload: object) -> list[Event]:
    envelope = Envelope(source="crm", received_at=NOW)
    taken = take(MAPPINGS[mapping], payload, envelope)
    assert not taken.refused, taken.refused
    return taken.events


def in_deal(**changes: Any) -> dict[str, Any]:
    """Return what Pipedrive posts when a deal changed."""
    deal = {
        "id": 9,
        "person_id": 4,
        "status": "open",
        "stage_id": 2,
        "value": 900,
        "currency": "EUR",
        "owner_id": 7,
        "update_time": "2026-11-21T10:00:00Z",
    }
    previous = {name: deal[name] for name in changes}
    meta = {"action": "change", "entity": "deal", "id": "w1", "timestamp": "t"}
    return {"meta": meta, "data": {**deal, **changes}, "previous": previous}


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"status": "won"}, "Deal Won"),
        ({"status": "lost", "stage_id": 3}, "Deal Lost"),
        ({"stage_id": 3}, "Stage Changed"),
        ({"owner_id": 8}, "Lead Assigned"),
        ({"value": 1200}, "Budget Stated"),
    ],
)
def test_what_changed_at_a_deal_is_what_is_told(
    changes: dict[str, Any], name: str
) -> None:
    """A change of a Pipedrive deal is the event of what changed, and no other."""
    (event,) = events_of("pipedrive", in_deal(**changes))

    assert (event.name, event.user_id, event.channel) == (name, "pipedrive:4", "crm")
    assert event.properties["currency"] == "EUR"


def test_a_deal_of_pipedrive_is_reopened_and_corrected() -> None:
    """What was closed can be open again; a won deal's amount can change."""
    again = in_deal(status="open")
    again["previous"] = {"status": "lost"}
    corrected = in_deal(status="won", value=1200)
    corrected["previous"] = {"value": 900}

    (opened,) = events_of("pipedrive", again)
    told = {each.name: outcome_of(each) for each in events_of("pipedrive", corrected)}

    assert opened.name == "Deal Reopened"
    word = told["Deal Corrected"]
    assert word is not None
    assert (word.deal, word.amount, word.currency) == ("9", 1200.0, "EUR")


def recorded(name: str, number: int) -> dict[str, Any]:
    """Return the payload of a recorded webhook."""
    line = list(shared_lines("webhooks_crm", f"{name}.ndjson"))[number]
    payload: dict[str, Any] = line["payload"]
    return payload


def outcomes_of(mapping: str, payload: object) -> list[Outcome]:
    found = [outcome_of(event) for event in events_of(mapping, payload)]
    return [each for each in found if each is not None]


def test_hubspots_recorded_change_of_stage_to_customer_is_a_won_deal() -> None:
    """A contact that becomes a customer was won; its amount follows on its own."""
    (change,) = recorded("hubspot_webhooks", 5)
    assert change["propertyName"] == "lifecyclestage"
    customer = {**change, "propertyValue": "customer"}
    amount = {
        **change,
        "eventId": 457,
        "propertyName": "recent_deal_amount",
        "propertyValue": "1200.50",
    }

    assert outcomes_of("hubspot", [change]) == []
    events = events_of("hubspot", [customer])
    assert [each.name for each in events] == ["Stage Changed", "Deal Won"]
    assert len({each.id for each in events}) == 2
    for told in ([customer, amount], [amount, customer]):
        outcomes = outcomes_of("hubspot", told)
        verdict = verdict_of(outcomes, 0, NOW)
        assert verdict is not None
        assert (verdict.won, verdict.amount) == (True, 1200.5)


@pytest.mark.parametrize(
    ("status", "kind"),
    [("OPEN_DEAL", "qualified"), ("UNQUALIFIED", "disqualified")],
)
def test_hubspots_recorded_change_of_status(status: str, kind: str) -> None:
    """A lead's status qualifies it, or says that nothing will come of it."""
    (change,) = recorded("hubspot_webhooks", 5)
    told = {**change, "propertyName": "hs_lead_status", "propertyValue": status}

    assert [each.kind for each in outcomes_of("hubspot", [told])] == [kind]


def test_salesforces_recorded_opportunity_through_its_life() -> None:
    """It is won, its amount corrected, reopened and lost, of whatever stage's name."""
    opened = {**recorded("salesforce_cdc_lead_conversion", 1), "ContactId": "003y"}
    nothing = dict.fromkeys(opened)

    def changed(number: int, **fields: Any) -> dict[str, Any]:
        header = {
            **opened["ChangeEventHeader"],
            "changeType": "UPDATE",
            "sequenceNumber": number,
            "commitTimestamp": opened["ChangeEventHeader"]["commitTimestamp"] + number,
        }
        fields = {"ChangeEventHeader": header, "ContactId": "003y", **fields}
        return {"payload": {**nothing, **fields}}

    won = changed(
        1,
        StageName="Signed",
        IsClosed=True,
        IsWon=True,
        Amount=500.0,
        CurrencyIsoCode="EUR",
    )
    corrected = changed(2, Amount=450.0)
    again = changed(3, StageName="Talks", IsClosed=False, IsWon=False)
    lost = changed(4, StageName="Gone", IsClosed=True, LossReason__c="price")
    told = [outcomes_of("salesforce", each) for each in (won, corrected, again, lost)]

    assert outcomes_of("salesforce", {"payload": opened}) == []
    assert [[each.kind for each in some] for some in told] == [
        ["won"],
        ["corrected"],
        ["reopened"],
        ["lost"],
    ]
    assert {each.deal for some in told for each in some} == {"0065f00000UloqVAAR"}
    verdict = verdict_of([*told[0], *told[1]], 0, NOW)
    assert verdict is not None
    assert (verdict.amount, verdict.currency) == (450.0, "EUR")
    ended = verdict_of([each for some in told for each in some], 0, NOW)
    assert ended is not None
    assert (ended.won, ended.reason) == (False, "price")


@pytest.mark.parametrize("status", ["Closed - Not Converted", "Working - Contacted"])
def test_salesforces_recorded_lead_can_be_disqualified(status: str) -> None:
    """A lead that is closed and not converted is disqualified; others are not."""
    lead = {**recorded("salesforce_cdc_lead_conversion", 2), "Status": status}
    lead |= {"IsConverted": None, "ConvertedContactId": None}

    kinds = [each.kind for each in outcomes_of("salesforce", {"payload": lead})]

    assert kinds == (["disqualified"] if status.startswith("Closed") else [])


def test_marketos_template_tells_outcomes() -> None:
    """A campaign that posts a won deal says which, for how much, and in which money."""
    posted = {
        "event": "deal_won",
        "lead": 17,
        "at": "2026-11-21T10:00:00Z",
        "deal_id": 5,
        "amount": "1,200",
        "currency": "EUR",
    }
    (outcome,) = outcomes_of("marketo", posted)

    assert (outcome.kind, outcome.deal) == ("won", "5")
    assert (outcome.amount, outcome.currency) == (1200.0, "EUR")


def test_calls_and_meetings_count_when_they_are_done() -> None:
    """A planned call is nothing; one that took place is logged."""
    call = {"id": 3, "type": "call", "person_id": 4, "subject": "Intro"}
    meta = {"action": "change", "entity": "activity", "id": "w2"}
    planned = {"meta": meta, "data": {**call, "done": False}, "previous": None}
    done = {"meta": meta, "data": {**call, "done": True}, "previous": None}
    meeting = {**done, "data": {**call, "done": True, "type": "meeting"}}

    assert events_of("pipedrive", planned) == []
    assert [each.name for each in events_of("pipedrive", done)] == ["Call Logged"]
    assert [each.name for each in events_of("pipedrive", meeting)] == ["Meeting Held"]


@pytest.mark.parametrize(
    ("stage", "name"),
    [
        ("Closed Won", "Deal Won"),
        ("Closed Lost", "Deal Lost"),
        ("Proposal", "Stage Changed"),
    ],
)
def test_salesforce_opportunities_of_a_contact(stage: str, name: str) -> None:
    """An opportunity that names its contact tells that person's stage and outcome."""
    header = {
        "entityName": "Opportunity",
        "recordIds": ["006x"],
        "changeType": "UPDATE",
    }
    header |= {"transactionKey": "k", "sequenceNumber": 1, "commitTimestamp": NOW - 5}  # type: ignore[dict-item]
    change = {"ChangeEventHeader": header, "StageName": stage, "Amount": 10}
    (event,) = events_of("salesforce", {"payload": {**change, "ContactId": "003y"}})

    assert (event.name, event.user_id) == (name, "salesforce:003y")
    assert event.properties == {"stage": stage, "amount": 10, "deal": "006x"}


def test_a_form_response_of_typeform() -> None:
    """Answers are traits under their questions' refs; the address says who."""
    response = {
        "form_id": "lT4Z3j",
        "token": "a3a12ec6",
        "submitted_at": "2026-11-21T18:17:02Z",
        "definition": {"title": "Webinar"},
        "hidden": {"campaign": "spring"},
        "answers": [
            {"type": "email", "email": "ada@example.com", "field": {"ref": "mail"}},
            {"type": "text", "text": "CTO", "field": {"ref": "jobTitle"}},
            {"type": "choice", "choice": {"label": "50-99"}, "field": {"ref": "size"}},
        ],
    }
    (event,) = events_of("typeform", {"event_id": "e1", "form_response": response})

    assert (event.id, event.name) == ("typeform-e1", "Form Submitted")
    assert (event.email, event.anonymous_id) == ("ada@example.com", "typeform:a3a12ec6")
    assert event.traits["job_title"] == "CTO"
    assert event.traits["size"] == "50-99"
    assert event.properties["campaign"] == "spring"


def test_marketos_template() -> None:
    """What the template of the mapping posts is the campaign's event."""
    posted = {
        "event": "stage_changed",
        "lead": 17,
        "email": "ada@example.com",
        "at": "2026-11-21T10:00:00Z",
        "stage": "SQL",
        "budget": "5,000",
        "owner": "null",
    }
    (event,) = events_of("marketo", posted)

    assert (event.name, event.user_id) == ("Stage Changed", "marketo:17")
    assert event.properties == {"stage": "SQL", "amount": 5000.0}
    assert event.traits == {"lifecycle_stage": "SQL", "budget": 5000.0}


def vectors() -> dict[str, Any]:
    text = shared_data("webhooks_crm", "hubspot_signature_vectors.json").read_text()
    found: dict[str, Any] = json.loads(text)
    return found


def from_hubspot(signature: dict[str, str], **changes: Any) -> Incoming:
    known = vectors()
    fields = {
        "method": known["http_method"],
        "url": known["url"],
        "body": known["request_body"].encode(),
        "query": {},
        "headers": signature,
        **changes,
    }
    return Incoming(**fields)


def by_scheme(scheme: str) -> dict[str, str]:
    known = vectors()
    if scheme == "v3":
        timestamp = str(known["timestamp"])
        return {
            "x-hubspot-signature-v3": known["v3"],
            "x-hubspot-request-timestamp": timestamp,
        }
    return {
        "x-hubspot-signature": known[scheme],
        "x-hubspot-signature-version": scheme,
    }


@pytest.mark.parametrize("scheme", ["v1", "v2", "v3"])
def test_hubspots_vectors_hold(scheme: str) -> None:
    """HubSpot's own vectors verify; anything changed, or another secret, does not."""
    secret = vectors()["client_secret"]
    signature = by_scheme(scheme)

    assert signed_by_hubspot(from_hubspot(signature), secret)
    assert not signed_by_hubspot(from_hubspot(signature), "another")
    assert not signed_by_hubspot(from_hubspot(signature, body=b"{}"), secret)
    assert not signed_by_hubspot(from_hubspot({}), secret)
    if scheme != "v1":
        assert not signed_by_hubspot(from_hubspot(signature, method="PUT"), secret)
        other = from_hubspot(signature, url="https://x.example/")
        assert not signed_by_hubspot(other, secret)


def test_hubspots_get_without_a_body_is_signed_as_well() -> None:
    """Version 2 signs an empty body, too."""
    known = vectors()
    signature = {**by_scheme("v2"), "x-hubspot-signature": known["v2_get_empty_body"]}
    request = from_hubspot(signature, method="GET", body=b"")

    assert signed_by_hubspot(request, known["client_secret"])


CREATED = json.dumps(
    [
        {
            "eventId": 1,
            "portalId": 2,
            "objectId": 3,
            "occurredAt": 1_700_000_000_000,
            "subscriptionType": "contact.creation",
        }
    ]
).encode()


@pytest.mark.parametrize("late", [False, True], ids=["in time", "too late"])
def test_a_signed_webhook_of_hubspot(make_topics: MakeTopics, *, late: bool) -> None:
    """With a secret, what is signed in time is taken; the rest gets 401."""
    settings = make_topics(
        write_keys=f"crm={KEY}",
        webhook_secrets="hubspot=s3cret",
        public_url="https://collect.example",
        collector_port=0,
    )
    path = f"/v1/webhooks/hubspot/{KEY}"
    at = str(settings.clock().now() - (600_000 if late else 0))
    message = f"POSThttps://collect.example{path}".encode() + CREATED + at.encode()
    digest = hmac.digest(b"s3cret", message, hashlib.sha256)
    headers = {
        "X-HubSpot-Signature-v3": base64.b64encode(digest).decode(),
        "X-HubSpot-Request-Timestamp": at,
    }
    with running(settings) as (client, _):
        signed = client.post(path, content=CREATED, headers=headers)
        unsigned = client.post(path, content=CREATED)

    assert signed.status_code == (401 if late else 200), signed.text
    assert unsigned.status_code == 401


def test_a_signed_webhook_of_typeform(make_topics: MakeTopics) -> None:
    """With a secret, only what Typeform signed is taken."""
    settings = make_topics(
        write_keys=f"crm={KEY}", webhook_secrets="typeform=s3cret", collector_port=0
    )
    body = json.dumps({"form_response": {"token": "t"}}).encode()
    digest = hmac.digest(b"s3cret", body, hashlib.sha256)
    headers = {"Typeform-Signature": f"sha256={base64.b64encode(digest).decode()}"}
    path = f"/v1/webhooks/typeform/{KEY}"
    with running(settings) as (client, _):
        signed = client.post(path, content=body, headers=headers)
        changed = client.post(path, content=body + b" ", headers=headers)

    assert (signed.status_code, changed.status_code) == (200, 401)


def test_a_mapping_of_ones_own_has_a_webhook(
    make_topics: MakeTopics, tmp_path: Path
) -> None:
    """A file in the folder is a webhook: JSON, forms and multipart forms are read."""
    (tmp_path / "calls.yaml").write_text(
        "mapping: calls\nevents:\n  - {when: mail, name: Call Logged, email: mail}\n",
        "utf-8",
    )
    settings = make_topics(
        write_keys=f"acme/desk={KEY}", mappings_dir=tmp_path, collector_port=0
    )
    path = f"/v1/webhooks/calls/{KEY}"
    with running(settings) as (client, _):
        answers = [
            client.post(path, json={"mail": "a@example.com"}),
            client.post(path, data={"mail": "b@example.com"}),
            client.post(path, files={"mail": (None, "c@example.com")}),
            client.post("/v1/webhooks/calls", json={}, auth=(KEY, "")),
        ]
        broken = client.post(path, content=b"{")
        unknown = client.post("/v1/webhooks/calls/nobody", json={})

    assert [each.json()["accepted"] for each in answers] == [1, 1, 1, 0]
    assert answers[-1].json()["ignored"] == 1
    assert (broken.status_code, unknown.status_code) == (400, 401)
    (topic,) = [each for each in EVENT_TOPICS if each.name.startswith("crm")]
    events = [
        msgspec.json.decode(record.value() or b"", type=Event)
        for record in read_all(settings, topic)
    ]
    assert {each.email for each in events} == {
        "a@example.com",
        "b@example.com",
        "c@example.com",
    }
    assert {each.workspace for each in events} == {"acme"}

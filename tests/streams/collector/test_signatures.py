"""Signatures by the providers' published schemes, challenges, and what is too old."""

import asyncio
import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from standardwebhooks import Webhook

from schemas.time import Instant, to_instant
from streams.collector.adapters.provider import Incoming, Reply, Trust
from streams.collector.adapters.registry import PROVIDERS
from streams.collector.fetching import Fetching
from streams.collector.verdict import RefusedError
from tests.shared_data import shared_data

NOW = to_instant(datetime(2026, 11, 22, 12, tzinfo=UTC))
BY_NAME = {provider.name: provider for provider in PROVIDERS}


async def nowhere(url: str) -> bytes:
    """Refuse to fetch: nothing should be."""
    raise OSError(url)


def post(body: bytes = b"{}", method: str = "POST", **rest: dict[str, str]) -> Incoming:
    return Incoming(
        method=method,
        url=str(rest.get("url", "https://hooks.example/v1/webhooks/x")),
        headers=rest.get("headers", {}),
        query=rest.get("query", {}),
        body=body,
    )


def guarded(
    name: str,
    request: Incoming,
    *secrets: str,
    window: int | None = None,
    now: Instant = NOW,
    fetching: Fetching | None = None,
) -> Reply | None:
    guard = BY_NAME[name].guard
    assert guard is not None
    trust = Trust(
        secrets=secrets,
        write_key="wk",
        now=now,
        fetch=fetching or Fetching(nowhere),
        window_seconds=window,
    )
    return asyncio.run(_awaited(guard(request, trust)))


async def _awaited(reply: object) -> Reply | None:
    return await reply  # type: ignore[misc]


def refused(name: str, request: Incoming, *secrets: str, **more: int) -> str:
    with pytest.raises(RefusedError) as refusal:
        guarded(name, request, *secrets, **more)
    assert 400 <= refusal.value.status < 500
    return refusal.value.reason


def test_sendgrid_vector() -> None:
    """SendGrid's own vector verifies; each of its invalid variants is refused."""
    vector = json.loads(
        shared_data(
            "webhooks_email", "sendgrid_signature_vector_single.json"
        ).read_text("utf-8")
    )
    headers = {name.lower(): value for name, value in vector["headers"].items()}
    body = vector["body"].encode()
    key = vector["public_key_base64_der"]
    wrong = vector["invalid_variants"]
    signature = "x-twilio-email-event-webhook-signature"
    timestamp = "x-twilio-email-event-webhook-timestamp"

    signed = post(body, headers=headers)
    assert guarded("sendgrid", signed, key, window=0) is None
    assert guarded("sendgrid", signed, wrong["wrong_public_key"], key, window=0) is None
    assert refused("sendgrid", signed, key) == "stale-signature"
    for request, with_key in [
        (signed, wrong["wrong_public_key"]),
        (signed, "no key"),
        (post(body, headers={**headers, signature: wrong["wrong_signature"]}), key),
        (post(body, headers={**headers, timestamp: wrong["wrong_timestamp"]}), key),
        (post(wrong["wrong_body"].encode(), headers=headers), key),
        (post(body), key),
    ]:
        assert refused("sendgrid", request, with_key, window=0) == "bad-signature"


HMACS = [
    ("mailtrap", "mailtrap-signature", lambda d: d.hex(), b""),
    ("mailersend", "signature", lambda d: d.hex(), b""),
    ("meta", "x-hub-signature-256", lambda d: f"sha256={d.hex()}", b""),
    ("linkedin", "x-li-signature", lambda d: d.hex(), b"hmacsha256="),
    (
        "x",
        "x-twitter-webhooks-signature",
        lambda d: f"sha256={base64.b64encode(d).decode()}",
        b"",
    ),
]


@pytest.mark.parametrize(("name", "header", "told", "salt"), HMACS)
def test_hmac_of_the_body(name: str, header: str, told, salt: bytes) -> None:  # type: ignore[no-untyped-def]
    """The HMAC of the body in the provider's header; any other body is refused."""
    body = b'{"object": "page"}'
    digest = hmac.digest(b"secret", salt + body, hashlib.sha256)
    signed = post(body, headers={header: told(digest)})

    assert guarded(name, signed, "secret") is None
    assert guarded(name, signed, "the next one", "secret") is None
    assert guarded(name, post(body)) is None  # no secret: by the write key alone
    assert refused(name, signed, "another") == "bad-signature"
    assert refused(name, post(body), "secret") == "bad-signature"
    other = post(body + b" ", headers={header: told(digest)})
    assert refused(name, other, "secret") == "bad-signature"


def test_standard_webhooks() -> None:
    """What the standard's own library signs verifies, for five minutes."""
    secret = "whsec_" + base64.b64encode(b"0123456789abcdef0123").decode()
    sent = datetime(2026, 11, 22, 11, 58, tzinfo=UTC)
    body = b'{"type": "email.sent"}'
    signature = Webhook(secret).sign("msg_1", sent, body.decode())
    headers = {
        "svix-id": "msg_1",
        "svix-timestamp": str(int(sent.timestamp())),
        "svix-signature": f"v1,AAAA {signature}",
    }

    assert guarded("resend", post(body, headers=headers), secret) is None
    assert refused("resend", post(b"{}", headers=headers), secret) == "bad-signature"
    assert refused("resend", post(body), secret) == "bad-signature"
    late = NOW + 600_000
    assert refused("resend", post(body, headers=headers), secret, now=late) == (
        "stale-signature"
    )
    early = NOW - 600_000
    assert refused("resend", post(body, headers=headers), secret, now=early) == (
        "stale-signature"
    )


def test_mandrill() -> None:
    """HMAC-SHA1 over the pasted URL and the fields; HEAD asks whether we are there."""
    url = "https://hooks.example/v1/webhooks/mandrill/wk"
    digest = hmac.digest(b"key", f"{url}mandrill_events[]".encode(), hashlib.sha1)
    headers = {
        "content-type": "application/x-www-form-urlencoded",
        "x-mandrill-signature": base64.b64encode(digest).decode(),
    }
    request = Incoming(
        method="POST",
        url=url,
        headers=headers,
        query={},
        body=b"mandrill_events=%5B%5D",
    )

    assert guarded("mandrill", request, "key") is None
    assert refused("mandrill", request, "other") == "bad-signature"
    elsewhere = post(request.body, headers=headers)
    assert refused("mandrill", elsewhere, "key") == "bad-signature"
    assert guarded("mandrill", post(method="HEAD"), "key") == Reply()


def test_challenges() -> None:
    """Each network's challenge is answered as it is published, and nobody else's."""
    asked = {"hub.mode": "subscribe", "hub.verify_token": "wk", "hub.challenge": "117"}
    reply = guarded("meta", post(method="GET", query=asked))
    assert reply == Reply(body=b"117", content_type="text/plain")
    for wrong in ({"hub.verify_token": "x"}, {"hub.challenge": "<script>"}):
        refused("meta", post(method="GET", query={**asked, **wrong}))

    code = "890e4665-4dfe-4ab1-b689-ed553bceeed0"
    reply = guarded("linkedin", post(method="GET", query={"challengeCode": code}), "s")
    assert reply is not None
    assert json.loads(reply.body) == {
        "challengeCode": code,
        "challengeResponse": hmac.digest(b"s", code.encode(), "sha256").hex(),
    }
    refused("linkedin", post(method="GET"), "s")
    refused("linkedin", post(method="GET", query={"challengeCode": code}))

    reply = guarded("x", post(method="GET", query={"crc_token": "abc"}), "s")
    assert reply is not None
    digest = base64.b64encode(hmac.digest(b"s", b"abc", "sha256")).decode()
    assert json.loads(reply.body) == {"response_token": f"sha256={digest}"}
    refused("x", post(method="GET"), "s")


class Amazon:
    """A signer as Amazon SNS is one, with a certificate of its own."""

    def __init__(self) -> None:
        """Make key and certificate."""
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
        self.pem = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self.key.public_key())
            .serial_number(1)
            .not_valid_before(datetime(2026, 11, 1, tzinfo=UTC))
            .not_valid_after(datetime(2026, 11, 1, tzinfo=UTC) + timedelta(days=60))
            .sign(self.key, SHA256())
            .public_bytes(Encoding.PEM)
        )
        self.asked: list[str] = []

    async def get(self, url: str) -> bytes:
        """Return the certificate, or confirm; and remember what was asked for."""
        self.asked.append(url)
        return self.pem if url.endswith(".pem") else b"<ok/>"

    def message(self, version: str = "2", **given: str) -> dict[str, str]:
        """Return a signed message."""
        message = {
            "Type": "Notification",
            "MessageId": "m-1",
            "TopicArn": "arn:aws:sns:eu-west-1:1:mail",
            "Message": "{}",
            "Timestamp": "2026-11-22T11:59:00.000Z",
            "SignatureVersion": version,
            "SigningCertURL": "https://sns.eu-west-1.amazonaws.com/Simple-1.pem",
            **given,
        }
        names = ["Message", "MessageId", "Timestamp", "TopicArn", "Type"]
        if message["Type"] == "Notification":
            names = sorted([*names, *(["Subject"] if "Subject" in message else [])])
        else:
            names = sorted([*names, "SubscribeURL", "Token"])
        text = "".join(f"{name}\n{message[name]}\n" for name in names)
        algorithm = SHA1() if version == "1" else SHA256()  # noqa: S303 - theirs
        signature = self.key.sign(text.encode(), padding.PKCS1v15(), algorithm)
        return {**message, "Signature": base64.b64encode(signature).decode()}


@pytest.mark.parametrize("version", ["1", "2"])
def test_amazon_sns(version: str) -> None:
    """What SNS signs passes, by one look at its certificate; the rest is refused."""
    amazon = Amazon()
    fetching = Fetching(amazon.get)

    def told(message: dict[str, str], *topics: str, **more: int) -> object:
        request = post(json.dumps(message).encode())
        try:
            return guarded("amazon_ses", request, *topics, fetching=fetching, **more)
        except RefusedError as refusal:
            return refusal.reason

    message = amazon.message(version)
    with_subject = amazon.message(version, Subject="Hello")
    assert told(message) is None
    assert told(with_subject) is None
    assert told(message, message["TopicArn"]) is None
    assert told(message, "arn:aws:sns:eu-west-1:1:other") == "unknown-topic"
    assert amazon.asked == [message["SigningCertURL"]]
    for wrong in (
        {"Message": "[]"},
        {"Signature": "AAAA"},
        {"Signature": "?"},
        {"SignatureVersion": "3"},
        {"SigningCertURL": "https://sns.eu-west-1.amazonaws.com.evil.example/a.pem"},
        {"SigningCertURL": "http://sns.eu-west-1.amazonaws.com/a.pem"},
    ):
        assert told({**message, **wrong}) == "bad-signature", wrong
    assert told(message, now=NOW + 7_200_000) == "stale-signature"
    assert told(message, now=NOW + 90 * 86_400_000, window=0) == "bad-signature"
    assert len(amazon.asked) == 1


def test_a_subscription_is_confirmed() -> None:
    """A signed wish to subscribe is confirmed, at Amazon and nowhere else."""
    amazon = Amazon()
    url = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=t"
    wish = {"Type": "SubscriptionConfirmation", "Token": "t", "SubscribeURL": url}
    body = json.dumps(amazon.message(**wish)).encode()

    reply = guarded("amazon_ses", post(body), fetching=Fetching(amazon.get))

    assert reply is not None
    assert reply.status == 200
    assert amazon.asked[-1] == url
    elsewhere = json.dumps(amazon.message(**{**wish, "SubscribeURL": "https://e.x/"}))
    with pytest.raises(RefusedError, match="not an address of Amazon"):
        guarded("amazon_ses", post(elsewhere.encode()), fetching=Fetching(amazon.get))

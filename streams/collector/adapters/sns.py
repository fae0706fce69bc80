"""Amazon SNS: its envelope, its signature (versions 1 and 2), its subscriptions."""

import base64
import re
from typing import Final
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256

from schemas.time import to_datetime
from streams.collector.adapters.fields import JsonObject, read_object, text, when
from streams.collector.adapters.provider import Incoming, Reply, Trust
from streams.collector.adapters.signatures import (
    bad_signature,
    require_recent,
    same,
)
from streams.collector.verdict import RefusedError

_HOST: Final = re.compile(r"sns\.[a-z0-9-]{2,30}\.amazonaws\.com(\.cn)?")
_NOTIFICATION: Final = (
    "Message",
    "MessageId",
    "Subject",
    "Timestamp",
    "TopicArn",
    "Type",
)
_CONFIRMATION: Final = (
    "Message",
    "MessageId",
    "SubscribeURL",
    "Timestamp",
    "Token",
    "TopicArn",
    "Type",
)
_HASHES: Final = {"1": SHA1, "2": SHA256}
_WINDOW_SECONDS: Final = 3_600
"""SNS repeats for an hour at most what was not taken."""


async def guard(request: Incoming, trust: Trust) -> Reply | None:
    """Let pass what SNS has signed, of the topics that are named; confirm to it.

    The secrets are the ARNs of the topics that may send; any topic, if there are none.
    """
    message = read_object(request.body)
    verdicts = [same(topic, text(message, "TopicArn")) for topic in trust.secrets]
    if trust.secrets and not any(verdicts):
        msg = "this topic may not send here; see LEADPULSE_WEBHOOK_SECRETS"
        raise RefusedError(403, "unknown-topic", msg)
    if not trust.unsigned:
        await _require_signature(message, trust)
        require_recent(when(text(message, "Timestamp")), trust, _WINDOW_SECONDS)
    match text(message, "Type"):
        case "SubscriptionConfirmation":
            await _confirm(message, trust)
            return Reply(body=b'{"success":true,"confirmed":true}')
        case "UnsubscribeConfirmation":
            return Reply(body=b'{"success":true}')
        case _:
            return None


async def _confirm(message: JsonObject, trust: Trust) -> None:
    url = text(message, "SubscribeURL")
    if url is None or not is_of_amazon(url):
        msg = "SubscribeURL is not an address of Amazon SNS"
        raise RefusedError(400, "invalid-event", msg)
    try:
        await trust.fetch.get(url)
    except OSError as error:
        msg = f"the subscription could not be confirmed: {error}"
        raise RefusedError(503, "not-confirmed", msg) from None


async def _require_signature(message: JsonObject, trust: Trust) -> None:
    url = text(message, "SigningCertURL") or text(message, "SigningCertUrl")
    if url is None or not is_of_amazon(url):
        raise bad_signature()
    try:
        pem = await trust.fetch.kept(url)
    except OSError as error:
        msg = f"the certificate of Amazon SNS could not be had: {error}"
        raise RefusedError(503, "no-certificate", msg) from None
    if not is_signed(message, pem, trust):
        raise bad_signature()


def is_of_amazon(url: str) -> bool:
    """Say whether a URL is one of Amazon SNS itself, by HTTPS.

    >>> is_of_amazon("https://sns.us-east-1.amazonaws.com/a.pem")
    True
    >>> is_of_amazon("https://sns.us-east-1.amazonaws.com.evil.example/a.pem")
    False
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    return (
        parts.scheme == "https"
        and port in {None, 443}
        and parts.username is None
        and _HOST.fullmatch(parts.hostname or "") is not None
    )


def is_signed(message: JsonObject, pem: bytes, trust: Trust) -> bool:
    """Say whether the key of a certificate in force has signed a message."""
    algorithm = _HASHES.get(text(message, "SignatureVersion") or "")
    if algorithm is None:
        return False
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        signature = base64.b64decode(text(message, "Signature") or "", validate=True)
    except ValueError:
        return False
    now = to_datetime(trust.now)
    key = certificate.public_key()
    if not (
        certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc
    ) or not isinstance(key, rsa.RSAPublicKey):
        return False
    try:
        key.verify(signature, _signed_text(message), padding.PKCS1v15(), algorithm())
    except InvalidSignature:
        return False
    return True


def _signed_text(message: JsonObject) -> bytes:
    confirms = text(message, "Type") != "Notification"
    lines = []
    for name in _CONFIRMATION if confirms else _NOTIFICATION:
        # The text itself: `text` would cut a long one.
        value = message.get(name)
        if isinstance(value, str):
            lines.append(f"{name}\n{value}\n")
    return "".join(lines).encode()

"""Webhooks by the Standard Webhooks specification, for any system that takes them."""

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from streams.errors import UserError
from streams.notifiers.layout import as_text
from streams.notifiers.message import Message
from streams.notifiers.notifier import JsonPoster, Parcel
from streams.sending_policy import Outcome, Sent

_PREFIX: Final = "whsec_"
_encode: Final = msgspec.json.Encoder().encode


class WebhookSecretError(UserError):
    """A secret is not one that webhooks can be signed with."""

    exit_code = 2


class WebhookNotifier:
    """Posts each alert, signed; the id of a webhook is that of its alert."""

    shows_state = False
    """Whoever listens hears of the end of an episode by an alert of its own."""

    def __init__(
        self, url: str, secret: str, *, now: Callable[[], float] = time.time
    ) -> None:
        """Post to `url`; `secret` may be several, apart by a space: all sign.

        Raises
        ------
        WebhookSecretError
            When a secret is not base64.
        """
        self._poster = JsonPoster(url)
        self._keys = [_key(each) for each in secret.split()]
        self._now = now

    def tell(self, parcel: Parcel) -> Outcome:
        """Post one alert, or those of a digest as one event."""
        body = _encode(payload(parcel.messages))
        at = int(self._now())
        return self._poster.post(
            body,
            {
                "webhook-id": parcel.key,
                "webhook-timestamp": str(at),
                "webhook-signature": " ".join(
                    sign(key, parcel.key, at, body) for key in self._keys
                ),
                **parcel.headers,
            },
        )

    def show(self, parcel: Parcel) -> Outcome:
        """Do nothing: what was posted is past."""
        return Sent(parcel.handle)


def payload(messages: Sequence[Message]) -> dict[str, Any]:
    """Return what is posted: the alert itself, and the same in words."""
    first = messages[0]
    if len(messages) > 1:
        data: Any = {"alerts": [_data(message) for message in messages]}
        kind = "digest"
    else:
        data, kind = _data(first), first.alert.kind.replace("-", "_")
    return {
        "type": f"leadpulse.alert.{kind}",
        "timestamp": first.alert.decided_at.isoformat(),
        "data": data,
    }


def _data(message: Message) -> dict[str, Any]:
    return {
        "alert": message.alert,
        "title": message.title,
        "text": as_text((message,)),
        "links": {"lead": message.links.lead, "account": message.links.account},
    }


def sign(key: bytes, webhook_id: str, at: int, body: bytes) -> str:
    """Return one signature (symmetric, v1) of a webhook."""
    signed = f"{webhook_id}.{at}.".encode() + body
    digest = hmac.digest(key, signed, hashlib.sha256)
    return f"v1,{base64.b64encode(digest).decode()}"


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not key:
        msg = (
            "the secret of a webhook is whsec_ and base64: "
            "make one with echo whsec_$(openssl rand -base64 24)"
        )
        raise WebhookSecretError(msg)
    return key

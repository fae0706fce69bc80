"""Any CRM that takes signed webhooks, by the Standard Webhooks specification.

https://www.standardwebhooks.com. One message carries many updates; whoever takes it
keeps the largest `sequence` per lead, as a consumer of the topic would.
"""

import hashlib
from collections.abc import Sequence
from typing import Final

import msgspec

from schemas.time import to_datetime, to_iso
from streams.clock import Clock
from streams.errors import UserError
from streams.sending_policy import Refuse, Retry
from streams.sinks.answers import Answers
from streams.sinks.door import Door
from streams.sinks.language import Sink
from streams.sinks.rows import Row
from streams.sinks.tokens import Tokens

CHANGED: Final = "lead.scores.changed"
_GONE: Final = 410
"""The specification's word of an address that wants no more."""


class WebhookSecretError(UserError):
    """The secret cannot sign."""

    exit_code = 2


class WebhookWriter:
    """Sends rows to one address, signed."""

    def __init__(self, sink: Sink, tokens: Tokens, clock: Clock) -> None:
        """Send to the sink's address; nothing is connected yet.

        Raises
        ------
        WebhookSecretError
            When the secret is no base64, as the specification has it.
        """
        from standardwebhooks import Webhook  # noqa: PLC0415 - for some only

        self._door = Door(sink.address, sink.timeout / 1000)
        self._clock = clock
        secret = tokens.token()
        try:
            self._webhook = Webhook(secret if isinstance(secret, str) else "")
        except (ValueError, RuntimeError):
            msg = (
                f"the secret of the sink '{sink.sink}' cannot sign: it is base64 of 24 "
                "to 64 random bytes, after `whsec_`"
            )
            raise WebhookSecretError(msg) from None

    def write(self, rows: Sequence[Row]) -> Answers:
        """Send `rows` as one message; its id is the same when it is sent again."""
        data = msgspec.json.encode(
            {
                "updates": [msgspec.Raw(row.update) for row in rows if not row.clear],
                "gone": [
                    {"lead_id": row.lead_id, "why": row.why}
                    for row in rows
                    if row.clear
                ],
            }
        )
        now = self._clock.now()
        named = "msg_" + hashlib.blake2b(data, digest_size=16).hexdigest()
        body = msgspec.json.encode(
            {"type": CHANGED, "timestamp": to_iso(now), "data": msgspec.Raw(data)}
        )
        moment = to_datetime(now)
        reply = self._door.ask(
            "POST",
            "",
            body=body,
            headers={
                "content-type": "application/json",
                "webhook-id": named,
                "webhook-timestamp": str(int(moment.timestamp())),
                "webhook-signature": self._webhook.sign(named, moment, body.decode()),
            },
        )
        if isinstance(reply, Retry):
            return reply
        if reply.ok:
            return ["cleared" if row.clear else "written" for row in rows]
        if reply.status == _GONE:
            return Retry("misconfigured", detail="HTTP 410: it wants no more")
        outcome = reply.outcome()
        if isinstance(outcome, Refuse) and outcome.reason == "invalid":
            return Refuse("invalid", outcome.detail)
        return outcome

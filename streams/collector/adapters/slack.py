"""Slack's interactivity: a button under an alert, pressed by whoever will call.

The request must be signed: a write key alone is in the URL that a whole workspace of
Slack may come to know.
"""

from typing import Final

import msgspec

from schemas.event import Event
from schemas.time import SECOND, Instant
from scorers.identity import derive_lead_id
from streams.acknowledging import VERDICTS, Answerable, Verdict, work_event
from streams.collector.adapters.fields import JsonObject, at, objects, read_object, text
from streams.collector.adapters.form import form_fields
from streams.collector.adapters.provider import (
    Envelope,
    Incoming,
    Outcome,
    Provider,
    Reply,
    Taken,
    Trust,
)
from streams.collector.adapters.signatures import (
    hmac_sha256,
    require_recent,
    require_signature,
    same,
)
from streams.collector.verdict import RefusedError, Rejection

_TIMESTAMP: Final = "x-slack-request-timestamp"
_WINDOW_SECONDS: Final = 300
_MOST_DIGITS: Final = 12
_PREFIX: Final = "leadpulse_"
_NOBODY: Final = Rejection("unroutable", "the button names no lead of ours", None)
_answerable: Final = msgspec.json.Decoder(Answerable).decode


def adapt(request: Incoming, envelope: Envelope) -> Taken:
    """Return what was pressed; buttons that only lead somewhere say nothing."""
    payload = next(
        (value for name, value in form_fields(request) if name == "payload"), ""
    )
    body = read_object(payload.encode(errors="replace"))
    taken = Taken()
    if text(body, "type") != "block_actions":
        taken.ignored.append(text(body, "type") or "other")
        return taken
    by = text(body, "user", "username") or text(body, "user", "name") or "slack"
    for index, action in enumerate(objects(body, "actions")):
        verdict = _verdict(action)
        if verdict is None:
            taken.ignored.append("link")
            continue
        taken.add(_event(action, verdict, by, envelope), index=index, raw=request.body)
    return taken


def _verdict(action: JsonObject) -> Verdict | None:
    pressed = (text(action, "action_id") or "").removeprefix(_PREFIX)
    return next((verdict for verdict in VERDICTS if verdict == pressed), None)


def _event(
    action: JsonObject, verdict: Verdict, by: str, envelope: Envelope
) -> Event | Rejection:
    raw = at(action, "value")
    try:
        about = _answerable(str(raw).encode(errors="replace"))
        event = work_event(
            about,
            verdict,
            by=by,
            via="slack",
            now=envelope.received_at,
            workspace=envelope.workspace,
        )
    except (msgspec.MsgspecError, ValueError):
        return _NOBODY
    return _NOBODY if derive_lead_id(event) is None else event


def signed_by_slack(request: Incoming, secret: str) -> bool:
    """Say whether Slack signed it with the app's signing secret (scheme v0)."""
    stamp = request.headers.get(_TIMESTAMP, "")
    signed = f"v0:{stamp}:".encode(errors="replace") + request.body
    digest = hmac_sha256(secret.encode(), signed).hex()
    return same(f"v0={digest}", request.headers.get("x-slack-signature"))


def _signed_at(request: Incoming) -> Instant | None:
    told = request.headers.get(_TIMESTAMP, "")
    if told.isascii() and told.isdecimal() and len(told) <= _MOST_DIGITS:
        return int(told) * SECOND
    return None


async def _guard(request: Incoming, trust: Trust) -> Reply | None:
    if not trust.secrets:
        msg = "set the app's signing secret: slack=… in LEADPULSE_WEBHOOK_SECRETS"
        raise RefusedError(403, "no-secret", msg)
    require_signature(request, trust, signed_by_slack)
    require_recent(_signed_at(request), trust, _WINDOW_SECONDS)
    return None


def _answer(_: Outcome) -> Reply:
    """Say nothing: Slack takes any text for a message to the channel."""
    return Reply()


SLACK: Final = Provider(name="slack", adapt=adapt, guard=_guard, answer=_answer)

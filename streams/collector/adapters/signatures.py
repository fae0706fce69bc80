"""How providers sign what they send, by their published schemes, and what is refused.

A scheme says whether a request is signed with a secret, and when, if the time is
signed too. Without a secret in the settings a provider is known by the write key alone.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable
from typing import Final, Literal

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from schemas.time import SECOND, Instant
from streams.collector.adapters.provider import Guard, Incoming, Reply, Trust
from streams.collector.verdict import RefusedError

IsSigned = Callable[[Incoming, str], bool]
"""Says whether a request is signed with a secret."""
SignedAt = Callable[[Incoming], Instant | None]
"""Returns the signed time of a request, None if it has none."""

_encode: Final = msgspec.json.Encoder().encode

_AHEAD_SECONDS: Final = 300
"""How far a sender's clock may be ahead of ours."""


def signed(
    is_signed: IsSigned, at: SignedAt | None = None, *, window_seconds: int = 0
) -> Guard:
    """Return a guard that lets pass what one of the secrets has signed.

    With `at`, what was signed longer than `window_seconds` ago is refused: somebody
    else may have kept it. What is younger may come twice; its ids count it once.
    """

    async def guard(request: Incoming, trust: Trust) -> Reply | None:
        require_signature(request, trust, is_signed)
        if at is not None and trust.secrets:
            require_recent(at(request), trust, window_seconds)
        return None

    return guard


def require_signature(request: Incoming, trust: Trust, is_signed: IsSigned) -> None:
    """Return if there is nothing to check, or one of the secrets has signed it.

    Raises
    ------
    RefusedError
        401 when none has.
    """
    if not trust.secrets:
        return
    # All are tried, so that the time taken tells nothing.
    verdicts = [is_signed(request, secret) for secret in trust.secrets]
    if not any(verdicts):
        raise bad_signature()


def bad_signature() -> RefusedError:
    """Return what a request is refused with whose signature is missing or wrong."""
    msg = "the signature is missing or wrong; see LEADPULSE_WEBHOOK_SECRETS"
    return RefusedError(401, "bad-signature", msg)


def require_recent(when: Instant | None, trust: Trust, window_seconds: int) -> None:
    """Return if `when` is recent enough to be no replay.

    Raises
    ------
    RefusedError
        401 when it is older than the window, in the future, or cannot be read.
    """
    window = trust.window_seconds
    if window is None:
        window = window_seconds
    if window == 0:
        return
    if when is not None:
        age = (trust.now - when) // SECOND
        if -_AHEAD_SECONDS <= age <= window:
            return
    msg = f"signed longer than {window} s ago, or at no time that can be read"
    raise RefusedError(401, "stale-signature", msg)


def hmac_of_body(
    header: str,
    *,
    prefix: str = "",
    encoding: Literal["hex", "base64"] = "hex",
    salt: bytes = b"",
) -> IsSigned:
    """Return the scheme that puts HMAC-SHA256 of `salt` and the body into a header."""

    def is_signed(request: Incoming, secret: str) -> bool:
        digest = hmac_sha256(secret.encode(), salt + request.body)
        told = digest.hex() if encoding == "hex" else base64.b64encode(digest).decode()
        return same(f"{prefix}{told}", request.headers.get(header))

    return is_signed


def challenged(
    is_signed: IsSigned,
    *,
    provider: str,
    asks_for: str,
    parameter: str,
    pattern: re.Pattern[str],
    answer: Callable[[str, bytes], object],
) -> Guard:
    """Return the guard of a provider that asks us to prove that we know the secret.

    A POST must be signed. Whatever else asks names a code in `parameter`; the reply is
    what `answer` makes of that code and its HMAC-SHA256. `asks_for` is what the
    provider calls the secret.
    """

    async def guard(request: Incoming, trust: Trust) -> Reply | None:
        if request.method == "POST":
            require_signature(request, trust, is_signed)
            return None
        code = request.query.get(parameter, "")
        if pattern.fullmatch(code) is None:
            msg = f"there is no {parameter}"
            raise RefusedError(400, "no-challenge", msg)
        if not trust.secrets:
            msg = f"set the {asks_for} of {provider} in LEADPULSE_WEBHOOK_SECRETS"
            raise RefusedError(403, "no-secret", msg)
        digest = hmac_sha256(trust.secrets[0].encode(), code.encode())
        return Reply(body=_encode(answer(code, digest)))

    return guard


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    """Return HMAC-SHA256 of `message`."""
    return hmac.digest(key, message, hashlib.sha256)


def same(expected: str, given: str | None) -> bool:
    """Say whether two texts are the same, in a time that tells nothing."""
    return given is not None and hmac.compare_digest(
        expected.encode(), given.strip().encode(errors="replace")
    )


_SENDGRID: Final = "x-twilio-email-event-webhook"


def signed_by_sendgrid(request: Incoming, secret: str) -> bool:
    """Say whether SendGrid signed it: ECDSA over timestamp and body, key in base64."""
    timestamp = request.headers.get(f"{_SENDGRID}-timestamp", "")
    try:
        key = load_der_public_key(base64.b64decode("".join(secret.split())))
        signature = base64.b64decode(
            request.headers.get(f"{_SENDGRID}-signature", ""), validate=True
        )
    except (ValueError, UnsupportedAlgorithm):
        return False
    if not isinstance(key, ec.EllipticCurvePublicKey):
        return False
    try:
        key.verify(signature, timestamp.encode() + request.body, ec.ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True


def sendgrid_signed_at(request: Incoming) -> Instant | None:
    """Return the time that SendGrid signed."""
    return seconds(request.headers.get(f"{_SENDGRID}-timestamp"))


def signed_by_standard(request: Incoming, secret: str) -> bool:
    """Say whether it is signed as Standard Webhooks (and Svix) say, v1.

    HMAC-SHA256 over id, timestamp and body; several signatures may stand in the
    header while one key follows the other.
    """
    try:
        key = base64.b64decode(secret.removeprefix("whsec_") + "==")
    except (binascii.Error, ValueError):
        return False
    message, timestamp, given = (
        _standard(request, name) for name in ("id", "timestamp", "signature")
    )
    content = f"{message}.{timestamp}.".encode() + request.body
    expected = f"v1,{base64.b64encode(hmac_sha256(key, content)).decode()}"
    verdicts = [same(expected, one) for one in (given or "").split(" ")]
    return any(verdicts)


def standard_signed_at(request: Incoming) -> Instant | None:
    """Return the time signed as Standard Webhooks say."""
    return seconds(_standard(request, "timestamp"))


def _standard(request: Incoming, name: str) -> str | None:
    return request.headers.get(f"webhook-{name}") or request.headers.get(f"svix-{name}")


def seconds(text: str | None) -> Instant | None:
    """Return Unix seconds in `text` as an instant, None if they are none.

    >>> seconds("1461095250"), seconds("timestamp"), seconds(None)
    (1461095250000, None, None)
    """
    if text is None or not text.isascii() or not text.isdecimal() or len(text) > 12:  # noqa: PLR2004
        return None
    return int(text) * SECOND

"""Write keys: three ways to send one, one answer to a wrong one."""

import base64
import hmac

import pytest
from pydantic import SecretStr

from streams.collector.auth import WriteKeys, key_in_header
from streams.collector.verdict import RefusedError

KEYS = WriteKeys({"website": SecretStr("wk-1"), "app": SecretStr("schlüssel")})


def basic(credentials: str) -> str:
    return f"Basic {base64.b64encode(credentials.encode()).decode()}"


@pytest.mark.parametrize(
    ("header", "key"),
    [
        (None, None),
        ("", None),
        (basic("wk-1:"), "wk-1"),
        (basic("wk-1:ignored"), "wk-1"),
        (basic("schlüssel:"), "schlüssel"),
        ("bearer  wk-1", "wk-1"),
    ],
)
def test_headers(header: str | None, key: str | None) -> None:
    """The key is the user of basic auth, or a bearer token."""
    assert key_in_header(header) == key


@pytest.mark.parametrize("header", ["Basic ???", "Basic /w==", "Digest x", "wk-1"])
def test_malformed_headers(header: str) -> None:
    """A header that cannot be read is refused with 401."""
    with pytest.raises(RefusedError) as refused:
        key_in_header(header)

    assert refused.value.status == 401


def test_sources() -> None:
    """A key tells the source it was given to."""
    assert [KEYS.source_of("wk-1"), KEYS.source_of("schlüssel")] == ["website", "app"]


@pytest.mark.parametrize("key", [None, "", "wk-", "wk-11", 7, ["wk-1"], "\ud800"])
def test_unknown_keys(key: object) -> None:
    """Anything that is not exactly a key is refused, and not repeated."""
    with pytest.raises(RefusedError) as refused:
        KEYS.source_of(key)

    assert refused.value.status == 401
    assert "wk-1" not in str(refused.value)


def test_every_key_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison goes through all keys, whichever matches."""
    compared = []
    monkeypatch.setattr(
        hmac, "compare_digest", lambda known, _: compared.append(known) or True
    )
    KEYS.source_of("anything")

    assert len(compared) == 2

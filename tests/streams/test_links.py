"""Sealed links: what they carry, and whom they do not believe."""

from datetime import timedelta

import pytest

from schemas.time import to_datetime
from streams.links import (
    ExpiredLinkError,
    LinkError,
    LinkSeal,
    MailLinks,
    UnknownLinkError,
    unsubscribe_headers,
)
from streams.settings import SettingsError, load_settings

NOW = 1_795_255_200_000
OLD, NEW = "old secret of links", "new secret of links"
ADA = "ada@example.com"


def made(*secrets: str) -> MailLinks:
    return MailLinks("https://collect.example.com/", secrets or (NEW,), source="news")


def token_of(url: str) -> str:
    return url.rpartition("/")[2]


def test_a_link_says_who_and_where() -> None:
    """What went in comes out, and nothing of it can be read from outside."""
    url = made().click("https://shop.example/a?b=c", email=ADA, email_id="m-1", links=4)

    link = LinkSeal([NEW]).unseal(token_of(url), "click", NOW)

    assert url.startswith("https://collect.example.com/c/")
    assert (link.email, link.email_id, link.links) == (ADA, "m-1", 4)
    assert (link.url, link.source) == ("https://shop.example/a?b=c", "news")
    assert len(url) < 350


def test_secrets_are_rolled_over() -> None:
    """A new secret seals while the old one still opens; a removed one does not."""
    before = token_of(made(OLD).open(email=ADA))
    after = token_of(made(NEW, OLD).open(email=ADA))

    assert LinkSeal([NEW, OLD]).unseal(before, "open", NOW).email == ADA
    assert LinkSeal([NEW]).unseal(after, "open", NOW).email == ADA
    with pytest.raises(UnknownLinkError):
        LinkSeal([NEW]).unseal(before, "open", NOW)


def test_a_changed_token_is_unknown() -> None:
    """No letter of a token can be changed, cut or added, whatever it is."""
    seal = LinkSeal([NEW])
    token = token_of(made().unsubscribe(email=ADA))
    assert seal.unseal(token, "unsubscribe", NOW).email == ADA

    for place in range(0, len(token) - 1, 7):
        other = "A" if token[place] != "A" else "B"
        with pytest.raises(UnknownLinkError):
            seal.unseal(token[:place] + other + token[place + 1 :], "unsubscribe", NOW)
    for wrong in ("", "x", token[:-4], f"{token}AAAA", "é" * 40, "A" * 10_000):
        with pytest.raises(UnknownLinkError):
            seal.unseal(wrong, "unsubscribe", NOW)


def test_a_token_is_for_one_act() -> None:
    """The token of an opened mail does not unsubscribe."""
    token = token_of(made().open(email=ADA))

    for act in ("click", "unsubscribe"):
        with pytest.raises(UnknownLinkError):
            LinkSeal([NEW]).unseal(token, act, NOW)


def test_a_link_may_expire() -> None:
    """It works until its time is over, then it still tells where it went."""
    until = to_datetime(NOW)
    url = made().click("https://shop.example/", email=ADA, expires_at=until)
    seal = LinkSeal([NEW])

    assert seal.unseal(token_of(url), "click", NOW).email == ADA
    with pytest.raises(ExpiredLinkError) as expired:
        seal.unseal(token_of(url), "click", NOW + timedelta(seconds=1).seconds * 1000)
    assert expired.value.link.url == "https://shop.example/"


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "//evil.example",
        "/pricing",
        "http://",
        "https://[",
        "https://shop.example/a b",
        "https://shop.example/\r\nSet-Cookie: a=b",
        "https://shop.example/" + "x" * 2_000,
    ],
)
def test_a_click_goes_to_the_web_only(url: str) -> None:
    """No scripts, no headers, no half addresses are sealed."""
    with pytest.raises(LinkError, match="http or https"):
        made().click(url, email=ADA)


def test_what_cannot_work_is_said_at_once() -> None:
    """A link to nobody, a short secret, none, and a strange source are refused."""
    with pytest.raises(LinkError, match="the person"):
        made().open(email="ada")
    with pytest.raises(LinkError, match="at least 16"):
        made("short")
    with pytest.raises(LinkError, match="LEADPULSE_LINK_SECRETS"):
        MailLinks("https://collect.example.com", [])
    with pytest.raises(LinkError, match="no source"):
        MailLinks("https://collect.example.com", [NEW], source="Acme/")
    with pytest.raises(LinkError, match="LEADPULSE_PUBLIC_URL"):
        MailLinks.of(load_settings({"LEADPULSE_LINK_SECRETS": NEW}))
    with pytest.raises(SettingsError, match="LINK_SECRETS"):
        load_settings({"LEADPULSE_LINK_SECRETS": f"{OLD},short"})
    with pytest.raises(SettingsError, match="TRUSTED_PROXIES"):
        load_settings({"LEADPULSE_TRUSTED_PROXIES": "10.0.0.0/8,my-proxy"})


def test_headers_are_those_of_rfc_8058() -> None:
    """Mail programs show their button for exactly these two."""
    url = made().unsubscribe(email=ADA)

    assert unsubscribe_headers(url) == {
        "List-Unsubscribe": f"<{url}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }

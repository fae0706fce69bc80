"""Who comes in, from where, and how far: the matrix of roles, sessions, other sites."""

import html
import re
import socket
from pathlib import Path

import httpx
import pytest

from streams import slow_clients
from streams.settings import ROLES, Settings
from streams.web import serving as serving_requests
from streams.web.access import OpenToAllError
from streams.web.app import endpoints
from streams.web.endpoint import Endpoint
from streams.web.server import create_server
from streams.web.sources import Sources
from streams.web.texts.words import WORDS
from tests.streams.web.conftest import TOKENS, Web, lead, serving

ENDPOINTS = {f"{each.method} {each.path}": each for each in endpoints()}


def asked(client: httpx.Client, endpoint: Endpoint, **headers: str) -> int:
    """Return the status; a stream is not read, a lead is nobody's."""
    path = (
        endpoint.path.replace("{lead_id}", "nobody").replace("{", "").replace("}", "")
    )
    with client.stream(endpoint.method, path, headers=headers) as answer:
        return answer.status_code


@pytest.mark.parametrize("name", sorted(ENDPOINTS))
def test_every_endpoint_lets_in_whom_it_says(web: Web, name: str) -> None:
    """Without a token nobody gets in, with one as far as the role reaches."""
    endpoint, stranger = ENDPOINTS[name], web.of(None)
    if endpoint.least is None:
        assert asked(stranger, endpoint) != 403
        return
    refused = {303} if not endpoint.is_api and endpoint.method == "GET" else {401}
    assert asked(stranger, endpoint) in refused
    assert asked(stranger, endpoint, Authorization="Bearer wrong-token-0123") in refused
    for role in ROLES:
        allowed = ROLES.index(role) >= ROLES.index(endpoint.least)
        for client in (web.known(role), web.signed_in(role)):
            status = asked(client, endpoint)
            assert (status not in {303, 401, 403}) is allowed, (role, status)


def test_a_session_begins_and_ends(web: Web) -> None:
    """A sign-in gives a sealed cookie; what is no session of ours is none."""
    browser = web.of(None)
    browser.headers["Accept"] = "text/html"
    browser.headers["Origin"] = web.url

    asked_for = browser.get("/?tier=gold")
    wrong = browser.post("/sign-in", data={"token": "not-a-token-of-ours"})
    onward = {"token": TOKENS["sales"], "next": "/?tier=gold"}
    right = browser.post("/sign-in", data=onward)

    assert asked_for.headers["location"] == "/sign-in?next=%2F%3Ftier%3Dgold"
    assert wrong.status_code == 401
    assert "Nobody has this token" in wrong.text
    assert right.headers["location"] == "/?tier=gold"
    cookie = right.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert TOKENS["sales"] not in cookie
    assert browser.get("/").status_code == 200
    forger = web.of(None)
    forger.cookies.set("lp_session", browser.cookies["lp_session"][:-4] + "AAAA")
    assert forger.get("/").is_redirect
    ended = browser.post("/sign-out")
    assert 'lp_session=""' in ended.headers["set-cookie"]


@pytest.mark.parametrize(
    "onward", ["https://evil.example", "//evil.example", "/\\evil", "\\\\evil", "x"]
)
def test_nobody_is_sent_elsewhere(web: Web, onward: str) -> None:
    """After signing in people stay in this app, whatever the address said."""
    answer = web.of(None).post(
        "/sign-in",
        data={"token": TOKENS["viewer"], "next": onward},
        headers={"Origin": web.url},
    )

    assert answer.headers["location"] == "/"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "https://a.leads.example"},
        {"Origin": "null"},
        {},
    ],
    ids=["origin", "fetch-site", "sibling", "sandbox", "silent"],
)
def test_other_sites_change_nothing(web: Web, headers: dict[str, str]) -> None:
    """With a cookie, only our own pages may ask for a change."""
    who = lead("csrf")
    web.put(who)
    browser = web.of(None)
    browser.cookies = web.signed_in("sales").cookies
    path = f"/api/v1/leads/{who.lead_id}/acknowledge"

    answer = browser.post(path, json={}, headers=headers)

    assert answer.status_code == 403
    assert answer.json()["type"].endswith(":other-site")


def test_without_tokens_only_this_machine_is_served(
    web_settings: Settings, tmp_path: Path, web: Web
) -> None:
    """Open on loopback by its own name only; elsewhere it does not even start."""
    is_open = web_settings.model_copy(
        update={"access_tokens": {}, "data_dir": tmp_path}
    )
    with serving(is_open, web.view) as url, httpx.Client(base_url=url) as client:
        assert client.get("/").status_code == 200
        assert client.get("/", headers={"Host": "evil.example"}).status_code == 403
        path, foreign = (
            "/api/v1/leads/x/acknowledge",
            {"Origin": "https://evil.example"},
        )
        assert client.post(path, headers=foreign).status_code == 403
        assert client.post(path).status_code == 404

    far = is_open.model_copy(update={"host": "0.0.0.0"})  # noqa: S104 - that is the point
    with pytest.raises(OpenToAllError, match="LEADPULSE_ACCESS_TOKENS"):
        create_server(Sources(far, web.view, far.clock()))


def test_one_token_may_ask_so_often(web_settings: Settings, web: Web) -> None:
    """Beyond the limit it is told when to come again; others are not held up."""
    limited = web_settings.model_copy(update={"web_rate_limit": "3/minute"})
    with serving(limited, web.view) as url, httpx.Client(base_url=url) as client:
        shown = [
            {"Authorization": f"Bearer {TOKENS[role]}"} for role in ("viewer", "sales")
        ]
        statuses = [
            client.get("/api/v1/accounts", headers=shown[0]).status_code
            for _ in range(4)
        ]
        late = client.get("/api/v1/accounts", headers=shown[0])
        assert client.get("/api/v1/accounts", headers=shown[1]).status_code == 200
        guesses = [
            client.get(
                "/api/v1/accounts", headers={"Authorization": f"Bearer guess-{number}"}
            ).status_code
            for number in range(4)
        ]

    assert guesses == [401, 401, 401, 429]
    assert statuses == [200, 200, 200, 429]
    assert int(late.headers["retry-after"]) >= 1


def test_who_never_ends_and_who_sends_too_much(
    web_settings: Settings, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Heads and bodies without an end are cut off, those too large are refused."""
    monkeypatch.setattr(slow_clients, "HEAD_SECONDS", 0.3)
    monkeypatch.setattr(serving_requests, "BODY_SECONDS", 0.3)
    post = b"POST /sign-in HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    large = b"X: " + b"x" * slow_clients.HEAD_BYTES
    with serving(web_settings, web.view) as url:
        for sent, status in (
            (post, b"408"),
            (post + b"Content-Length: 10\r\n\r\n{", b"408"),
            (post + large[: slow_clients.HEAD_BYTES + 1 - len(post)], b"431"),
        ):
            port = httpx.URL(url).port
            assert port is not None
            with socket.create_connection(("127.0.0.1", port), timeout=10) as peer:
                peer.sendall(sent)
                assert peer.recv(10_000).split()[1] == status
        much = httpx.post(f"{url}/sign-in", content=b"x" * 300_000)
        assert much.status_code == 413
        assert httpx.get(f"{url}/sign-in").status_code == 200


def test_every_word_is_there_in_every_language() -> None:
    """The tables have the same keys, and the same values to be filled in."""
    assert WORDS["en"].keys() == WORDS["fa"].keys()
    for key, text in WORDS["en"].items():
        wanted = {part.partition("}")[0] for part in text.split("{")[1:]}
        found = {part.partition("}")[0] for part in WORDS["fa"][key].split("{")[1:]}
        assert wanted == found, key


def test_the_policy_is_strict(web: Web) -> None:
    """No answer lets scripts, styles or frames of others in, and none is inline."""
    page = web.of("admin").get("/", headers={"Accept": "text/html"})
    policy = page.headers["content-security-policy"]

    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "style=" not in page.text
    assert " onclick" not in page.text
    assert "<script>" not in page.text


def test_the_first_rows_come_with_the_page(web: Web) -> None:
    """Before any script, and by pages for browsers without; a filter narrows them."""
    web.put(*(lead(f"row{n}", 90 - n / 10, tier="silver") for n in range(30)))
    client = web.known("viewer")

    page = client.get("/?tier=silver").text
    onward = re.search(r'<noscript><p class="more"><a [^>]*href="([^"]+)"', page)
    assert onward is not None
    rest = client.get(html.unescape(onward.group(1))).text

    shown = [re.findall(r'title="(row\d+)@', text) for text in (page, rest)]
    assert shown[0] == [f"row{n}" for n in range(24)]
    assert shown[1] == [f"row{n}" for n in range(24, 30)]
    assert 'src="/static' in page
    assert "board.js" not in rest


def test_files_are_kept_for_good_and_compressed_once(web: Web) -> None:
    """By an address that changes with them; there is nothing beside them."""
    client = web.of(None)
    page = web.known("viewer").get("/").text
    (style,) = re.findall(r'href="(/static/\w+/css/app.css)"', page)

    plain = client.get(style, headers={"Accept-Encoding": "identity"})
    packed = client.get(style, headers={"Accept-Encoding": "gzip"})

    assert plain.text == packed.text
    assert "--accent" in plain.text
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert "immutable" in packed.headers["cache-control"]
    assert packed.headers["x-content-type-options"] == "nosniff"
    folder = style.removesuffix("css/app.css")
    for path in ("nothing.css", "../app.py", "%2e%2e/app.py", "css", ""):
        assert client.get(f"{folder}{path}").status_code in {404, 405}, path
    assert client.post(style).status_code == 405

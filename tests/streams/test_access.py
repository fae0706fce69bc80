"""Tokens and roles: who may read metrics, and who may not."""

import itertools
import urllib.error
import urllib.request

import pytest
from prometheus_client import REGISTRY
from pydantic import SecretStr

from streams.access import Access, AccessDeniedError
from streams.metrics_server import start_metrics_server
from streams.settings import ROLES, Role, Settings, SettingsError, load_settings

TOKENS = {role: f"{role}-token-{'x' * 16}" for role in ROLES}
GIVEN = {f"name-of-{role}": SecretStr(f"{role}:{TOKENS[role]}") for role in ROLES}


@pytest.mark.parametrize(("held", "least"), list(itertools.product(ROLES, ROLES)))
def test_each_role_may_what_the_one_before_may(held: Role, least: Role) -> None:
    """The whole matrix of roles: refused with 403 exactly where a role is too low."""
    access = Access(GIVEN)

    if ROLES.index(held) >= ROLES.index(least):
        holder = access.admit(f"Bearer {TOKENS[held]}", least, surface="test")
        assert holder == (f"name-of-{held}", held)
    else:
        with pytest.raises(AccessDeniedError) as denied:
            access.admit(f"bearer {TOKENS[held]}", least, surface="test")
        assert denied.value.status == 403
        assert TOKENS[held] not in str(denied.value)


@pytest.mark.parametrize(
    "shown", [None, "", "Bearer", "Bearer ", "Bearer wrong", "Basic eDp5", "Bearer é"]
)
def test_who_shows_no_token_is_refused(shown: str | None) -> None:
    """Nothing, something else, or a wrong token is 401, and counted."""
    labels = {"surface": "refused", "result": "unknown"}
    before = REGISTRY.get_sample_value("leadpulse_access_total", labels) or 0

    with pytest.raises(AccessDeniedError) as denied:
        Access(GIVEN).admit(shown, "viewer", surface="refused")

    assert denied.value.status == 401
    assert REGISTRY.get_sample_value("leadpulse_access_total", labels) == before + 1


def test_without_tokens_all_is_open() -> None:
    """Who sets none has asked for none."""
    assert Access({}).admit(None, "admin", surface="test") is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("scraper=root:xxxxxxxxxxxxxxxxxxxx", "viewer, sales, admin"),
        ("viewer:xxxxxxxxxxxxxxxxxxxx", "name=role:token"),
        ("scraper=viewer:short", "at least 16"),
    ],
)
def test_tokens_that_are_written_wrongly(text: str, told: str) -> None:
    """A wrong role, a missing name or a short token is named before anything starts."""
    with pytest.raises(SettingsError, match=told):
        load_settings({"LEADPULSE_ACCESS_TOKENS": text})


def test_metrics_need_a_token_and_probes_do_not() -> None:
    """With tokens `/metrics` is 401 without one; a kubelet still reads the probes."""
    settings = load_settings(
        {"LEADPULSE_ACCESS_TOKENS": f"prometheus=viewer:{TOKENS['viewer']}"},
        metrics_port=0,
    )
    assert load_settings(settings.environ()) == settings
    port = start_metrics_server(settings, "test")

    assert _get(port, "/healthz") == 200
    assert _get(port, "/metrics") == 401
    assert _get(port, "/metrics", "Bearer wrong-token-xxxxxxxx") == 401
    assert _get(port, "/metrics", f"Bearer {TOKENS['viewer']}") == 200
    assert TOKENS["viewer"] not in repr(Settings(access_tokens=GIVEN))


def _get(port: int, path: str, authorization: str = "") -> int:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}",
        headers={"Authorization": authorization} if authorization else {},
    )
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - same
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code

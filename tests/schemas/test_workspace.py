"""Workspaces are part of every derived id."""

import msgspec
import pytest

from schemas.event import Event
from schemas.workspace import (
    DEFAULT_WORKSPACE,
    is_workspace,
    prefixed,
    split_source,
    workspace_of,
)
from streams.settings import SettingsError, load_settings

HEX = "0123456789abcdef" * 2


@pytest.mark.parametrize("workspace", ["acme", "a", "acme-eu-1", "x" * 40])
@pytest.mark.parametrize("kind", ["ld", "ac"])
def test_an_id_tells_its_workspace(kind: str, workspace: str) -> None:
    """Whoever has the key of a record knows whose it is."""
    assert workspace_of(prefixed(kind, workspace) + HEX) == workspace
    assert workspace_of(prefixed(kind, DEFAULT_WORKSPACE) + HEX) == DEFAULT_WORKSPACE


@pytest.mark.parametrize("name", ["", "Acme", "1st", "a_b", "a/b", "a" * 41, "a b"])
def test_what_cannot_be_a_workspace(name: str) -> None:
    """A name that could be mistaken in an id or a key is none."""
    assert not is_workspace(name)


def test_an_event_of_no_valid_workspace_is_none() -> None:
    """A producer of its own cannot smuggle a separator into a key."""
    text = (
        b'{"id":"1","type":"track","channel":"web","user_id":"u",'
        b'"occurred_at":"2026-01-01T00:00:00Z","workspace":"a_b"}'
    )
    with pytest.raises(msgspec.ValidationError, match="workspace"):
        msgspec.json.decode(text, type=Event)


def test_a_write_key_belongs_to_a_workspace() -> None:
    """Its name says which; without one it is the default."""
    assert split_source("acme/web") == ("acme", "web")
    assert split_source("web") == (DEFAULT_WORKSPACE, "web")


@pytest.mark.parametrize("name", ["Acme/web", "/web", "acme/"])
def test_a_wrong_workspace_is_one_line(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The setting is checked at start."""
    monkeypatch.setenv("LEADPULSE_WRITE_KEYS", f"{name}=secret")

    with pytest.raises(SettingsError, match="workspace/source") as caught:
        load_settings()
    assert "secret" not in str(caught.value)

"""What was received, read back in the order of its receipt, whole or of a workspace."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace
from typer.testing import CliRunner

from schemas.event import Event
from scorers.identity import derive_lead_id
from streams.cli.main import compose
from streams.errors import UserError
from streams.settings import Settings
from tests.worker_harness import make_events, produce

MakeTopics = Callable[..., Settings]


def run(settings: Settings, *words: str) -> str:
    """Return what `leadpulse state …` says; it raises what a person would read."""
    result = CliRunner().invoke(
        compose(["state"]), ["state", *words], env=settings.environ()
    )
    if result.exception is not None:
        raise result.exception
    return result.stdout


def test_events_move_under_another_name(
    make_topics: MakeTopics, tmp_path: Path
) -> None:
    """A workspace's events are written for a workspace of another name, nobody else's.

    Sent elsewhere they are its own people there.
    """
    home = make_topics(partitions=2)
    events = make_events(40, 6)
    acme = [replace(each, workspace="acme") for each in events[:25]]
    produce(home, [*acme, *events[25:]])
    file = tmp_path / "acme.ndjson"
    said = run(home, "events", str(file), "--workspace", "acme", "--as", "globex")
    assert said.startswith("25 events")
    assert file.stat().st_mode & 0o077 == 0
    written = [
        msgspec.json.decode(line, type=Event) for line in file.read_bytes().splitlines()
    ]
    assert [each.id for each in written] == [each.id for each in acme]
    assert all("_globex_" in (derive_lead_id(each) or "") for each in written)
    with pytest.raises(UserError, match="no workspace"):
        run(home, "events", str(file), "--workspace", "Acme")

"""`leadpulse import` and `leadpulse source`: exports and payloads become events."""

import csv
import gzip
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas.event import Event
from schemas.time import to_instant
from schemas.topics import EVENT_TOPICS
from scorers.outcomes import outcome_of
from streams.processes import free_port
from streams.settings import Settings
from tests.conftest import MakeTopics
from tests.shared_data import shared_data
from tests.streams.collector.conftest import running
from tests.worker_harness import read_all

MAPPING = """\
mapping: calls
events:
  - when: kind == 'call'
    name: Call Logged
    email: mail
    occurred_at: at
    properties:
      minutes: {path: minutes, as: number}
"""
ROWS = """\
kind,mail,at,minutes
call,ada@example.com,2026-01-03T10:00:00Z,12
note,bob@example.com,2026-01-01T10:00:00Z,
call,eve@example.com,"2026
-01-02",3
call,bob@example.com,soon,1
call,bob@example.com,2026-01-01T10:00:00Z,many
call,bob@example.com
call,bob@example.com,2026-01-01T10:00:00Z,7
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a mapping and a file of rows."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LEADPULSE_DATA_DIR", str(tmp_path / "state"))
    (tmp_path / "calls.yaml").write_text(MAPPING, "utf-8")
    (tmp_path / "rows.csv").write_text(ROWS, "utf-8")
    return tmp_path


def events_in(path: Path) -> list[Event]:
    return [
        msgspec.json.decode(line, type=Event) for line in path.read_bytes().splitlines()
    ]


def many_rows(path: Path, count: int) -> None:
    rows = [f"call,p{n}@example.com,2026-01-01T10:00:00Z,{n}" for n in range(count)]
    path.write_text("\n".join(["kind,mail,at,minutes", *rows]), "utf-8")


def on_the_topics(settings: Settings) -> list[Event]:
    return [
        msgspec.json.decode(record.value() or b"", type=Event)
        for topic in EVENT_TOPICS
        for record in read_all(settings, topic)
    ]


def test_good_rows_go_and_bad_rows_are_told_and_kept(
    leadpulse: Callable, folder: Path
) -> None:
    """Good rows become events in the order of their time; bad ones keep their line."""
    ran = leadpulse("import", "rows.csv", "--map", "calls.yaml", "--to", "out.ndjson")

    assert ran.code == 1
    assert [
        (event.email, event.properties["minutes"])
        for event in events_in(folder / "out.ndjson")
    ] == [("bob@example.com", 7.0), ("ada@example.com", 12.0)]
    for told in (
        "line 4: events[0].occurred_at",  # it goes on on line 5
        "line 6: events[0].occurred_at: 'soon' is not ISO 8601",
        "line 7: events[0].properties.minutes: 'many' is no number",
        "line 8: has 2 cells, and there are 4 columns",
        "4 bad rows are kept in rows.bad.csv",
        "7 rows: 2 events, 1 rows passed over, 4 bad rows",
    ):
        assert told in ran.err, ran.err
    kept = (folder / "rows.bad.csv").read_text("utf-8").splitlines()
    assert kept[0] == "kind,mail,at,minutes"
    assert kept[1:3] == ['call,eve@example.com,"2026', '-01-02",3']
    assert len((folder / "rows.bad.csv.txt").read_text("utf-8").splitlines()) == 4


def test_bad_rows_can_be_mended_and_imported(leadpulse: Callable, folder: Path) -> None:
    """The file of bad rows is itself a file to import."""
    leadpulse("import", "rows.csv", "--map", "calls.yaml", "--to", "out.ndjson")
    bad = folder / "rows.bad.csv"
    bad.write_text(bad.read_text("utf-8").replace("soon", "2026-01-05"), "utf-8")
    leadpulse("import", bad, "--map", "calls.yaml", "--to", "mended.ndjson")

    assert [each.email for each in events_in(folder / "mended.ndjson")] == [
        "bob@example.com"
    ]


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_json_lines_and_gzip(
    leadpulse: Callable, folder: Path, *, packed: bool
) -> None:
    """One JSON object a line works as well as a table, packed or not."""
    (folder / "calls.yaml").write_text(f"{MAPPING}file: {{format: ndjson}}\n", "utf-8")
    good = {"kind": "call", "mail": "ada@example.com", "at": "2026-01-01", "minutes": 2}
    lines = "\n".join([json.dumps(good), "{broken", "[1]", ""]).encode()
    path = folder / "rows.ndjson.gz"
    path.write_bytes(gzip.compress(lines) if packed else lines)
    ran = leadpulse("import", path, "--map", "calls.yaml", "--to", "-")

    assert json.loads(ran.out)["email"] == "ada@example.com"
    assert "line 2: is no JSON" in ran.err
    assert "line 3: is no JSON object" in ran.err
    assert (folder / "rows.bad.ndjson").read_bytes() == b"{broken\n[1]\n"


def test_bytes_that_are_no_text_cost_their_row_only(
    leadpulse: Callable, folder: Path
) -> None:
    """A row in another encoding is kept byte for byte; the rows around it go."""
    rows = b"kind,mail,at\ncall,a@x.de,2026-01-01\ncall,\xfc@x.de,2026-01-01\n"
    (folder / "rows.csv").write_bytes(rows + b"call,b@x.de,2026-01-01\n")
    ran = leadpulse("import", "rows.csv", "--map", "calls.yaml", "--to", "out.ndjson")

    assert "line 3: is not utf-8" in ran.err
    assert len(events_in(folder / "out.ndjson")) == 2
    assert b"\xfc@x.de" in (folder / "rows.bad.csv").read_bytes()


def test_an_interrupted_import_goes_on_where_it_was(
    leadpulse: Callable,
    folder: Path,
    make_topics: MakeTopics,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Stopped in the middle and started again, every event is there once."""
    settings = make_topics()
    monkeypatch.setenv("LEADPULSE_TOPIC_PREFIX", settings.topic_prefix)
    many_rows(folder / "rows.csv", 350)
    words = ("import", "rows.csv", "--map", "calls.yaml", "--to", settings.bootstrap)
    from streams import sending

    send = sending.TopicTarget.send
    sends = Counter[str]()

    async def send_twice(self: Any, lines: Any) -> Any:
        sends["so far"] += 1
        if sends["so far"] > 2:
            msg = "the broker went away"
            raise sending.SendError(msg)
        return await send(self, lines)

    with monkeypatch.context() as patched:
        patched.setattr(sending.TopicTarget, "send", send_twice)
        stopped = leadpulse(*words)
    resumed = leadpulse(*words)
    again = leadpulse(*words)

    assert stopped.code == 1
    assert "the broker went away" in stopped.err
    assert "200 of 350 events were imported before" in resumed.err
    assert resumed.code == 0
    assert "350 of 350 events were imported before" in again.err
    events = on_the_topics(settings)
    assert len(events) == len({event.id for event in events}) == 350
    assert {event.now for event in events} == {1_767_261_600_000}


def test_to_a_collector(
    leadpulse: Callable, folder: Path, make_topics: MakeTopics
) -> None:
    """Sent to a URL, the events are received by the collector under its own source."""
    settings = make_topics(write_keys="acme/exports=wk-9", collector_port=0)
    many_rows(folder / "rows.csv", 5)
    with running(settings) as (http, _):
        ran = leadpulse(
            "import", "rows.csv", "--map", "calls.yaml",
            "--to", http.base_url, "--write-key", "wk-9",
        )  # fmt: skip

    assert ran.code == 0, ran.err
    events = on_the_topics(settings)
    assert len(events) == 5
    assert {(event.workspace, event.source) for event in events} == {
        ("acme", "exports")
    }
    assert all(event.now > to_instant(event.occurred_at) for event in events)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["none.csv", "--map", "calls.yaml"], "cannot read none.csv"),
        (["rows.csv", "--map", "none.yaml"], "cannot read none.yaml"),
        (["rows.csv", "--map", "callls"], "there is no mapping 'callls'; there is"),
        (["empty.csv", "--map", "wrong.yaml"], "did you mean 'email'?"),
        (["twice.csv", "--map", "calls.yaml"], "names 'at' twice"),
    ],
)
def test_a_mistake_is_one_clear_line(
    leadpulse: Callable, folder: Path, words: list[str], told: str
) -> None:
    """What a person got wrong is said, without a stack trace, and nothing is done."""
    (folder / "empty.csv").touch()
    (folder / "twice.csv").write_text("at,at\n1,2\n", "utf-8")
    (folder / "wrong.yaml").write_text(MAPPING.replace("email", "emial"), "utf-8")
    ran = leadpulse("import", *words, "--to", "out.ndjson")

    assert ran.code == 1
    assert told in ran.err
    assert "Traceback" not in ran.err
    assert not (folder / "out.ndjson").exists()


def test_where_nothing_listens(leadpulse: Callable, folder: Path) -> None:
    """A collector that is not there is named, and nothing is written down as done."""
    many_rows(folder / "rows.csv", 5)
    url = f"http://127.0.0.1:{free_port()}"
    words = ("import", "rows.csv", "--map", "calls.yaml", "--to", url)
    first = leadpulse(*words, "--write-key", "k")
    second = leadpulse(*words, "--write-key", "k")

    assert first.code == second.code == 1
    assert "no collector answers" in first.err
    assert "imported before" not in second.err


CLICKSTREAMS = {
    "retentioneering-ecom": ("clickstream", "retentioneering_ecom_2024.csv"),
    "ga-sessions": ("clickstream", "ga_merchandise_all_sessions.csv"),
    "snowplow-enriched": ("trackers", "snowplow_enriched", "snowplow_web_events.csv"),
    "hubspot-contacts": ("crm_tables", "hubspot", "contact_data.csv"),
    "hubspot-email-events": ("crm_tables", "hubspot", "email_event_data.csv"),
    "hubspot-property-history": (
        "crm_tables",
        "hubspot",
        "contact_property_history_data.csv",
    ),
}
EXPECTED: dict[str, tuple[int, int, dict[str, int]]] = {
    "retentioneering-ecom": (
        31_106,
        0,
        {
            "Product Viewed": 6_851,
            "Search Performed": 4_011,
            "Order Completed": 470,
            "Offer Clicked": 796,
        },
    ),
    "ga-sessions": (
        15_134,
        0,
        {"Product Viewed": 271, "Product Added": 37, "Order Completed": 9},
    ),
    "snowplow-enriched": (153, 8, {"Link Clicked": 11, "Consent Given": 32}),
    "hubspot-contacts": (22, 0, {}),
    "hubspot-email-events": (93, 7, {"Email Opened": 90, "Email Delivered": 3}),
    "hubspot-property-history": (0, 100, {}),  # its names are hashed
}


@pytest.mark.parametrize("name", CLICKSTREAMS)
def test_the_shipped_mappings_take_real_exports(
    leadpulse: Callable, folder: Path, name: str
) -> None:
    """Every row of a real export is an event or known to be none; none is bad."""
    source = shared_data(*CLICKSTREAMS[name])
    ran = leadpulse("import", source, "--map", name, "--to", "out.ndjson")

    events, passed, named = EXPECTED[name]
    assert ran.code == 0, ran.err
    assert f"{events:,} events, {passed:,} rows passed over, 0 bad rows" in ran.err
    found = Counter(event.name for event in events_in(folder / "out.ndjson"))
    assert {each: found[each] for each in named} == named


HISTORY = """\
contact_id,timestamp,_fivetran_synced,source,name,value,source_id
7,2026-01-05 10:00:00.001,2026-01-06 00:00:00,CRM_UI,lifecyclestage,lead,
7,2026-01-06 10:00:00.001,2026-01-07 00:00:00,CRM_UI,hs_lead_status,OPEN_DEAL,
7,2026-02-01 10:00:00.001,2026-02-02 00:00:00,CRM_UI,lifecyclestage,customer,
8,2026-02-03 10:00:00.001,2026-02-04 00:00:00,CRM_UI,hs_lead_status,UNQUALIFIED,
8,2026-02-03 11:00:00.001,2026-02-04 00:00:00,CRM_UI,zip,10115,
"""


def test_hubspots_history_tells_outcomes(leadpulse: Callable, folder: Path) -> None:
    """Who became a customer was won when that was noted, and not before."""
    (folder / "history.csv").write_text(HISTORY)
    ran = leadpulse(
        "import", "history.csv", "--map", "hubspot-property-history",
        "--to", "out.ndjson",
    )  # fmt: skip

    assert ran.code == 0, ran.err
    found = events_in(folder / "out.ndjson")
    told = [(event.user_id, event.name) for event in found]
    assert sorted(told) == [
        ("hubspot:7", "Deal Won"),
        ("hubspot:7", "Lead Qualified"),
        ("hubspot:7", "Stage Changed"),
        ("hubspot:7", "Stage Changed"),
        ("hubspot:8", "Lead Disqualified"),
    ]
    assert len({event.id for event in found}) == len(found)
    outcomes = list(map(outcome_of, found))
    kinds = [outcome.kind for outcome in outcomes if outcome is not None]
    assert kinds == ["qualified", "won", "disqualified"]
    judged = leadpulse("evaluate", "out.ndjson", "--out", "reports")
    assert judged.code == 1
    assert "at least 50 that were and 50 that were not are needed" in judged.err


def test_snowplow_lines_without_a_header(leadpulse: Callable, folder: Path) -> None:
    """The lines that Enrich writes become the events that the warehouse's rows do."""
    from streams.collector.mapping.files import find_mapping

    source = shared_data("trackers", "snowplow_enriched", "snowplow_web_events.csv")
    columns = find_mapping("snowplow-enriched-tsv", None).mapping.mapping.file.columns
    assert columns is not None
    assert len(columns) == 131
    with source.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    tsv = ["\t".join(row.get(name, "") for name in columns) for row in rows]
    tsv[0] = tsv[0].rpartition("\t")[0]  # older versions write fewer fields
    (folder / "enriched.tsv").write_text("\n".join(tsv), "utf-8")
    for file, name, out in (
        (folder / "enriched.tsv", "snowplow-enriched-tsv", "tsv.ndjson"),
        (source, "snowplow-enriched", "csv.ndjson"),
    ):
        ran = leadpulse("import", file, "--map", name, "--to", out, "--source", "sp")
        assert ran.code == 0, ran.err

    assert events_in(folder / "tsv.ndjson") == events_in(folder / "csv.ndjson")


def test_a_payload_is_tried(leadpulse: Callable, folder: Path) -> None:
    """`source test` shows the events of a payload, and says which records fit none."""
    payload = [{"kind": "call", "mail": "ada@example.com"}, {"kind": "note"}]
    (folder / "payload.json").write_text(json.dumps(payload), "utf-8")
    ran = leadpulse("source", "test", "calls.yaml", "payload.json")

    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["name"] == "Call Logged"
    assert "record 2: no event of the mapping fits" in ran.err
    assert "2 records: 1 events, 0 refused, 1 passed over" in ran.err


def test_a_refused_payload_leaves_with_one(leadpulse: Callable, folder: Path) -> None:
    """`source test` says why a record cannot be the event, and exits with 1."""
    assert (folder / "calls.yaml").exists()
    ran = leadpulse(
        "source", "test", "calls.yaml", "-", stdin=b'{"kind": "call", "at": "soon"}'
    )

    assert ran.code == 1
    assert "record 1: invalid-timestamp: events[0].occurred_at" in ran.err


def test_rows_are_tried_without_importing(leadpulse: Callable, folder: Path) -> None:
    """`source test` takes the first rows of a table, too."""
    assert (folder / "rows.csv").exists()
    ran = leadpulse("source", "test", "calls.yaml", "rows.csv", "--rows", "1")

    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["email"] == "ada@example.com"


def test_mappings_are_listed_and_checked(
    leadpulse: Callable, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shipped mappings and the folder's are there; a wrong one is told and exits 1."""
    own = folder / "mappings"
    own.mkdir()
    (own / "calls.yaml").write_text(MAPPING, "utf-8")
    monkeypatch.setenv("LEADPULSE_MAPPINGS_DIR", str(own))

    assert "calls" in leadpulse("source", "list").out
    assert leadpulse("source", "check").code == 0
    (own / "wrong.yaml").write_text(MAPPING.replace("email", "emial"), "utf-8")
    wrong = leadpulse("source", "check")
    assert wrong.code == 1
    assert "did you mean 'email'?" in wrong.err


def test_the_schema_is_printed(leadpulse: Callable) -> None:
    """Editors get a JSON Schema in which every key is described."""
    schema = json.loads(leadpulse("source", "schema").out)

    assert schema["properties"]["events"]["description"]
    assert all(
        "description" in each
        for each in schema["$defs"]["Reading"]["properties"].values()
    )

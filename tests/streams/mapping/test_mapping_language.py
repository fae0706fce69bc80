"""The language of mappings: its page runs, its mistakes are told."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema
import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from schemas.event import Event
from schemas.time import to_instant
from scorers.loading import ModelError, load_part
from streams.collector.mapping.compiled import CompiledMapping, Delivery
from streams.collector.mapping.files import json_schema, load_mappings, shipped_folder
from streams.collector.mapping.language import Mapping
from streams.collector.mapping.payload import read_payload
from streams.collector.verdict import RefusedError, Rejection

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "mappings.md"
GOLDEN = ROOT / "tests" / "golden" / "mapping_errors"
NOW = 1_795_341_600_000  # 2026-11-22T10:00:00Z
ARRIVED = Delivery(source="test", received_at=NOW)


class Example(NamedTuple):
    """A mapping on the page, a payload for it, and the events that it becomes."""

    line: int
    mapping: str
    payload: str
    events: str


def examples() -> Iterator[Example]:
    page = PAGE.read_text("utf-8")
    blocks = re.finditer(
        r"^```\w+ (mapping|payload|events)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL
    )
    for mapping in blocks:
        payload, events = next(blocks), next(blocks)
        assert [mapping[1], payload[1], events[1]] == ["mapping", "payload", "events"]
        line = page.count("\n", 0, mapping.start()) + 1
        yield Example(line, mapping[2], payload[2], events[2])


def compiled(text: str) -> CompiledMapping:
    return CompiledMapping(load_part(Mapping, text, "mapping.yaml"))


def outcomes(text: str, payload: Any) -> list[Event | Rejection]:
    mapped = compiled(text).payload(payload, ARRIVED)
    return [outcome for one in mapped for outcome in one.outcomes]


def agrees(shown: Any, found: Any) -> bool:
    """Say whether all that is shown is so; what is not shown may be anything."""
    if isinstance(shown, dict):
        return all(agrees(value, found.get(key)) for key, value in shown.items())
    return bool(shown == found)


@pytest.mark.parametrize("example", list(examples()), ids=lambda one: f"l{one.line}")
def test_every_example_of_the_page_becomes_what_the_page_says(example: Example) -> None:
    """A mapping shown on the page makes the events shown of the payload shown."""
    payload = read_payload(example.payload.encode())
    found = [msgspec.to_builtins(event) for event in outcomes(example.mapping, payload)]
    shown = json.loads(example.events)

    assert len(found) == len(shown), found
    for one, event in zip(shown, found, strict=True):
        assert agrees(one, event), event
        for group in {"properties", "traits"} & one.keys():
            assert one[group] == event[group]


CASES = sorted(GOLDEN.glob("*.yaml"))


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_each_mistake_is_told_with_its_place_and_a_way_out(case: Path) -> None:
    """Every mistake in a mapping reads as in its golden file, to the letter.

    WRITE_GOLDEN=1 writes the files anew: review the difference.
    """
    with pytest.raises(ModelError) as caught:
        load_part(Mapping, case.read_text("utf-8"), case.name)
    told = "\n\n".join(problem.picture for problem in caught.value.problems) + "\n"
    golden = case.with_suffix(".txt")
    if os.environ.get("WRITE_GOLDEN"):
        golden.write_text(told, "utf-8")

    assert golden.read_text("utf-8") == told
    assert not re.search(r"pydantic|Traceback|Input should|validat", told)


@pytest.mark.parametrize(
    "path", sorted(shipped_folder().glob("*.yaml")), ids=lambda path: path.stem
)
def test_a_shipped_mapping_fits_its_own_schema(path: Path) -> None:
    """What editors are told about mappings is true of those that ship."""
    data = yaml.safe_load(path.read_text("utf-8"))

    jsonschema.Draft202012Validator(json_schema()).validate(data)
    assert data["mapping"] == path.stem
    assert data["title"]


SIMPLE = """\
mapping: simple
missing: [n/a]
events:
  - name: Call Logged
    {field}
"""


@pytest.mark.parametrize(
    ("field", "payload", "problem"),
    [
        ("email: mail", {"mail": "nobody"}, "unroutable"),
        ("email: mail", {"mail": "n/a"}, "unroutable"),
        ("user_id: id", {"id": "undefined"}, "unroutable"),
        ("user_id: id", {"id": False}, "unroutable"),
        ("user_id: id\n    occurred_at: at", {"id": 1, "at": "soon"}, "timestamp"),
        (
            "user_id: id\n    occurred_at: at",
            {"id": 1, "at": "1999-12-31"},
            "timestamp",
        ),
        (
            "user_id: id\n    occurred_at: {path: at, time: seconds}",
            {"id": 1, "at": 1e300},
            "timestamp",
        ),
        (
            "user_id: id\n    properties: {n: {path: n, as: number}}",
            {"id": 1, "n": "many"},
            "properties.n: 'many' is no number",
        ),
        ("user_id: length(id)", {"id": 7}, "events[0]"),
        ("user_id: id", {"id": "x" * 600}, "512"),
        ("user_id: id\n    properties: {'*': id}", {"id": "x"}, "no object"),
    ],
)
def test_what_cannot_be_an_event_says_why(
    field: str, payload: dict[str, Any], problem: str
) -> None:
    """A record that fits an event and cannot be it is a rejection with a place."""
    (refused,) = outcomes(SIMPLE.format(field=field), payload)

    assert isinstance(refused, Rejection)
    assert problem in f"{refused.reason}: {refused.detail}"


def test_the_future_counts_as_now_in_a_webhook() -> None:
    """A sender whose clock is ahead changes no score to come."""
    text = SIMPLE.format(field="user_id: id\n    occurred_at: at")
    (event,) = outcomes(text, {"id": "u", "at": "2031-01-01T00:00:00Z"})

    assert isinstance(event, Event)
    assert to_instant(event.occurred_at) == NOW


def test_the_same_record_has_the_same_id_and_another_has_another() -> None:
    """Who repeats a payload, its keys in any order, is counted once."""
    text = SIMPLE.format(field="user_id: id")

    def id_of(record: dict[str, Any]) -> str:
        (event,) = outcomes(text, record)
        assert isinstance(event, Event)
        return event.id

    assert id_of({"id": "u", "n": 1}) == id_of({"n": 1, "id": "u"})
    assert id_of({"id": "u", "n": 1}) != id_of({"id": "u", "n": 2})


def test_a_folder_wins_over_what_is_shipped(tmp_path: Path) -> None:
    """Whoever needs a shipped mapping otherwise puts one of its name in the folder."""
    (tmp_path / "own.yaml").write_text(
        "mapping: ga-sessions\nevents:\n  - {name: Visit, user_id: id}\n", "utf-8"
    )
    mappings = load_mappings(tmp_path)

    assert mappings["ga-sessions"].mapping.events[0].name == "Visit"
    assert "snowplow-enriched" in mappings


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
FIELDS = sorted(
    {
        word
        for path in shipped_folder().glob("*.yaml")
        for word in re.findall(r"[A-Za-z_]{2,}", path.read_text("utf-8"))
    }
)
RECORDS = st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=25)
MAPPINGS = list(load_mappings(None).values())


@given(mapping=st.sampled_from(MAPPINGS), payload=RECORDS | JSON)
def test_no_payload_can_break_a_mapping(mapping: CompiledMapping, payload: Any) -> None:
    """Whatever comes becomes events and rejections, never an exception."""
    for one in mapping.payload(payload, ARRIVED):
        for outcome in one.outcomes:
            if isinstance(outcome, Event):
                msgspec.json.decode(msgspec.json.encode(outcome), type=Event)
            else:
                assert outcome.detail


@given(body=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_body_can_break_the_reading(body: bytes) -> None:
    """A body is plain data or refused with 400."""
    with suppress(RefusedError):
        read_payload(body)

"""Fuzz every adapter and guard, guided by coverage: ``make fuzz``.

Each input is a request: its first byte says which provider it is for (one past the
last is Segment's API), its second how it is typed, the rest is the body. Seeds are the
recorded requests beside the project, where they are present. What breaks an adapter
ends the run with 77, and the input is kept in a file. Options are libFuzzer's, such as
``-runs=1000000 -max_len=4096``.
"""

import asyncio
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import atheris

with atheris.instrument_imports(include=["streams.collector"]):
    from streams.collector.adapters.registry import PROVIDERS
    from streams.collector.gate import Limits, open_batch, open_single, sort

from schemas.event import Event
from scorers.identity import derive_lead_id
from streams.collector.adapters.provider import Taken
from streams.collector.verdict import RefusedError
from streams.event_log import event_record
from tests.shared_data import DATA
from tests.streams.collector.test_adapters_hold import (
    CONTENT_TYPES,
    NOW,
    as_sent,
    status_of_guard,
    taken_by,
)

_REFUSED: Final = range(400, 500)
_HEAD: Final = 2
_SHORTEST_BODY: Final = 40
"""Characters; what is shorter in a recording is a header or a path."""

_LOOP = asyncio.new_event_loop()
_LIMITS = Limits(event_bytes=32_768, batch_events=1_000)


def one_input(data: bytes) -> None:
    """Take one request in; anything but events, rejections or a refusal raises."""
    head, body = data[:_HEAD], data[_HEAD:]
    if len(head) < _HEAD:
        return
    number = head[0] % (len(PROVIDERS) + 1)
    content_type = CONTENT_TYPES[head[1] % len(CONTENT_TYPES)]
    if number == len(PROVIDERS):
        _segment(body, batch=bool(head[1] % 2))
        return
    provider = PROVIDERS[number]
    request = as_sent(provider, body, content_type)
    taken = taken_by(provider, request)
    if isinstance(taken, Taken):
        _hold(taken.events)
    elif taken not in _REFUSED:
        raise AssertionError(taken)
    if provider.guard is not None and _LOOP.run_until_complete(
        status_of_guard(provider, request)
    ) not in (200, *_REFUSED):
        raise AssertionError(provider.name)


def _segment(body: bytes, *, batch: bool) -> None:
    try:
        parcel = open_batch(body) if batch else open_single(body)
    except RefusedError:
        return
    call = None if batch else "track"
    _hold(sort(parcel, call=call, source="s", limits=_LIMITS, now=NOW).events)


def _hold(events: list[Event]) -> None:
    for event in events:
        lead_id = derive_lead_id(event)
        if lead_id is None or not event_record(event, lead_id).value:
            raise AssertionError(event.id)


def _bodies(value: Any) -> Iterator[bytes]:
    """Yield every text of a recording that may be a body, and the recording itself."""
    if isinstance(value, dict):
        for inner in value.values():
            if isinstance(inner, str) and len(inner) >= _SHORTEST_BODY:
                yield inner.encode()
            elif isinstance(inner, dict | list):
                yield from _bodies(inner)
                yield json.dumps(inner).encode()
    elif isinstance(value, list):
        for inner in value:
            yield from _bodies(inner)


def _seed(folder: Path) -> int:
    """Write a seed for each provider and recording that look like each other."""
    count = 0
    for path in sorted(DATA.glob("webhooks_*/*.ndjson")) + sorted(
        DATA.glob("trackers/*.ndjson")
    ):
        named = [
            number
            for number, provider in enumerate(PROVIDERS)
            if provider.name.split("_")[0] in path.stem
        ] or [len(PROVIDERS)]
        for line in path.read_text("utf-8").splitlines()[:20]:
            for body in _bodies(json.loads(line)):
                for number in named:
                    typed = 0 if body[:1] in b"[{" else 1
                    seed = bytes([number, typed]) + body[:4_000]
                    (folder / str(count)).write_bytes(seed)
                    count += 1
    for number in range(len(PROVIDERS) + 1):
        (folder / f"empty-{number}").write_bytes(bytes([number, 0]) + b"{}")
    return count


def main() -> None:
    """Fuzz until something breaks, or as many runs as were asked for."""
    with tempfile.TemporaryDirectory() as folder:
        sys.stderr.write(f"{_seed(Path(folder))} seeds of recorded requests\n")
        atheris.Setup([sys.argv[0], folder, *sys.argv[1:]], one_input)
        atheris.Fuzz()


if __name__ == "__main__":
    main()

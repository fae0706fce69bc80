"""Traces: what is handed on, what is recorded, and what it costs to want none."""

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress

import pytest
import structlog

from streams import metrics
from streams.logs import configure_logging
from streams.settings import Settings, SettingsError, load_settings
from streams.tracing import (
    batch_span,
    configure_tracing,
    context_of,
    current_trace,
    exemplar,
    parse_traceparent,
    span_from,
    stop_tracing,
)
from tests.otlp_receiver import Receiver, otlp_receiver

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED = [("traceparent", f"00-{TRACE}-{CALLER}-01".encode())]
UNSAMPLED = [("traceparent", f"00-{TRACE}-{CALLER}-00".encode())]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with otlp_receiver() as receiver:
        settings = Settings(otlp_endpoint=receiver.url, trace_share=0)
        configure_tracing(settings, "tester")
        yield receiver
        stop_tracing()


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "nonsense",
        f"00-{'0' * 32}-{CALLER}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{CALLER}-01",
        f"ff-{TRACE}-{CALLER}-01",
        f"00-{TRACE}-{CALLER}-01\n",
        b"\xff\xfe",
    ],
)
def test_what_is_no_traceparent_belongs_to_no_trace(text: str | bytes | None) -> None:
    """A header that W3C's specification forbids is as good as none."""
    assert parse_traceparent(text) is None


@pytest.fixture
def log_lines() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    out = io.StringIO()
    configure_logging(Settings(log_format="json"), "tester", stream=out)
    yield out
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def test_without_a_recorder_the_trace_is_handed_on_as_it_came(
    log_lines: io.StringIO,
) -> None:
    """Off, a span passes on what it got, names it in the logs, and ends."""
    log = structlog.get_logger()

    with span_from(UNSAMPLED, "deliver") as span:
        log.info("inside")
        assert span.headers == UNSAMPLED
    log.info("outside")
    with span_from([], "deliver") as span:
        assert span.headers == []

    inside, outside = map(json.loads, log_lines.getvalue().splitlines())
    assert (inside["trace_id"], inside["span_id"]) == (TRACE, CALLER)
    assert "trace_id" not in outside
    assert current_trace() is None


def test_who_wants_no_traces_does_not_load_opentelemetry() -> None:
    """Nothing of OpenTelemetry is imported as long as no endpoint is set."""
    code = (
        "import sys; from streams.settings import Settings\n"
        "from streams.tracing import configure_tracing, span_from\n"
        "configure_tracing(Settings(), 'worker')\n"
        "with span_from([('traceparent', b'x')], 'score'): pass\n"
        "print(sum(name.startswith('opentelemetry') for name in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "0"


def test_an_endpoint_is_checked_when_settings_are_read() -> None:
    """What is no URL is refused with the setting's name."""
    with pytest.raises(SettingsError, match="LEADPULSE_OTLP_ENDPOINT"):
        load_settings({"LEADPULSE_OTLP_ENDPOINT": "localhost:4318"})


def test_a_span_hangs_below_the_one_it_follows_from(receiver: Receiver) -> None:
    """Trace, parent, kind, attributes and failure arrive as they were said."""
    with (
        suppress(KeyError),
        span_from(SAMPLED, "deliver", kind="client", channel="slack") as span,
    ):
        handed = context_of(span.headers)
        assert exemplar(current_trace()) == {"trace_id": TRACE}
        {}["nothing"]
    stop_tracing()

    ((service, found),) = receiver.of_trace(TRACE)
    assert service == "leadpulse-tester"
    assert found.name == "deliver"
    assert found.parent_span_id.hex() == CALLER
    assert handed is not None
    assert found.span_id.hex() == handed.span_id != CALLER
    assert found.kind == 3  # CLIENT
    assert {a.key: a.value.string_value for a in found.attributes} == {
        "leadpulse.channel": "slack"
    }
    assert (found.status.code, found.status.message) == (2, "KeyError")


def test_the_sender_decides_and_the_share_is_of_the_others(receiver: Receiver) -> None:
    """Neither an unsampled trace nor, at a share of 0, a new one is recorded."""
    with span_from(UNSAMPLED, "one") as span:
        assert context_of(span.headers) is not None
        assert exemplar(current_trace()) is None
    with span_from([], "two") as span:
        again = context_of(span.headers)
        assert again is not None
        assert not again.sampled
    stop_tracing()

    assert receiver.spans == []


def test_a_batch_is_linked_to_every_trace_in_it(receiver: Receiver) -> None:
    """Each recorded trace of a batch has its own span; one batch span has them all."""
    other = "0af7651916cd43dd8448eb211c80319c"
    mine = [("traceparent", f"00-{other}-{CALLER}-01".encode())]
    with batch_span("score", [SAMPLED, [], UNSAMPLED, mine], events=4):
        pass
    with batch_span("score", [UNSAMPLED, []], events=2):
        pass
    stop_tracing()

    names = [(span.trace_id.hex(), span.name) for _, span in receiver.spans]
    assert sorted(names) == sorted(
        [(TRACE, "score batch"), (TRACE, "score"), (other, "score")]
    )
    (batch,) = (span for _, span in receiver.spans if span.name == "score batch")
    assert [link.trace_id.hex() for link in batch.links] == [other]
    for _, span in receiver.spans:
        if span is not batch:
            assert [link.span_id for link in span.links] == [batch.span_id]


def test_a_receiver_that_refuses_harms_nobody(receiver: Receiver) -> None:
    """Spans that are not taken are counted as lost, and that is all."""
    receiver.status = 400
    before = metrics.SPANS.labels("lost")._value.get()
    with span_from(SAMPLED, "deliver"):
        pass
    stop_tracing()

    assert metrics.SPANS.labels("lost")._value.get() == before + 1

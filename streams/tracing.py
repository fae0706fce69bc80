"""Traces: one line from the call that brought an event to the message a person gets.

The W3C `traceparent` travels in HTTP and Kafka headers whether or not anybody
records; spans are recorded by OpenTelemetry once an endpoint is set (ADR 0031).
A role says `configure_tracing` once, and then, around what it does for a record::

    with span_from(record.headers(), "deliver alert", channel="slack") as span:
        ...  # logs in here carry the trace's id
        headers = span.headers  # for what goes on to others

Without an endpoint a span costs a look at the headers, and hands on what came.
"""

import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.metadata import version
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

import structlog

from streams import metrics
from streams.errors import UserError

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
    from opentelemetry.trace import Span as Recorded
    from opentelemetry.trace import Tracer

    from streams.settings import Settings

HEADER_TRACEPARENT: Final = "traceparent"

Headers = Iterable[tuple[str, str | bytes | None]]
Kind = Literal["server", "consumer", "producer", "client", "internal"]

_TRACEPARENT: Final = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})"
)
_SAMPLED: Final = 1
_MOST_SPANS: Final = 128
"""Spans of records in one batch; the others of a sampled batch are only counted."""
_EXPORT_SECONDS: Final = 10.0

_log = structlog.get_logger(__name__)


class TelemetryMissingError(UserError):
    """An endpoint is set, and what would send to it is not installed."""

    exit_code: ClassVar[int] = 2

    def __init__(self) -> None:
        """Say what to install, or what to unset."""
        super().__init__(
            "LEADPULSE_OTLP_ENDPOINT is set and OpenTelemetry is not installed: "
            "pip install 'leadpulse[telemetry]', or unset it"
        )


class TraceContext:
    """The W3C name of a span: its trace, itself, and whether anybody records it."""

    __slots__ = ("flags", "span_id", "trace_id")

    def __init__(self, trace_id: str, span_id: str, flags: int) -> None:
        """Name a span by lower-case hexadecimal ids."""
        self.trace_id = trace_id
        self.span_id = span_id
        self.flags = flags

    @property
    def sampled(self) -> bool:
        """Whether the trace is being recorded."""
        return bool(self.flags & _SAMPLED)

    def __str__(self) -> str:
        """Return it as the value of a `traceparent` header."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags:02x}"


def parse_traceparent(text: str | bytes | None) -> TraceContext | None:
    """Return what a `traceparent` says, None if it is not one.

    >>> context = parse_traceparent("00-" + "a" * 32 + "-" + "b" * 16 + "-01")
    >>> context.sampled, str(context)[:6]
    (True, '00-aaa')
    >>> parse_traceparent("00-" + "0" * 32 + "-" + "b" * 16 + "-01")
    """
    if isinstance(text, bytes):
        text = text.decode("ascii", "replace")
    found = None if text is None else _TRACEPARENT.fullmatch(text)
    if found is None:
        return None
    return TraceContext(found[1], found[2], int(found[3], 16))


def context_of(headers: Headers | None) -> TraceContext | None:
    """Return the span that a record's headers name, None if they name none."""
    for name, value in headers or ():
        if name == HEADER_TRACEPARENT:
            return parse_traceparent(value)
    return None


_current: ContextVar[TraceContext | None] = ContextVar("trace", default=None)


def current_trace() -> TraceContext | None:
    """Return the span that is under way here: what logs and exemplars name."""
    return _current.get()


def exemplar(context: TraceContext | None) -> dict[str, str] | None:
    """Return what ties an observation to its trace; None if nobody records it."""
    if context is None or not context.sampled:
        return None
    return {"trace_id": context.trace_id}


class Span:
    """Something under way. Without a recorder it only knows where it belongs."""

    __slots__ = ("_recorded", "context")

    def __init__(
        self, context: TraceContext | None, recorded: "Recorded | None" = None
    ) -> None:
        """Stand for `recorded`, or for nobody's."""
        self.context = context
        self._recorded = recorded

    @property
    def headers(self) -> list[tuple[str, bytes]]:
        """The headers of what follows from this; empty outside of any trace."""
        if self.context is None:
            return []
        return [(HEADER_TRACEPARENT, str(self.context).encode())]

    def note(self, **attributes: str | float) -> None:
        """Say more of what is done; ids and counts, never personal data."""
        if self._recorded is not None:
            self._recorded.set_attributes(_attributes(attributes))

    def fail(self, reason: str) -> None:
        """Mark it as failed; `reason` is one of few words, never personal data."""
        if self._recorded is not None:
            from opentelemetry.trace import StatusCode  # noqa: PLC0415 - loaded by now

            self._recorded.set_status(StatusCode.ERROR, reason)


class _Recorder:
    """OpenTelemetry's tracer of this process."""

    def __init__(self, tracer: "Tracer", shutdown: Any) -> None:
        from opentelemetry import trace  # noqa: PLC0415 - see `configure_tracing`

        self.tracer = tracer
        self.shutdown = shutdown
        self._trace = trace
        self._kinds: dict[Kind, Any] = {
            "server": trace.SpanKind.SERVER,
            "consumer": trace.SpanKind.CONSUMER,
            "producer": trace.SpanKind.PRODUCER,
            "client": trace.SpanKind.CLIENT,
            "internal": trace.SpanKind.INTERNAL,
        }

    def start(
        self,
        name: str,
        parent: TraceContext | None,
        *,
        kind: Kind,
        attributes: Mapping[str, str | float],
        links: Sequence[TraceContext] = (),
        started: int | None = None,
    ) -> "Recorded":
        return self.tracer.start_span(
            name,
            self._context(parent),
            self._kinds[kind],
            _attributes(attributes),
            [self._trace.Link(self._remote(each)) for each in links],
            started,
        )

    def _context(self, parent: TraceContext | None) -> "Context":
        from opentelemetry.context import Context  # noqa: PLC0415 - loaded by now

        if parent is None:
            return Context()  # a root, whatever the thread is in
        span = self._trace.NonRecordingSpan(self._remote(parent))
        return self._trace.set_span_in_context(span, Context())

    def _remote(self, context: TraceContext) -> Any:
        return self._trace.SpanContext(
            int(context.trace_id, 16),
            int(context.span_id, 16),
            is_remote=True,
            trace_flags=self._trace.TraceFlags(context.flags),
        )


_recorder: _Recorder | None = None


def configure_tracing(settings: "Settings", role: str) -> None:
    """Let this process record spans if an endpoint is set, else none.

    Raises
    ------
    TelemetryMissingError
        When an endpoint is set and OpenTelemetry is not installed.
    """
    global _recorder  # noqa: PLW0603 - one per process, as the logs
    stop_tracing()
    if not settings.otlp_endpoint:
        return
    try:
        _recorder = _make_recorder(settings, role)
    except ImportError:
        raise TelemetryMissingError from None
    _log.info("tracing", endpoint=settings.otlp_endpoint, share=settings.trace_share)


def stop_tracing() -> None:
    """Send what was recorded, then record no more."""
    global _recorder  # noqa: PLW0603 - see `configure_tracing`
    if _recorder is not None:
        _recorder.shutdown()
        _recorder = None


@contextmanager
def span_from(
    headers: Headers | None,
    name: str,
    *,
    kind: Kind = "consumer",
    **attributes: str | float,
) -> Iterator[Span]:
    """Be in a span that follows from what `headers` name; an exception fails it."""
    parent = context_of(headers)
    if _recorder is None:
        token = _current.set(parent)
        try:
            yield Span(parent)
        finally:
            _current.reset(token)
        return
    recorded = _recorder.start(name, parent, kind=kind, attributes=attributes)
    context = _named(recorded)
    token = _current.set(context)
    span = Span(context, recorded)
    try:
        yield span
    except BaseException as error:
        span.fail(type(error).__name__)
        raise
    finally:
        _current.reset(token)
        recorded.end()


@contextmanager
def batch_span(
    name: str, records: Iterable[Headers], **attributes: str | float
) -> Iterator[None]:
    """Be in a span of many records, linked to every trace of theirs that is recorded.

    Each of those traces gets a span of its own as long as the batch, so that it can
    be followed alone. Nothing is recorded where no record's trace is.
    """
    if _recorder is None:
        yield
        return
    recorder = _recorder
    contexts = (context_of(headers) for headers in records)
    sampled = [
        *islice((c for c in contexts if c is not None and c.sampled), _MOST_SPANS)
    ]
    if not sampled:
        yield
        return
    started = time.time_ns()
    batch = recorder.start(
        f"{name} batch",
        # As a root it would be left to chance whether it is recorded at all.
        sampled[0],
        kind="consumer",
        attributes=attributes,
        links=sampled[1:],
        started=started,
    )
    try:
        yield
    finally:
        of_batch = [_named(batch)]
        ended = time.time_ns()
        for context in sampled:
            recorder.start(
                name,
                context,
                kind="consumer",
                attributes={},
                links=of_batch,
                started=started,
            ).end(ended)
        batch.end(ended)


def _named(recorded: "Recorded") -> TraceContext:
    context = recorded.get_span_context()
    return TraceContext(
        f"{context.trace_id:032x}", f"{context.span_id:016x}", context.trace_flags
    )


def _attributes(given: Mapping[str, str | float]) -> dict[str, str | float]:
    return {f"leadpulse.{name}": value for name, value in given.items()}


def _make_recorder(settings: "Settings", role: str) -> _Recorder:
    # A third of a second of imports: only for who asked for them.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter,
    )
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio  # noqa: PLC0415

    provider = TracerProvider(
        # Who comes with a trace has decided; the share is of those who do not.
        sampler=ParentBasedTraceIdRatio(settings.trace_share),
        resource=Resource.create(
            {
                "service.name": f"leadpulse-{role}",
                "service.namespace": settings.app_id,
                "service.version": version("leadpulse"),
            }
        ),
        shutdown_on_exit=True,
    )
    exporter = OTLPSpanExporter(
        endpoint=f"{settings.otlp_endpoint.rstrip('/')}/v1/traces",
        timeout=_EXPORT_SECONDS,
    )
    provider.add_span_processor(BatchSpanProcessor(_counted(exporter)))
    return _Recorder(provider.get_tracer("leadpulse"), provider.shutdown)


def _counted(exporter: "SpanExporter") -> "SpanExporter":
    """Return `exporter` with its results counted."""
    from opentelemetry.sdk.trace.export import (  # noqa: PLC0415 - see `_make_recorder`
        SpanExporter,
        SpanExportResult,
    )

    class Counted(SpanExporter):
        def export(self, spans: "Sequence[ReadableSpan]") -> "SpanExportResult":
            result = exporter.export(spans)
            word = "sent" if result is SpanExportResult.SUCCESS else "lost"
            metrics.SPANS.labels(word).inc(len(spans))
            return result

        def shutdown(self) -> None:
            exporter.shutdown()

    return Counted()

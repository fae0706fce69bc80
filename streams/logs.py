"""Logging: one line per fact, JSON off a terminal, ids only.

Records of the libraries (uvicorn, Faust, librdkafka) come out in the same shape.
"""

import logging
import sys
import time
from collections.abc import Mapping, MutableMapping
from typing import Any, Final, TextIO

import msgspec
import structlog

from streams.settings import Settings
from streams.tracing import current_trace

_SECRET: Final = frozenset(
    {"authorization", "cookie", "email", "password", "redis_url", "secret", "write_key"}
)
"""Keys whose values are never written, should one be passed by mistake."""

_CHATTY: Final = ("aiokafka", "asyncio", "faust", "kafka", "mode", "uvicorn")
_AT_ONCE: Final = 5
"""How often a library may say the same in one spell."""
_SPELL_SECONDS: Final = 30.0
_MOST_KNOWN: Final = 1_000


class FewerRepetitions(logging.Filter):
    """Bounds what libraries say while Kafka is away: many lines a second, all alike.

    What is alike has the same text before its values are put in. After a few of them
    the rest of a spell is left out; the next line says how many that were.
    """

    def __init__(self) -> None:
        """Begin with nothing said."""
        super().__init__()
        self._said: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether a line is written."""
        if record.name.partition(".")[0] not in _CHATTY:
            return True
        what, now = (record.name, str(record.msg)), time.monotonic()
        if len(self._said) > _MOST_KNOWN:  # texts that are never alike
            self._said.clear()
        began, count = self._said.get(what, (now, 0))
        if now - began > _SPELL_SECONDS:
            if count > _AT_ONCE:
                left_out = count - _AT_ONCE
                record.msg = f"{record.getMessage()} ({left_out} like it left out)"
                record.args = None
            began, count = now, 0
        self._said[what] = began, count + 1
        return count < _AT_ONCE


def configure_logging(
    settings: Settings, role: str, *, stream: TextIO | None = None
) -> None:
    """Make every later log line go to `stream` (standard error) as settings say."""
    out = sys.stderr if stream is None else stream
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    as_json = settings.log_format == "json" or (
        settings.log_format == "auto" and not out.isatty()
    )
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _role(role),
        _trace,
        _redact,
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(serializer=_to_json)
        if as_json
        else structlog.dev.ConsoleRenderer(colors=out.isatty())
    )
    exceptions = [structlog.processors.format_exc_info] if as_json else []
    structlog.configure(
        processors=[*shared, *exceptions, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.addFilter(FewerRepetitions())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *exceptions,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _CHATTY:
        # Their INFO is our DEBUG; building it costs a third of a send (FAUST.md §2).
        quiet = level if level <= logging.DEBUG else max(level, logging.WARNING)
        logging.getLogger(name).setLevel(quiet)


def _role(role: str) -> structlog.typing.Processor:
    def add(
        _logger: object, _method: str, event: MutableMapping[str, Any]
    ) -> Mapping[str, Any]:
        event["role"] = role
        return event

    return add


def _trace(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> Mapping[str, Any]:
    """Name the trace that the line belongs to, if it belongs to one."""
    if (context := current_trace()) is not None:
        event.setdefault("trace_id", context.trace_id)
        event.setdefault("span_id", context.span_id)
    return event


def _redact(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> Mapping[str, Any]:
    for key in _SECRET & event.keys():
        event[key] = "<secret>"
    return event


def _to_json(event: Mapping[str, Any], **_: object) -> str:
    return msgspec.json.encode(event, enc_hook=repr).decode()

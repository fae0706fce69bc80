"""HTTP/1.1 for clients that are slow or never finish: they do not keep a connection.

uvicorn waits for ever for the end of a request's head, and for the rest of a body whose
answer was given early. Here both have a limit; bodies have theirs where they are read.
"""

import asyncio
from typing import Final

import msgspec
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

HEAD_SECONDS: Final = 10.0
"""How long a client may take from the first byte of a head to its last."""
HEAD_BYTES: Final = 65_536
"""What a request's line and headers may weigh."""


class ImpatientProtocol(HttpToolsProtocol):
    """uvicorn's protocol with an end to heads, and to what nobody reads any more."""

    _timer: asyncio.TimerHandle | None = None
    _in_head = False
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, that has as long to speak as one that is kept alive."""
        super().connection_made(transport)
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_timer()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came; without a request under way the time for a head begins."""
        if self.transport.is_closing():
            return
        cycle: RequestResponseCycle | None = self.cycle
        if self._timer is None and (cycle is None or cycle.response_complete):
            self._timer = self.loop.call_later(HEAD_SECONDS, self._too_slow)
        super().data_received(data)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self._refuse(431, "too-large", f"a head has at most {HEAD_BYTES} bytes")

    def on_message_begin(self) -> None:
        """Begin to weigh a head."""
        self._in_head = True
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Start the request: its head came in time."""
        self._in_head = False
        self._stop_timer()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """End a request; if it was answered before, the rest came in time too."""
        super().on_message_complete()
        if self.cycle.response_complete:
            self._stop_timer()

    def _too_slow(self) -> None:
        self._timer = None
        if self._in_head:
            why = f"the head of the request did not arrive within {HEAD_SECONDS:g} s"
            self._refuse(408, "too-slow", why)
        else:  # the rest of a body that was answered long ago
            self.transport.close()

    def _refuse(self, status: int, reason: str, detail: str) -> None:
        self._stop_timer()
        if self.transport.is_closing():
            return
        self.note_refusal(status, reason)
        body = msgspec.json.encode(
            {"success": False, "error": {"reason": reason, "detail": detail}}
        )
        self.transport.write(
            b"%scontent-type: application/json\r\ncontent-length: %d\r\n"
            b"connection: close\r\n\r\n%s" % (STATUS_LINE[status], len(body), body)
        )
        self.transport.close()

    def note_refusal(self, status: int, reason: str) -> None:
        """Count what was refused before it was a request; a role's own."""

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

"""A TCP proxy on loopback that can be cut and slowed: the network between two roles.

Kept proxies come as containers or binaries of another language, which this suite
would have to fetch; what is needed of one is below (docs/adr/0033).
"""

import asyncio
import ssl
import threading
from contextlib import suppress
from typing import Self

from streams.processes import LOOPBACK, free_port

_CHUNK = 65_536
_END_SECONDS = 5.0


class Network:
    """Passes bytes between its own port and a server's; runs in a thread."""

    def __init__(self, upstream: int, *, tls: ssl.SSLContext | None = None) -> None:
        """Lead to the port `upstream`; nothing is passed on before `start`.

        With `tls` it is spoken on this side, as a server's proxy does.
        """
        self._tls = tls
        self.port = free_port()
        self._upstream = upstream
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._delay = 0.0
        self._cut = False

    def start(self) -> Self:
        """Pass bytes on from now on."""
        self._thread.start()
        serving = asyncio.start_server(
            self._connected, LOOPBACK, self.port, ssl=self._tls
        )
        self._server = asyncio.run_coroutine_threadsafe(serving, self._loop).result(10)
        return self

    def cut(self) -> None:
        """Break every connection and refuse new ones."""
        self._cut = True
        self._loop.call_soon_threadsafe(self._break)

    def slow(self, seconds: float) -> None:
        """Let every chunk take this long, each way."""
        self._delay = seconds

    def heal(self) -> None:
        """Be as fast as loopback again."""
        self._cut, self._delay = False, 0.0

    def stop(self) -> None:
        """Pass nothing on any more."""
        self.cut()
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        self._break()  # whoever passes bytes ends by that
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            await asyncio.wait(others, timeout=_END_SECONDS)

    def _break(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if self._cut:
            writer.transport.abort()
            return
        with suppress(OSError):
            far_reader, far_writer = await asyncio.open_connection(
                LOOPBACK, self._upstream
            )
            both = (writer, far_writer)
            self._writers.update(both)
            try:
                await asyncio.gather(
                    self._pass(reader, far_writer), self._pass(far_reader, writer)
                )
            finally:
                self._writers.difference_update(both)
                for each in both:
                    each.transport.abort()
            return
        writer.transport.abort()

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(_CHUNK):
                if self._delay:
                    await asyncio.sleep(self._delay)
                writer.write(data)
                await writer.drain()
        writer.transport.abort()

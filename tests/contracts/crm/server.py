"""A server on loopback that answers as a CRM's documents say, and fails on request."""

import json
import threading
from collections import deque
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import msgspec

from streams.sinks.language import Source

SECRET: Final = "s3cr3t-of-the-crm"
TOKEN: Final = "t0ken-of-the-crm"

Fields = dict[str, Any]


class Fault(msgspec.Struct, frozen=True):
    """How a request goes wrong before the CRM looks at it."""

    status: int = 0
    headers: Mapping[str, str] = {}
    body: str = "{}"
    drop: bool = False
    """Close the connection without an answer."""
    silent: bool = False
    """Say nothing until the server stops."""


class Answer(msgspec.Struct, frozen=True):
    """What the CRM answers."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = {}


class Asked(msgspec.Struct, frozen=True):
    """One request."""

    method: str
    path: str
    query: dict[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body or b"null")


class CrmServer:
    """Records in memory behind HTTP; a vendor's subclass says how one asks for them."""

    kind: str
    match: str
    """The field that records are found by."""
    names: Mapping[Source, str]
    """The CRM's names of what a score update has."""
    more = ""
    """More lines of the sink's file."""
    expires = False
    """Whether tokens are got anew when they have expired."""

    def __init__(self) -> None:
        self.records: dict[str, Fields] = {}
        self.faults: deque[Fault] = deque()
        self.asked: list[Asked] = []
        self.tokens = [TOKEN]
        self.longest_text = 200
        self._ids = iter(range(1, 1_000_000))
        self._stopping = threading.Event()
        crm = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 60
            wbufsize = -1  # an answer is one packet

            def do_any(self) -> None:
                length = int(self.headers.get("content-length") or 0)
                parts = urlsplit(self.path)
                asked = Asked(
                    self.command,
                    parts.path,
                    dict(parse_qsl(parts.query)),
                    {name.lower(): text for name, text in self.headers.items()},
                    self.rfile.read(length),
                )
                crm.asked.append(asked)
                self._tell(crm._answer(asked))

            do_GET = do_POST = do_PATCH = do_any  # noqa: N815 - the library's names

            def _tell(self, answer: Answer | None) -> None:
                self.close_connection = answer is None
                if answer is None:
                    return
                raw = answer.body
                body = raw if isinstance(raw, bytes) else json.dumps(raw).encode()
                self.send_response(answer.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                for name, text in answer.headers.items():
                    self.send_header(name, text)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Say nothing: the test says what is wrong."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop answering."""
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def add(self, **fields: Any) -> str:
        """Put a record there, as somebody in sales would; return its id."""
        number = str(next(self._ids))
        self.records[number] = {"id": number, **fields}
        return number

    def record(self, key: str) -> Fields | None:
        """Return the record that is found by `key`."""
        found = (each for each in self.records.values() if each[self.match] == key)
        return next(found, None)

    def value(self, key: str, source: Source) -> Any:
        """Return what a record says of a lead; None for nothing."""
        record = self.record(key) or {}
        return record.get(self.names[source]) or None

    def known(self, name: str) -> bool:
        """Say whether the CRM has a field of this name."""
        return name in {"id", self.match, *self.names.values()}

    def wrong(self, fields: Mapping[str, Any]) -> str:
        """Return the name of a field whose value the CRM does not take."""
        for name, value in fields.items():
            if isinstance(value, str) and len(value) > self.longest_text:
                return name
        return ""

    def yaml(self, *, create: bool, timeout: str) -> str:
        """Return the sink's file that is made for this CRM."""
        fields = "\n".join(
            f"  '{name}': {{value: {source}, longest: 2000}}"
            if source in {"reasons", "owner"}
            else f"  '{name}': {source}"
            for source, name in self.names.items()
        )
        return (
            f"sink: crm\nkind: {self.kind}\nurl: {self.url}\n{self.more}"
            f"match: {{field: '{self.match}', by: email}}\nfields:\n{fields}\n"
            f"timeout: {timeout}\nwait: 50ms\nrate: 1000/second\n"
            + (self.creating if create else "")
        )

    creating = "create: {}\n"

    def answer(self, asked: Asked) -> Answer:
        """Answer a request that nothing is wrong with on the way."""
        raise NotImplementedError

    def _answer(self, asked: Asked) -> Answer | None:
        if self.faults:
            fault = self.faults.popleft()
            if fault.silent:
                self._stopping.wait(30)
            if fault.silent or fault.drop:
                return None
            return Answer(fault.body.encode(), fault.status, fault.headers)
        return self.answer(asked)

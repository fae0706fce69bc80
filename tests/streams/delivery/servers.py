"""Real servers on loopback that answer as those of others document."""

import contextlib
import json
import ssl
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from streams.processes import free_port

OK = (200, b"ok", {})


@dataclass
class Request:
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.body)


@dataclass
class HttpServer:
    """Answers what it is told to, then `usual`; keeps every request."""

    usual: tuple[int, bytes, dict[str, str]] = OK
    planned: deque[Any] = field(default_factory=deque)
    """Answers, or `drop`, or seconds to be slow for."""
    requests: list[Request] = field(default_factory=list)
    port: int = 0
    answer_to: Any = None
    """A function of the request that answers in place of all the rest."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextlib.contextmanager
def http_server() -> Iterator[HttpServer]:
    state = HttpServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request(self.path, headers, body)
            state.requests.append(request)
            plan = state.planned.popleft() if state.planned else state.usual
            if state.answer_to is not None:
                plan = state.answer_to(request)
            if plan == "drop":
                self.close_connection = True
                self.connection.close()
                return
            if isinstance(plan, float):
                time.sleep(plan)
                plan = state.usual
            status, content, more = plan
            self.send_response(status)
            for name, value in more.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """Say nothing of connections that were dropped on purpose."""

    server = Server(("127.0.0.1", 0), Handler)
    state.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class MailServer:
    """An SMTP server: takes mails, or replies what it is told to."""

    user: str = "leadpulse"
    password: str = "hunter2-smtp"
    planned: deque[str] = field(default_factory=deque)
    """Replies to the data of mails; `drop` ends the connection."""
    recipient_replies: deque[str] = field(default_factory=deque)
    mails: list[tuple[list[str], bytes]] = field(default_factory=list)
    passwords: list[bytes] = field(default_factory=list)
    """What was shown, right or wrong."""
    port: int = 0

    async def handle_RCPT(
        self,
        server: SMTP,
        session: Session,
        envelope: Envelope,
        address: str,
        options: list[str],
    ) -> str:
        if self.recipient_replies:
            return self.recipient_replies.popleft()
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        plan = self.planned.popleft() if self.planned else ""
        if plan == "drop":
            server.transport.abort()
            return "421 gone"
        if plan:
            return plan
        content = envelope.content
        assert isinstance(content, bytes)
        self.mails.append((list(envelope.rcpt_tos), content))
        return "250 OK"

    def authenticated(
        self,
        server: SMTP,
        session: Session,
        envelope: Envelope,
        mechanism: str,
        auth: Any,
    ) -> AuthResult:
        assert isinstance(auth, LoginPassword)
        self.passwords.append(auth.password)
        right = auth == LoginPassword(self.user.encode(), self.password.encode())
        return AuthResult(success=right, handled=False)


@contextlib.contextmanager
def mail_server(
    tls: ssl.SSLContext | None = None, *, at_once: bool = False
) -> Iterator[MailServer]:
    """Serve mail, with STARTTLS or with TLS from the first byte on."""
    state = MailServer(port=free_port())
    controller = Controller(
        state,
        hostname="127.0.0.1",
        port=state.port,
        tls_context=None if at_once else tls,
        ssl_context=tls if at_once else None,
        require_starttls=tls is not None and not at_once,
        authenticator=state.authenticated,
        auth_require_tls=False,
        auth_required=False,
    )
    controller.start()
    try:
        yield state
    finally:
        controller.stop()

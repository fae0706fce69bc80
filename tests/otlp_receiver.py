"""A real OTLP/HTTP receiver on loopback: what telemetry is exported to in tests."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
)


class Receiver:
    """Keeps every span that was exported, with the service it came from."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, Any]] = []
        self.status = 200
        self.url = ""

    def take(self, path: str, body: bytes) -> None:
        assert path == "/v1/traces"
        request = ExportTraceServiceRequest.FromString(body)
        for of_resource in request.resource_spans:
            attributes = {
                each.key: each.value.string_value
                for each in of_resource.resource.attributes
            }
            self.spans += [
                (attributes["service.name"], span)
                for scope in of_resource.scope_spans
                for span in scope.spans
            ]

    def of_trace(self, trace_id: str) -> list[tuple[str, Any]]:
        return [each for each in self.spans if each[1].trace_id.hex() == trace_id]

    def names(self, trace_id: str) -> set[str]:
        return {f"{service}: {span.name}" for service, span in self.of_trace(trace_id)}


@contextmanager
def otlp_receiver() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            if receiver.status == 200:
                receiver.take(self.path, body)
            self.send_response(receiver.status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

"""What a role serves beside its metrics: two probes, and nothing that looks so."""

import socket
import time
import urllib.error
import urllib.request

import pytest

from streams import metrics_server
from streams.metrics_server import start_metrics_server
from streams.settings import Settings


def get(port: int, path: str) -> tuple[int, str]:
    url = f"http://127.0.0.1:{port}{path}"
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_a_role_without_trouble_of_its_own_is_well(path: str) -> None:
    """Its probes answer that, not the metrics; and those carry no `_created` series."""
    port = start_metrics_server(Settings(metrics_port=0), "tester")

    assert get(port, path) == (200, "ok\n")
    status, text = get(port, "/metrics")
    assert status == 200
    assert "leadpulse_build_info" in text
    assert "_created" not in text


def test_a_probe_says_what_is_wrong() -> None:
    """503 and the reason in words; the other probe is asked by itself."""
    probes = {"/readyz": lambda: "recovering"}
    port = start_metrics_server(Settings(metrics_port=0), "tester", probes=probes)

    assert get(port, "/readyz") == (503, "recovering\n")
    assert get(port, "/healthz") == (200, "ok\n")


def test_who_says_nothing_is_let_go(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A connection without a request ends by itself, and is nothing for the log."""
    monkeypatch.setattr(metrics_server._Handler, "timeout", 0.2)
    port = start_metrics_server(Settings(metrics_port=0), "tester")
    with socket.create_connection(("127.0.0.1", port), timeout=10) as peer:
        peer.sendall(b"GET /met")
        assert peer.recv(100) == b""

    assert get(port, "/healthz") == (200, "ok\n")
    assert "Traceback" not in capfd.readouterr().err


def test_who_trickles_is_let_go(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A request that comes byte by byte has an end, and is nothing for the log."""
    monkeypatch.setattr(metrics_server._Handler, "patience", 0.3)
    port = start_metrics_server(Settings(metrics_port=0), "tester")
    over = time.monotonic() + 30
    with socket.create_connection(("127.0.0.1", port), timeout=0.05) as peer:
        ended = False
        while not ended:
            assert time.monotonic() < over, "it still listens"
            try:
                peer.sendall(b"G")
                ended = not peer.recv(100)
            except TimeoutError:
                continue
            except ConnectionError:
                ended = True

    assert get(port, "/healthz") == (200, "ok\n")
    assert "Traceback" not in capfd.readouterr().err

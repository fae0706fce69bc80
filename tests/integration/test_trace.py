"""One trace, from the call of a site to the message in Slack, through every role."""

import json
from pathlib import Path

import httpx
import pytest

from streams.settings import load_settings
from streams.supervisor import Stack
from tests.otlp_receiver import otlp_receiver
from tests.streams.delivery.servers import http_server
from tests.waiting import wait_until

pytestmark = pytest.mark.integration

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRAITS = {
    "email": "ada@initech.example",
    "employees": 50,
    "annual_revenue": 20_000_000,
    "industry": "technology",
    "budget": 100_000,
    "lifecycle_stage": "decision",
}
DELIVERY = """
language: en
zone: UTC
targets:
  sales: {{kind: slack, channel: C024BE91L, api: "{url}/"}}
routes:
  - name: everything
    to: sales
"""


def test_a_call_is_followed_to_the_message(tmp_path: Path) -> None:
    """Collector, worker and delivery record one trace; their logs name it, too."""
    with otlp_receiver() as receiver, http_server() as slack:
        slack.usual = (200, b'{"ok": true, "channel": "C024BE91L", "ts": "1.0"}', {})
        path = tmp_path / "delivery.yaml"
        path.write_text(DELIVERY.format(url=slack.url), encoding="utf-8")
        settings = load_settings(
            {
                "LEADPULSE_OTLP_ENDPOINT": receiver.url,
                "LEADPULSE_TRACE_SHARE": "0",
                "LEADPULSE_DELIVERY_PATH": str(path),
                "LEADPULSE_DELIVERY_SECRETS": "sales=xoxb-0123456789abcdef",
                "LEADPULSE_WRITE_KEYS": "website=k-0123456789abcdef",
                "LEADPULSE_PARTITIONS": "2",
            },
            data_dir=tmp_path / "stack",
            collector_port=0,
            metrics_port=0,
        )
        with Stack(settings) as stack:
            send(stack)
            wait_until(
                lambda: any("postMessage" in each.path for each in slack.requests),
                within=30,
                what="the message in Slack",
            )
        # The stack has stopped in good order, so everything was exported.
        names = receiver.names(TRACE)
        spans = receiver.of_trace(TRACE)

    assert {
        "leadpulse-collector: POST /v1/batch",
        "leadpulse-worker: score",
        "leadpulse-delivery: deliver",
    } <= names
    by_id = {span.span_id: span for _, span in spans}
    for service, span in spans:
        if service == "leadpulse-collector":
            assert span.parent_span_id.hex() == CALLER
        elif span.name in {"score", "deliver"}:
            assert by_id[span.parent_span_id].name == "POST /v1/batch"
    assert len({span.trace_id for _, span in receiver.spans}) == 1
    log = (tmp_path / "stack" / "logs" / "collector.log").read_text(encoding="utf-8")
    (request,) = (
        json.loads(line) for line in log.splitlines() if '"event":"request"' in line
    )
    assert request["trace_id"] == TRACE


def send(stack: Stack) -> None:
    """Let Ada become hot, in one call that its sender traces."""
    calls = [
        {"type": "identify", "userId": "ada", "traits": TRAITS},
        *(
            {
                "type": "track",
                "userId": "ada",
                "event": "Content Downloaded",
                "properties": {"asset_id": f"a{number}", "asset_type": "ebook"},
            }
            for number in range(3)
        ),
        {"type": "track", "userId": "ada", "event": "Demo Requested"},
    ]
    answer = httpx.post(
        f"{stack.collector_url}/v1/batch",
        json={"batch": calls},
        auth=(stack.write_key, ""),
        headers={"traceparent": f"00-{TRACE}-{CALLER}-01"},
        timeout=30,
    )
    assert answer.status_code == 200, answer.text

"""The OpenAPI document: true of the running collector, and whole."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import schemathesis
import yaml
from hypothesis import given
from hypothesis import settings as drawn
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.routing import Route

from streams.clock import SystemClock
from streams.collector.app import all_providers, create_app, describe
from streams.collector.openapi import OPENAPI_PATH
from streams.event_log import KafkaEventLog
from streams.settings import Settings
from streams.topics_admin import create_topics
from tests.streams.collector.conftest import running

_CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
_UNLISTED = {"/docs", OPENAPI_PATH}


def _settings(**given: object) -> Settings:
    return Settings.model_validate(
        {
            "write_keys": "website=wk-1",
            "link_secrets": "s" * 32,
            "collector_port": 0,
            "metrics_port": 0,
            **given,
        }
    )


@pytest.fixture(scope="module")
def collector(
    broker: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """A running collector that answers whatever there is."""
    unique = f"t{uuid.uuid4().hex[:8]}"
    settings = _settings(
        bootstrap=broker,
        partitions=1,
        topic_prefix=f"{unique}.",
        data_dir=tmp_path_factory.mktemp("collector"),
    )
    create_topics(settings)
    with running(settings) as (client, _):
        yield client


_DOCUMENT = describe(_settings(), all_providers(_settings()))
_SCHEMA = schemathesis.openapi.from_dict(_DOCUMENT)
_OPERATIONS = {
    f"{operation.method.upper()} {operation.path}": operation
    for operation in (result.ok() for result in _SCHEMA.get_all_operations())
}


@pytest.mark.hypothesis
@pytest.mark.parametrize("name", _OPERATIONS)
def test_whatever_comes_is_answered_as_documented(
    name: str, collector: httpx.Client
) -> None:
    """No request that the document allows has an answer that it does not."""
    operation = _OPERATIONS[name]
    # Every one is a round trip to the broker; ten times as many routes as laws.
    few = max(2, drawn().max_examples // 10)

    @drawn(max_examples=few)
    @given(case=operation.as_strategy(), known=st.booleans())
    def answered(case: schemathesis.Case, *, known: bool) -> None:
        case.call_and_validate(
            base_url=str(collector.base_url),
            checks=_CHECKS,
            auth=("wk-1", "") if known else None,
            allow_redirects=False,
        )

    answered()


def test_every_route_is_described(broker: str, tmp_path: Path) -> None:
    """There is no route without a line in the document, and no line without one."""
    settings = _settings(bootstrap=broker, data_dir=tmp_path)
    app = create_app(settings, SystemClock(), KafkaEventLog(settings, name="none"))
    routes = {
        (route.path.replace(":path", ""), method)
        for route in app.routes
        if isinstance(route, Route)
        for method in route.methods or ()
        # Whoever answers GET answers HEAD, which needs no line of its own.
        if method != "HEAD" or "GET" not in (route.methods or ())
        if route.path not in _UNLISTED
    }
    described = {
        (path, method.upper())
        for path, item in _DOCUMENT["paths"].items()
        for method in item
        if method != "parameters"
    }

    assert routes == described


def test_it_is_served_as_it_is_written(collector: httpx.Client) -> None:
    """What a collector serves is what `leadpulse schema export` writes."""
    served = collector.get(OPENAPI_PATH)

    assert served.headers["content-type"] == "application/json"
    assert served.json() == _DOCUMENT
    written = Path(__file__).parents[3] / "docs" / "openapi.yaml"
    assert yaml.safe_load(written.read_text("utf-8")) == served.json()

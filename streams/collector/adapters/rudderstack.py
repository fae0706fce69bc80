"""RudderStack's browser SDK asks for its source before it sends: it is on, that is all.

What it then sends is Segment's API, which has its routes in `app`.
"""

from collections.abc import Sequence
from typing import Final

from streams.collector.adapters.provider import (
    Incoming,
    Outcome,
    Provider,
    Reply,
    Taken,
    keys_in_request,
)
from streams.collector.adapters.tracking import json_reply


def _keys(incoming: Incoming) -> Sequence[str]:
    asked = incoming.query.get("writeKey")
    return (asked,) if asked else keys_in_request(incoming)


def _config(incoming: Incoming, _: Outcome) -> Reply:
    """Return a source that is enabled, has no destinations, and reports no errors."""
    off = {"enabled": False}
    source = {
        "id": "leadpulse",
        "name": "leadpulse",
        "writeKey": _keys(incoming)[0],
        "enabled": True,
        "workspaceId": "leadpulse",
        "dataplanes": {},
        "destinations": [],
        "config": {"statsCollection": {"errors": off, "metrics": off}},
    }
    return json_reply({"source": source})


RUDDERSTACK_CONFIG: Final = Provider(
    name="rudderstack-config",
    adapt=lambda _incoming, _envelope: Taken(),
    paths=("/sourceConfig", "/sourceConfig/"),
    methods=("GET",),
    keys=_keys,
    answer_to=_config,
)

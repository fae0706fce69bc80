"""The OpenAPI document of the collector: every route it has, and what it answers.

It is made of the same rows as the routes themselves, mappings of an own folder
included, so a route cannot be missing from it.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final, get_args

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from schemas.dead_letter import DeadLetterReason
from streams.collector.adapters.provider import WEBHOOKS, Provider
from streams.collector.adapters.segment import Call

OPENAPI_PATH: Final = "/openapi.json"
OPENAPI_VERSION: Final = "3.1.0"

Document = dict[str, Any]

_JSON: Final = "application/json"
_ANY: Final = "*/*"
_SECURITY: Final[list[dict[str, list[str]]]] = [
    {"basic": []},
    {"bearer": []},
    {"query": []},
    {},
]
"""Keys may stand in bodies and paths too, so none of the schemes is a must."""


def document(
    *,
    version: str,
    calls: Mapping[str, Call | None],
    providers: Iterable[Provider],
    links: bool,
) -> Document:
    """Return the document of a collector with these routes.

    `calls` are Segment's paths with the call that each takes, None for a batch;
    `links` says whether links of one's own mails are answered.
    """
    paths: dict[str, Any] = {}
    for path, call in calls.items():
        paths[path] = {"post": _segment(path, call)}
    for provider in providers:
        for route in provider.routes:
            path, parameters = _path_of(route)
            paths[path] = {
                **({"parameters": parameters} if parameters else {}),
                **{
                    method.lower(): _provider(provider, route, method)
                    for method in provider.methods
                },
            }
    if links:
        paths |= _links()
    paths |= _operations()
    return {
        "openapi": OPENAPI_VERSION,
        "info": {
            "title": "Leadpulse collector",
            "version": version,
            "description": (
                "Takes events in. An answer of 2xx means that every accepted event is "
                "durable; after a 503 send the same request again."
            ),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "responses": _responses(),
            "securitySchemes": {
                "basic": {
                    "type": "http",
                    "scheme": "basic",
                    "description": "The write key as user, with an empty password.",
                },
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The write key.",
                },
                "query": {"type": "apiKey", "in": "query", "name": "write_key"},
            },
        },
    }


def openapi_endpoint(described: Document) -> Callable[[Request], Awaitable[Response]]:
    """Return what serves the document: encoded once."""
    body = msgspec.json.encode(described)

    async def serve(_: Request) -> Response:
        return Response(body, media_type=_JSON)

    return serve


def _segment(path: str, call: Call | None) -> dict[str, Any]:
    what = "a batch of calls" if call is None else f"one {call} call"
    return {
        "operationId": f"segment{path.replace('/', '-')}",
        "tags": ["segment"],
        "summary": f"Take {what} of Segment's API.",
        "security": _SECURITY,
        "requestBody": {
            "required": True,
            "description": (
                "gzip and deflate are understood, however they are called. Browsers "
                "may send it as text/plain."
            ),
            "content": {
                kind: {"schema": _ref("schemas", "Message" if call else "Batch")}
                for kind in (_JSON, "text/plain")
            },
        },
        "responses": {
            "200": {
                "description": "All that could be taken is durable.",
                "content": {_JSON: {"schema": _ref("schemas", "Verdict")}},
            },
            "400": {
                "description": "Nothing could be taken.",
                "content": {
                    _JSON: {
                        "schema": {
                            "anyOf": [
                                _ref("schemas", "Verdict"),
                                _ref("schemas", "Refusal"),
                            ]
                        }
                    }
                },
            },
            **{
                status: _ref("responses", "Refused")
                for status in ("401", "408", "413", "415")
            },
            "429": _ref("responses", "TooMany"),
            "503": _ref("responses", "NotDurable"),
        },
    }


def _provider(provider: Provider, route: str, method: str) -> dict[str, Any]:
    webhook = route.startswith(WEBHOOKS)
    described: dict[str, Any] = {
        "operationId": f"{provider.name}{route.replace('/', '-')}-{method.lower()}",
        "tags": ["webhooks" if webhook else "trackers"],
        "summary": f"Take what {provider.name} sends.",
        "description": (
            "In the provider's own format. It is answered as the provider's client "
            "expects; a signature is checked where the provider makes one."
        ),
        "security": _SECURITY,
        "responses": {
            "2XX": {"description": "All that could be taken is durable."},
            "4XX": {"description": "The request is refused as a whole."},
            "503": {"description": "Not durable: send it again."},
        },
    }
    if method != "GET":
        described["requestBody"] = {"content": {_ANY: {"schema": {}}}}
    return described


def _links() -> dict[str, Any]:
    token = {
        "name": "token",
        "in": "path",
        "required": True,
        "description": "Sealed by `leadpulse link`.",
        "schema": {"type": "string", "minLength": 1},
    }
    page: dict[str, Any] = {"text/html": {"schema": {"type": "string"}}}
    gone = {
        "400": {"description": "No link of ours.", "content": page},
        "410": {"description": "It has expired.", "content": page},
    }
    pixel: dict[str, Any] = {"image/gif": {"schema": {}}}
    return {
        "/o/{token}": {
            "parameters": [token],
            "get": {
                "operationId": "link-open",
                "tags": ["links"],
                "summary": "Count an opened mail.",
                "responses": {
                    status: {"description": "One pixel.", "content": pixel}
                    for status in ("200", "400", "410")
                },
            },
        },
        "/c/{token}": {
            "parameters": [token],
            "get": {
                "operationId": "link-click",
                "tags": ["links"],
                "summary": "Count a click and lead on.",
                "responses": {"302": {"description": "Where the link goes."}, **gone},
            },
        },
        **{
            f"/{path}/{{token}}": {
                "parameters": [token],
                "get": {
                    "operationId": f"link-{name}-page",
                    "tags": ["links"],
                    "summary": "Ask whether it is meant.",
                    "responses": {
                        "200": {
                            "description": "A page with a button.",
                            "content": page,
                        },
                        **gone,
                    },
                },
                "post": {
                    "operationId": f"link-{name}",
                    "tags": ["links"],
                    "summary": summary,
                    "requestBody": {"content": {_ANY: {"schema": {}}}},
                    "responses": {
                        "200": {"description": "Done, and durable.", "content": page},
                        **gone,
                        "4XX": {"description": "The body cannot be read."},
                        "503": {"description": "Not durable.", "content": page},
                    },
                },
            }
            for path, name, summary in (
                ("w", "work", "Say that a lead is taken up, or not a fit."),
                ("d", "digest", "Stop digests, by the button or in one click."),
            )
        },
        "/u/{token}": {
            "parameters": [token],
            "get": {
                "operationId": "link-unsubscribe-page",
                "tags": ["links"],
                "summary": "Ask whether it is meant.",
                "responses": {
                    "200": {"description": "A page with a button.", "content": page},
                    **gone,
                },
            },
            "post": {
                "operationId": "link-unsubscribe",
                "tags": ["links"],
                "summary": "Unsubscribe, by the button or in one click (RFC 8058).",
                "requestBody": {"content": {_ANY: {"schema": {}}}},
                "responses": {
                    "200": {"description": "Done, and durable.", "content": page},
                    **gone,
                    "4XX": {"description": "The body cannot be read."},
                    "503": {"description": "Not durable.", "content": page},
                },
            },
        },
    }


def _operations() -> dict[str, Any]:
    state = {
        "type": "object",
        "required": ["status"],
        "properties": {"status": {"type": "string"}},
    }
    return {
        "/lp.js": {
            "get": {
                "operationId": "snippet",
                "tags": ["snippet"],
                "summary": "The first-party snippet.",
                "responses": {
                    "200": {
                        "description": "JavaScript.",
                        "content": {"text/javascript": {"schema": {}}},
                    },
                    "304": {"description": "It has not changed."},
                },
            }
        },
        "/healthz": {
            "get": {
                "operationId": "alive",
                "tags": ["operations"],
                "summary": "Whether the process is alive.",
                "responses": {
                    "200": {
                        "description": "It is.",
                        "content": {_JSON: {"schema": state}},
                    }
                },
            }
        },
        "/readyz": {
            "get": {
                "operationId": "ready",
                "tags": ["operations"],
                "summary": "Whether events can be taken.",
                "responses": {
                    status: {
                        "description": text,
                        "content": {_JSON: {"schema": state}},
                    }
                    for status, text in (("200", "They can."), ("503", "Not now."))
                },
            }
        },
    }


def _schemas() -> dict[str, Any]:
    text = {"type": "string"}
    thing = {"type": "object", "additionalProperties": True}
    number = {"type": "integer", "minimum": 0}
    message = {
        "type": "object",
        "description": "A call of Segment's specification. One identifier is needed.",
        "properties": {
            "messageId": {**text, "description": "The same each time it is sent."},
            "type": {"enum": [*get_args(Call)]},
            "event": {**text, "description": "The name of a track call."},
            "userId": text,
            "anonymousId": text,
            "timestamp": {**text, "format": "date-time"},
            "sentAt": {**text, "format": "date-time"},
            "properties": thing,
            "traits": thing,
            "context": thing,
            "writeKey": text,
        },
        "additionalProperties": True,
    }
    rejection = {
        "type": "object",
        "required": ["index", "messageId", "reason", "detail"],
        "properties": {
            "index": {**number, "description": "Its place in the batch, from 0."},
            "messageId": {"type": ["string", "null"]},
            "reason": {"enum": [*get_args(DeadLetterReason)]},
            "detail": text,
        },
    }
    return {
        "Message": message,
        "Batch": {
            "type": "object",
            "required": ["batch"],
            "properties": {
                "batch": {"type": "array", "items": _ref("schemas", "Message")},
                "sentAt": {**text, "format": "date-time"},
                "context": thing,
                "writeKey": text,
            },
            "additionalProperties": True,
        },
        "Rejection": rejection,
        "Verdict": {
            "type": "object",
            "required": ["success", "accepted", "rejected"],
            "properties": {
                "success": {"type": "boolean"},
                "accepted": {**number, "description": "How many are durable."},
                "rejected": {"type": "array", "items": _ref("schemas", "Rejection")},
                "request_id": text,
            },
        },
        "Refusal": {
            "type": "object",
            "required": ["success", "error", "request_id"],
            "properties": {
                "success": {"const": False},
                "error": {
                    "type": "object",
                    "required": ["reason", "detail"],
                    "properties": {
                        "reason": text,
                        "detail": text,
                        "position": {
                            **number,
                            "description": "Where the body is no JSON, in bytes.",
                        },
                    },
                },
                "request_id": {**text, "description": "Of the log's line."},
            },
        },
    }


def _responses() -> dict[str, Any]:
    refusal = {_JSON: {"schema": _ref("schemas", "Refusal")}}
    wait = {
        "Retry-After": {
            "description": "Seconds to wait before it is sent again.",
            "schema": {"type": "integer", "minimum": 0},
            "required": True,
        }
    }
    return {
        "Refused": {
            "description": "The request is refused as a whole; `error` says why.",
            "content": refusal,
        },
        "TooMany": {
            "description": "The write key sends more than it may.",
            "headers": wait,
            "content": refusal,
        },
        "NotDurable": {
            "description": "Nothing is certain: send the same request again.",
            "headers": wait,
            "content": refusal,
        },
    }


def _path_of(route: str) -> tuple[str, list[dict[str, Any]]]:
    """Return a route as OpenAPI writes it, and the parameters of its braces."""
    names = [part.partition("}")[0].partition(":")[0] for part in route.split("{")[1:]]
    parameters = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "minLength": 1},
        }
        for name in names
    ]
    path = route
    for part in route.split("{")[1:]:
        inside = part.partition("}")[0]
        path = path.replace(f"{{{inside}}}", f"{{{inside.partition(':')[0]}}}")
    return path, parameters


def _ref(kind: str, name: str) -> dict[str, str]:
    return {"$ref": f"#/components/{kind}/{name}"}

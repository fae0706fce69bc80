"""The OpenAPI document of the API, made of the endpoints that are its routes."""

import re
from collections.abc import Iterable
from importlib.metadata import version
from typing import Any, Final

import msgspec

from streams.web.asking import Ask
from streams.web.endpoint import Endpoint
from streams.web.problems import Problem
from streams.web.registry import ENDPOINTS

OPENAPI_PATH: Final = "/api/openapi.json"
_REF: Final = "#/components/schemas/{name}"
_PARAMETER: Final = re.compile(r"{(\w+)(?::\w+)?}")
_ERRORS: Final = (400, 401, 403, 404, 409, 429, 503)

Document = dict[str, Any]


def document(endpoints: Iterable[Endpoint]) -> Document:
    """Return the document of those of `endpoints` that are the API's."""
    api = [each for each in endpoints if each.is_api]
    types = {each.answer for each in api} | {each.body for each in api}
    kinds = [Problem, *sorted((each for each in types if each is not None), key=repr)]
    schemas, components = msgspec.json.schema_components(kinds, ref_template=_REF)
    schema_of = dict(zip(map(repr, kinds), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for each in api:
        path = _PARAMETER.sub(r"{\1}", each.path)
        paths.setdefault(path, {})[each.method.lower()] = _operation(each, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Leadpulse",
            "version": version("leadpulse"),
            "description": "Ranked leads, accounts and alerts, live. Lists are paged"
            " by `cursor`; answers carry an ETag; errors are RFC 9457 problems.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(endpoint: Endpoint, schema_of: dict[str, Any]) -> dict[str, Any]:
    named = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PARAMETER.findall(endpoint.path)
    ]
    answer: dict[str, Any] = {"description": "The answer."}
    if endpoint.answer is not None:
        answer["content"] = {
            endpoint.kind: {"schema": schema_of[repr(endpoint.answer)]}
        }
    elif endpoint.kind != "application/json":
        answer["content"] = {endpoint.kind: {"schema": {"type": "string"}}}
    problem = {"schema": schema_of[repr(Problem)]}
    words = re.sub(r"[^a-z]+", " ", endpoint.path.removeprefix("/api/v1").lower())
    operation: dict[str, Any] = {
        "operationId": "_".join([endpoint.method.lower(), *words.split()]),
        "summary": endpoint.summary,
        "description": f"Least role: {endpoint.least or 'none'}.",
        "parameters": [*named, *_parameters(endpoint.query)],
        "responses": {
            "200": answer,
            **{
                str(status): {
                    "description": "Why not.",
                    "content": {"application/problem+json": problem},
                }
                for status in _ERRORS
            },
        },
    }
    if endpoint.method == "GET":
        operation["responses"]["304"] = {"description": "It is what the ETag names."}
    if endpoint.body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schema_of[repr(endpoint.body)]}},
        }
    return operation


def _parameters(query: type[msgspec.Struct] | None) -> list[dict[str, Any]]:
    if query is None:
        return []
    schema, components = msgspec.json.schema_components([query], ref_template="{name}")
    described = components[schema[0]["$ref"]]
    return [
        {"name": name, "in": "query", "required": False, "schema": each}
        for name, each in described["properties"].items()
    ]


_DOCUMENT: Final[list[Document]] = []


def _take(_: Ask) -> Document:
    """Return the document; it is made once."""
    if not _DOCUMENT:
        _DOCUMENT.append(document((*ENDPOINTS, DESCRIBED)))
    return _DOCUMENT[0]


DESCRIBED: Final = Endpoint(
    path=OPENAPI_PATH, take=_take, least="viewer", summary="This document."
)

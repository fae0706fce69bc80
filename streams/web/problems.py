"""What cannot be answered, as RFC 9457 says it."""

from collections.abc import Mapping
from http import HTTPStatus

import msgspec
from starlette.responses import Response

from streams.errors import UserError


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of an answer that is an error (application/problem+json)."""

    type: str
    title: str
    status: int
    detail: str = ""


class ProblemError(UserError):
    """A request that cannot be answered as asked; the text says why."""

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Answer with `status`; `kind` names the problem for programs."""
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.headers = dict(headers or {})

    @property
    def problem(self) -> Problem:
        """What the body says."""
        return Problem(
            type=f"urn:leadpulse:problem:{self.kind}",
            title=HTTPStatus(self.status).phrase,
            status=self.status,
            detail=str(self),
        )

    def answer(self) -> Response:
        """Return the answer that programs get."""
        return Response(
            msgspec.json.encode(self.problem),
            status_code=self.status,
            media_type="application/problem+json",
            headers={**self.headers, "Cache-Control": "no-store"},
        )


def not_found(detail: str) -> ProblemError:
    """Return that there is no such thing."""
    return ProblemError(404, "not-found", detail)

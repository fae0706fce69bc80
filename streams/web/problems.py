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


class NotFoundError(ProblemError):
    """There is no such thing."""

    def __init__(self, what: str) -> None:
        """Say that there is no such `what`, such as a lead, or none any more."""
        super().__init__(404, "not-found", f"no such {what}; erased or merged perhaps")


class WrongQueryError(ProblemError):
    """The query asks for what cannot be."""

    def __init__(self, why: str) -> None:
        """Say what is wrong."""
        super().__init__(400, "bad-query", why)

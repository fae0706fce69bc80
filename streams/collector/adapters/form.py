"""Forms as they are posted: url-encoded or multipart, files left out."""

from io import BytesIO
from typing import Final
from urllib.parse import parse_qsl

from python_multipart import parse_form
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field, File

from streams.collector.adapters.provider import Incoming
from streams.collector.verdict import RefusedError

_MOST_FIELDS: Final = 1_000


def is_form(request: Incoming) -> bool:
    """Say whether the body is said to be a form."""
    return (
        request.headers.get("content-type", "")
        .lower()
        .startswith(("multipart/form-data", "application/x-www-form-urlencoded"))
    )


def form_fields(request: Incoming) -> list[tuple[str, str]]:
    """Return the fields of a form in their order; a name may come several times.

    Raises
    ------
    RefusedError
        400 when the body is no form, or has too many fields.
    """
    content_type = request.headers.get("content-type", "")
    if not content_type.lower().startswith("multipart/form-data"):
        try:
            return parse_qsl(
                request.body.decode(errors="replace"),
                keep_blank_values=True,
                max_num_fields=_MOST_FIELDS,
                errors="replace",
            )
        except ValueError as error:
            raise RefusedError(400, "invalid-form", str(error)) from None
    fields: list[tuple[str, str]] = []

    def keep(field: object) -> None:
        if isinstance(field, Field) and field.field_name is not None:
            fields.append((_text(field.field_name), _text(field.value or b"")))

    def leave(file: object) -> None:
        if isinstance(file, File):
            file.close()

    try:
        parse_form(
            {"Content-Type": content_type.encode(errors="replace")},
            BytesIO(request.body),
            keep,
            leave,
        )
    except (FormParserError, ValueError) as error:
        raise RefusedError(400, "invalid-form", str(error)) from None
    if len(fields) > _MOST_FIELDS:
        msg = f"a form has at most {_MOST_FIELDS} fields"
        raise RefusedError(400, "invalid-form", msg)
    return fields


def _text(value: bytes) -> str:
    return value.decode(errors="replace")

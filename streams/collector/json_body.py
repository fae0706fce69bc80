"""JSON as it comes in: half an emoji is mended, what cannot be read is refused."""

import re
from collections.abc import Callable
from typing import Final, TypeVar

import msgspec

from streams.collector.verdict import RefusedError

T = TypeVar("T")

_ESCAPED_SURROGATE: Final = re.compile(
    rb"(\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)
_REPLACEMENT: Final = rb"\ufffd"


def mend(raw: bytes) -> bytes:
    r"""Return `raw` with half a surrogate pair replaced by U+FFFD.

    A browser that cuts a text in the middle of an emoji escapes half of it, which
    is not Unicode; one such title must not cost a batch. The length stays the same.

    >>> mend(rb'{"cut": "\ud83d", "whole": "\ud83d\ude00"}').decode()
    '{"cut": "\\ufffd", "whole": "\\ud83d\\ude00"}'
    """
    if b"\\ud" not in raw and b"\\uD" not in raw:
        return raw
    return _ESCAPED_SURROGATE.sub(lambda match: match[1] or _REPLACEMENT, raw)


_POSITION: Final = re.compile(r" \(byte (\d+)\)$")


def decoded(decode: Callable[[bytes], T], body: bytes) -> T:
    """Return what `decode` reads in `body`, mended where it must be.

    Raises
    ------
    RefusedError
        400 when the body is not JSON, or not what `decode` reads.
    """
    try:
        return decode(body)
    except msgspec.ValidationError as error:
        raise RefusedError(400, "invalid-event", str(error)) from None
    except RecursionError:
        raise RefusedError(400, "invalid-json", "nested too deeply") from None
    except UnicodeDecodeError as error:
        raise RefusedError(400, "invalid-json", f"not UTF-8: {error.reason}") from None
    except msgspec.DecodeError as error:
        if (mended := mend(body)) != body:
            return decoded(decode, mended)
        said = str(error)
        found = _POSITION.search(said)
        position = int(found[1]) if found else len(body)
        detail = said if found else f"{said} (byte {position})"
        raise RefusedError(400, "invalid-json", detail, position=position) from None

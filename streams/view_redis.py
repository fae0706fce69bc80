"""How the view speaks with its Redis: what it answers, and that it is away."""

import contextlib
from collections.abc import Iterator
from typing import Any

from redis.exceptions import RedisError

from streams.errors import UserError
from streams.redis_access import refusal


class ViewAwayError(UserError):
    """Redis cannot be reached or refuses; the text is one clear line."""


@contextlib.contextmanager
def answering() -> Iterator[None]:
    """Turn whatever Redis refuses into one error with one clear line."""
    try:
        yield
    except RedisError as error:
        why = refusal(error)
        msg = f"the view's Redis does not answer: {error}"
        if why is not None:
            msg = f"the view's Redis refuses: {why}"
        raise ViewAwayError(msg) from error


def text(value: Any) -> str:
    """Return what Redis answered as text."""
    return value.decode() if isinstance(value, bytes) else str(value)

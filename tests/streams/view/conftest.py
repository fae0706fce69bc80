"""A view of its own for every test, in the run's one Redis."""

import uuid
from collections.abc import Iterator
from contextlib import closing

import pytest

from streams.view import View, connect_view


@pytest.fixture
def view_prefix() -> str:
    return f"v{uuid.uuid4().hex[:8]}."


@pytest.fixture
def view(redis_url: str, view_prefix: str) -> Iterator[View]:
    with closing(connect_view(redis_url, prefix=view_prefix)) as view:
        yield view

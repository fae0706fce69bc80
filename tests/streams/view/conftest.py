"""A view of its own for every test, in the run's one Redis."""

import uuid

import pytest

from streams.view import View, connect_view


@pytest.fixture
def view_prefix() -> str:
    return f"v{uuid.uuid4().hex[:8]}."


@pytest.fixture
def view(redis_url: str, view_prefix: str) -> View:
    return connect_view(redis_url, prefix=view_prefix)

"""What must hold on every broker is tried on each that Leadpulse can start."""

import pytest

from streams.settings import Settings
from tests.conftest import MakeTopics

PARTITIONS = 4


@pytest.fixture(
    params=[
        "embedded",
        pytest.param("kafka", marks=pytest.mark.integration),
    ]
)
def settings(request: pytest.FixtureRequest, make_topics: MakeTopics) -> Settings:
    """A deployment of its own on each broker in turn."""
    fixture = {"embedded": "broker", "kafka": "kafka"}[request.param]
    bootstrap = request.getfixturevalue(fixture)
    return make_topics(bootstrap=bootstrap, partitions=PARTITIONS)

"""The doctor beside Apache Kafka, which deletes what a topic need not keep."""

from collections.abc import Callable

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from schemas.topics import WEB_EVENTS
from streams.doctor import examine
from streams.settings import Settings
from tests.worker_harness import put_raw

pytestmark = pytest.mark.integration


def test_events_that_were_deleted_unscored_are_told(
    kafka: str, make_topics: Callable[..., Settings]
) -> None:
    """What no topic kept until its reader came is a failure, and counted."""
    home = make_topics(bootstrap=kafka, partitions=1)
    topic = home.topic(WEB_EVENTS.name)
    for _ in range(5):
        put_raw(home, WEB_EVENTS, b"{}", partition=0)
    client = {"bootstrap.servers": home.bootstrap}
    group = Consumer({**client, "group.id": f"{home.app_id}.scoring"})
    group.commit(offsets=[TopicPartition(topic, 0, 1)], asynchronous=False)
    group.close()
    assert "retention" not in {each.subject for each in examine(home)}

    admin = AdminClient(client)
    (deleted,) = admin.delete_records([TopicPartition(topic, 0, 4)]).values()
    assert deleted.result().low_watermark == 4
    (found,) = (each for each in examine(home) if each.subject == "retention")

    assert found.verdict == "fail"
    assert found.text.startswith("3 of web.events.v1 were deleted before group scoring")

"""Dead letters read back and put back, on a real broker."""

import json
from datetime import UTC, datetime

import pytest
from confluent_kafka import Consumer, Message, Producer, TopicPartition
from typer.testing import CliRunner

from schemas.dead_letter import DeadLetter
from schemas.topics import COMMANDS, CRM_EVENTS, DEAD_LETTERS, WEB_EVENTS
from streams.cli.dead_letters import app
from streams.dead_letter_log import latest_letters, read_letters
from streams.settings import Settings
from streams.topic_reader import UnreadableTopicError
from tests.waiting import wait_until

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
EVENT = {
    "id": "ev-1",
    "type": "track",
    "channel": "crm",
    "name": "Meeting Held",
    "user_id": "u-17",
    "occurred_at": "2026-11-21T10:00:00Z",
}


@pytest.fixture
def deployment(topics: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Fresh topics, and the environment by which a command finds them."""
    for name, value in topics.environ().items():
        monkeypatch.setenv(name, value)
    return topics


def bury(settings: Settings, value: bytes | None, **story: object) -> None:
    """Put a dead letter on the topic; it died in scoring unless said otherwise."""
    key = story.pop("key", b"ld_1")
    letter = DeadLetter(
        **{
            "stage": "scoring",
            "reason": "invalid-json",
            "detail": "expected an object",
            "topic": settings.topic(WEB_EVENTS.name),
            "partition": 2,
            "offset": 41,
            "at": NOON,
            **story,
        }
    )
    producer = Producer({"bootstrap.servers": settings.bootstrap})
    producer.produce(
        settings.topic(DEAD_LETTERS.name),
        value,
        key,
        headers=[("ce_id", b"x"), ("traceparent", b"00-1"), *letter.headers()],
    )
    assert producer.flush(10) == 0


def records(settings: Settings, topic: str, count: int) -> list[Message]:
    """Return the `count` records of a topic."""
    consumer = Consumer({"bootstrap.servers": settings.bootstrap, "group.id": "t"})
    name = settings.topic(topic)
    consumer.assign([TopicPartition(name, n, 0) for n in range(settings.partitions)])
    taken: list[Message] = []

    def enough() -> bool:
        taken.extend(consumer.consume(count + 1 - len(taken), 0.3))
        return len(taken) >= count

    wait_until(enough, 10, f"{count} records on {topic}")
    taken.extend(consumer.consume(1, 0.3))
    consumer.close()
    assert len(taken) == count
    return taken


def run(*arguments: str) -> str:
    """Return what the command prints; it must end well."""
    result = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    return result.output


def test_list_is_newest_first_and_tells_the_story(deployment: Settings) -> None:
    """The latest letter stands first, with stage, reason, source and safe id."""
    bury(deployment, b"{", offset=1)
    bury(deployment, json.dumps(EVENT).encode(), reason="scoring-failed", offset=2)

    lines = run("list").splitlines()

    assert "scoring-failed" in lines[1]
    assert f"{deployment.topic(WEB_EVENTS.name)}[2]@2" in lines[1]
    assert "id ev-1, " in lines[1]
    assert "invalid-json" in lines[2]


def test_list_shows_no_personal_data(deployment: Settings) -> None:
    """Neither an address in a record nor one used as its id is printed."""
    secret = "ada@example.com"
    bury(deployment, json.dumps({**EVENT, "email": secret}).encode())
    bury(deployment, json.dumps({**EVENT, "id": secret}).encode())

    assert secret not in run("list")


def test_list_limits_and_filters(deployment: Settings) -> None:
    """Only the newest of the reason that is asked for."""
    for offset in range(5):
        bury(deployment, b"{", offset=offset)
    bury(deployment, b"{", reason="too-large", offset=99)

    letters = latest_letters(deployment, limit=2, reason="invalid-json")

    assert [letter.story.offset for letter in letters] == [4, 3]


@pytest.mark.usefixtures("deployment")
def test_an_empty_topic_lists_nothing() -> None:
    """No dead letters is said, not an empty table."""
    assert "no dead letters" in run("list")


def test_a_missing_topic_says_what_to_do(broker: str) -> None:
    """Without the topic the error names it and the command that makes it."""
    settings = Settings(bootstrap=broker, topic_prefix="nobody-made.")

    with pytest.raises(UnreadableTopicError, match=r"leadpulse topics create"):
        list(read_letters(settings))


def test_replay_restores_bytes_key_and_headers(deployment: Settings) -> None:
    """The record is back as it was; of the story only the number of tries stays."""
    bury(deployment, b"\x00 not json", key=b"ld_7")

    output = run("replay")

    (back,) = records(deployment, WEB_EVENTS.name, 1)
    assert (back.key(), back.value()) == (b"ld_7", b"\x00 not json")
    assert back.headers() == [
        ("ce_id", b"x"),
        ("traceparent", b"00-1"),
        ("dl_attempts", b"2"),
    ]
    assert "put back 1" in output


def test_tries_are_counted_over_replays(deployment: Settings) -> None:
    """A record that dies again after a replay has one more try in its story."""
    bury(deployment, b"{", offset=3)
    run("replay")
    (back,) = records(deployment, WEB_EVENTS.name, 1)
    again = DeadLetter(
        stage="scoring",
        reason="invalid-json",
        detail="",
        topic=deployment.topic(WEB_EVENTS.name),
        partition=0,
        offset=0,
        at=NOON,
    )

    story = DeadLetter.from_headers([*back.headers(), *again.headers()])

    assert (story.attempts, story.offset) == (2, 0)


def test_replay_puts_one_record_back_once(deployment: Settings) -> None:
    """Letters of the same bytes under the same key do not multiply."""
    for offset in (1, 2, 3):
        bury(deployment, b"{", offset=offset)
    bury(deployment, b"{", key=b"ld_2")

    run("replay")

    assert len(records(deployment, WEB_EVENTS.name, 2)) == 2


def test_dry_run_puts_nothing_back(deployment: Settings) -> None:
    """What would go where is said, and the topic stays empty."""
    bury(deployment, b"{")

    output = run("replay", "--dry-run")

    assert f"1 would go back to {deployment.topic(WEB_EVENTS.name)}" in output
    records(deployment, WEB_EVENTS.name, 0)


def test_replay_takes_the_oldest_of_a_reason(deployment: Settings) -> None:
    """A limit lets one try a few before all."""
    for number in range(3):
        bury(deployment, b"%d" % number, topic=deployment.topic(COMMANDS.name))
    bury(deployment, b"other", reason="too-large")

    run("replay", "--reason", "invalid-json", "--limit", "1")

    (back,) = records(deployment, COMMANDS.name, 1)
    assert back.value() == b"0"
    records(deployment, WEB_EVENTS.name, 0)


def test_what_the_collector_refused_is_not_replayed(deployment: Settings) -> None:
    """A source's payload stays; a canonical event among them goes to its topic."""
    nowhere = {"stage": "collector", "topic": "", "partition": -1, "offset": -1}
    bury(deployment, b'{"messageId": "m-1"}', key=None, **nowhere)
    bury(deployment, json.dumps(EVENT).encode(), key=None, **nowhere)

    output = run("replay")

    assert "1 left alone: refused by the collector" in output
    (back,) = records(deployment, CRM_EVENTS.name, 1)
    assert json.loads(back.value())["id"] == "ev-1"
    assert back.key().startswith(b"ld_")


def test_a_letter_from_elsewhere_is_not_replayed(deployment: Settings) -> None:
    """A topic outside this deployment is never written to."""
    bury(deployment, b"{", topic="payments.v1")

    assert "1 left alone: their headers name none" in run("replay")

"""Topics on a broker: made as `schemas.topics` says, and checked against it.

Nothing is ever made silently: `create` is asked for, `check` only looks.
"""

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from schemas.time import DAY
from schemas.topics import TOPICS, Topic
from streams.errors import UserError
from streams.kafka_access import client_config

if TYPE_CHECKING:
    from concurrent.futures import Future

    from confluent_kafka import KafkaError
    from confluent_kafka.admin import (  # type: ignore[attr-defined]
        AdminClient,
        ConfigEntry,  # public, though its types do not say so
    )

    from streams.settings import Settings

_TIMEOUT_SECONDS: Final = 10.0
_CONNECT_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.05

State = Literal["ok", "created", "missing", "wrong"]


class BrokerUnreachableError(UserError):
    """No broker answered; the text names the address and what to do."""


class BrokerRefusesError(UserError):
    """The broker does not let us in, or is not the one it should be."""

    def __init__(self, bootstrap: str, why: str) -> None:
        """Name the address and what the client says of it."""
        super().__init__(
            f"Kafka at {bootstrap} refuses us, or is not to be trusted ({why}): look "
            "at LEADPULSE_KAFKA_SECURITY_PROTOCOL, LEADPULSE_SASL_USERNAME, "
            "LEADPULSE_SASL_PASSWORD and LEADPULSE_KAFKA_CA_PATH"
        )


class TopicCreationError(UserError):
    """The broker refused to make a topic; the text says which and why."""


class UnfitTopicsError(UserError):
    """Topics are missing or not as the roles need them; the text says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicReport:
    """How one topic stands against its definition."""

    topic: Topic
    name: str
    state: State
    partitions: int | None = None
    """None when the topic is missing."""
    config: tuple[tuple[str, str | None], ...] = ()
    """Every setting the definition asks for, None where the broker keeps mum."""
    problems: tuple[str, ...] = ()
    """What is wrong and what to do about it."""

    @property
    def unknown(self) -> tuple[str, ...]:
        """The settings the broker does not report."""
        return tuple(key for key, value in self.config if value is None)


class _Found(NamedTuple):
    """What a broker tells of one topic."""

    name: str
    partitions: int | None
    config: dict[str, str]


def connect(settings: "Settings") -> "AdminClient":
    """Return an admin client of a broker that answers.

    Raises
    ------
    BrokerUnreachableError
        When none does within five seconds.
    BrokerRefusesError
        When it does not let us in.
    """
    from confluent_kafka import KafkaError as Code  # noqa: PLC0415 - loads librdkafka
    from confluent_kafka import KafkaException  # noqa: PLC0415
    from confluent_kafka.admin import AdminClient  # noqa: PLC0415

    refused: list[str] = []

    def note(error: "KafkaError") -> None:
        # Their public names begin so.
        if error.code() in {Code._AUTHENTICATION, Code._SSL}:  # noqa: SLF001
            refused.append(error.str())

    # The failure is reported once, by this exception, not line by line by the client.
    config = client_config(settings) | {"error_cb": note, "log_level": 0}
    admin = AdminClient(config)
    try:
        admin.list_topics(timeout=_CONNECT_SECONDS)
    except KafkaException:
        admin.poll(0)  # why, if the client knows
        if refused:
            # What the client says of it names addresses and reasons, no password.
            raise BrokerRefusesError(settings.bootstrap, refused[-1]) from None
        msg = (
            f"no broker answers at {settings.bootstrap}; start one (`leadpulse up`), "
            "or set LEADPULSE_BOOTSTRAP to where one listens"
        )
        raise BrokerUnreachableError(msg) from None
    return admin


def create_topics(
    settings: "Settings", topics: Iterable[Topic] = TOPICS
) -> list[TopicReport]:
    """Make every missing topic; report all, those made now as ``created``.

    Topics that exist are left as they are, right or wrong.
    """
    from confluent_kafka import KafkaError, KafkaException  # noqa: PLC0415
    from confluent_kafka.admin import (  # type: ignore[attr-defined]  # noqa: PLC0415
        NewTopic,  # public, though its types do not say so
    )

    topics = tuple(topics)
    admin = connect(settings)
    existing = admin.list_topics(timeout=_TIMEOUT_SECONDS).topics
    wanted = [topic for topic in topics if settings.topic(topic.name) not in existing]
    created: set[str] = set()
    if wanted:
        futures = admin.create_topics(
            [
                NewTopic(
                    settings.topic(topic.name),
                    settings.partitions,
                    settings.replication_factor,
                    config=wanted_config(settings, topic),
                )
                for topic in wanted
            ],
            operation_timeout=_TIMEOUT_SECONDS,
        )
        for name, future in futures.items():
            try:
                future.result()
            except KafkaException as error:
                # Somebody else made it since we looked: then it is checked below.
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    msg = f"cannot create topic {name}: {error.args[0].str()}"
                    raise TopicCreationError(msg) from None
            else:
                created.add(name)
    _wait_visible(admin, created)
    return _reports(settings, topics, admin, created)


def strimzi_topics(
    settings: "Settings", cluster: str, topics: Iterable[Topic] = TOPICS
) -> list[dict[str, object]]:
    """Return the topics as Strimzi's KafkaTopic resources of the Kafka `cluster`."""
    return [
        {
            "apiVersion": "kafka.strimzi.io/v1beta2",
            "kind": "KafkaTopic",
            "metadata": {
                # Kubernetes' names are in lower case; the topic's own name is below.
                "name": settings.topic(topic.name).lower(),
                "labels": {"strimzi.io/cluster": cluster},
            },
            "spec": {
                "topicName": settings.topic(topic.name),
                "partitions": settings.partitions,
                "replicas": settings.replication_factor,
                "config": wanted_config(settings, topic),
            },
        }
        for topic in topics
    ]


def wanted_config(settings: "Settings", topic: Topic) -> dict[str, str]:
    """Return the broker's settings for a topic of this deployment."""
    config = topic.config()
    if topic.raw:
        config["retention.ms"] = str(settings.raw_retention_days * DAY)
    return config


def check_topics(
    settings: "Settings", topics: Iterable[Topic] = TOPICS
) -> list[TopicReport]:
    """Report how every topic stands against its definition; change nothing."""
    return _reports(settings, tuple(topics), connect(settings), set())


def shared_partitions(reports: Iterable[TopicReport]) -> int:
    """Return the number of partitions that all topics of a lead have.

    Raises
    ------
    UnfitTopicsError
        When any of the reports has a problem.
    """
    reports = tuple(reports)
    problems = [
        f"{report.name}: {problem}" for report in reports for problem in report.problems
    ]
    if problems:
        raise UnfitTopicsError("; ".join(problems))
    # All the same, or there were problems.
    return next(each.partitions or 0 for each in reports if each.topic.co_partitioned)


def _wait_visible(admin: "AdminClient", names: set[str]) -> None:
    """Return when the brokers tell of the topics that were just made."""
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    while names - admin.list_topics(timeout=_TIMEOUT_SECONDS).topics.keys():
        if time.monotonic() > deadline:
            msg = f"made, but not yet visible: {', '.join(sorted(names))}"
            raise TopicCreationError(msg)
        time.sleep(_POLL_SECONDS)


def _reports(
    settings: "Settings",
    topics: tuple[Topic, ...],
    admin: "AdminClient",
    created: set[str],
) -> list[TopicReport]:
    found = admin.list_topics(timeout=_TIMEOUT_SECONDS).topics
    counts = {name: len(metadata.partitions) for name, metadata in found.items()}
    names = [settings.topic(topic.name) for topic in topics]
    configs = _configs(admin, [name for name in names if name in counts])
    shared = Counter(
        counts[name]
        for topic, name in zip(topics, names, strict=True)
        if topic.co_partitioned and name in counts
    )
    common = shared.most_common(1)[0][0] if shared else settings.partitions
    return [
        _report(
            topic,
            _Found(name, counts.get(name), configs.get(name, {})),
            common=common,
            created=name in created,
        )
        for topic, name in zip(topics, names, strict=True)
    ]


def _configs(admin: "AdminClient", names: list[str]) -> dict[str, dict[str, str]]:
    """Return the settings of topics that are there.

    Each broker hears of a new topic in its own time, and any of them may answer.
    """
    from confluent_kafka import KafkaError, KafkaException  # noqa: PLC0415

    found: dict[str, dict[str, str]] = {}
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    while missing := [name for name in names if name not in found]:
        for name, future in _described(admin, missing).items():
            try:
                entries = future.result()
            except KafkaException as error:
                unknown = error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART
                if unknown and time.monotonic() < deadline:
                    continue
                msg = f"the settings of {name} are unknown: {error.args[0].str()}"
                raise UnfitTopicsError(msg) from None
            found[name] = {
                key: entry.value
                for key, entry in entries.items()
                if entry.value is not None
            }
        if len(found) < len(names):
            time.sleep(_POLL_SECONDS)
    return found


def _described(
    admin: "AdminClient", names: list[str]
) -> "dict[str, Future[dict[str, ConfigEntry]]]":
    from confluent_kafka.admin import (  # type: ignore[attr-defined]  # noqa: PLC0415
        ConfigResource,  # both public, though its types do not say so
        ResourceType,
    )

    futures = admin.describe_configs(
        [ConfigResource(ResourceType.TOPIC, name) for name in names],
        request_timeout=_TIMEOUT_SECONDS,
    )
    return {resource.name: future for resource, future in futures.items()}


def _report(topic: Topic, found: _Found, *, common: int, created: bool) -> TopicReport:
    if found.partitions is None:
        return TopicReport(
            topic=topic,
            name=found.name,
            state="missing",
            problems=("missing: run `leadpulse topics create`",),
        )
    problems = []
    if topic.co_partitioned and found.partitions != common:
        problems.append(
            f"has {found.partitions} partitions where its fellows have {common}: "
            f"a lead would be split between workers; make it anew with {common}"
        )
    config = {key: found.config.get(key) for key in topic.config()}
    policy = config["cleanup.policy"]
    if policy is not None and policy != topic.cleanup_policy:
        problems.append(_alter("cleanup.policy", policy, topic.cleanup_policy))
    lag = config.get("min.compaction.lag.ms")
    if lag is not None and int(lag) < (topic.min_compaction_lag_ms or 0):
        wanted = str(topic.min_compaction_lag_ms)
        problems.append(_alter("min.compaction.lag.ms", lag, wanted))
    state: State = "wrong" if problems else "created" if created else "ok"
    return TopicReport(
        topic=topic,
        name=found.name,
        state=state,
        partitions=found.partitions,
        config=tuple(config.items()),
        problems=tuple(problems),
    )


def _alter(key: str, found: str, wanted: str) -> str:
    return f"{key} is {found}, must be {wanted}: alter the topic's configuration"

"""How every client of ours reaches Kafka: where, over TLS or not, as whom.

One function for librdkafka's producers, consumers and admins, one for the worker's
producer, which is aiokafka's; Faust's client gets the same by
`streams.transport.credentials`.
"""

import ssl
from typing import TYPE_CHECKING, Any, Final

from streams.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from confluent_kafka import Consumer, TopicPartition

    from streams.settings import Settings


THROUGH: Final[dict[str, Any]] = {
    "enable.auto.commit": False,
    "allow.auto.create.topics": False,
    # Where we are slower than the broker, librdkafka would rest for a second.
    "fetch.queue.backoff.ms": 10,
}
"""What a consumer adds that reads a log through and joins no group."""


class KafkaAccessError(UserError):
    """A certificate or a key cannot be used; the text says which."""


def client_config(settings: "Settings") -> dict[str, Any]:
    """Return what every client of librdkafka begins its configuration with."""
    config: dict[str, Any] = {"bootstrap.servers": settings.bootstrap}
    protocol = settings.kafka_security_protocol
    if protocol == "PLAINTEXT":
        return config
    config["security.protocol"] = protocol
    if settings.uses_tls:
        paths = {
            "ssl.ca.location": settings.kafka_ca_path,
            "ssl.certificate.location": settings.kafka_cert_path,
            "ssl.key.location": settings.kafka_key_path,
        }
        config.update({name: str(path) for name, path in paths.items() if path})
        if settings.kafka_key_password is not None:
            config["ssl.key.password"] = settings.kafka_key_password.get_secret_value()
    if settings.uses_sasl:
        assert settings.sasl_password is not None  # noqa: S101 - Settings sees to it
        config["sasl.mechanisms"] = settings.sasl_mechanism
        config["sasl.username"] = settings.sasl_username
        config["sasl.password"] = settings.sasl_password.get_secret_value()
    return config


def asyncio_config(settings: "Settings") -> dict[str, Any]:
    """Return what a client of aiokafka's is told of the same.

    Raises
    ------
    KafkaAccessError
        When a certificate or a key cannot be read.
    """
    config: dict[str, Any] = {
        "bootstrap_servers": settings.bootstrap,
        "security_protocol": settings.kafka_security_protocol,
    }
    if settings.uses_tls:
        config["ssl_context"] = tls_context(settings)
    if settings.uses_sasl:
        assert settings.sasl_password is not None  # noqa: S101 - Settings sees to it
        config["sasl_mechanism"] = settings.sasl_mechanism
        config["sasl_plain_username"] = settings.sasl_username
        config["sasl_plain_password"] = settings.sasl_password.get_secret_value()
    return config


def assign_to_read(
    consumer: "Consumer", partitions: "Sequence[TopicPartition]"
) -> None:
    """Assign `partitions` and let all of them flow.

    A partition that was paused, was lost and comes again is still paused by librdkafka,
    and whoever resumes what is assigned while it is away never reads it again.
    """
    consumer.assign([*partitions])
    consumer.resume([*partitions])


def tls_context(settings: "Settings") -> ssl.SSLContext:
    """Return a context that trusts the named authority, or the system's.

    Raises
    ------
    KafkaAccessError
        When a certificate or a key cannot be read.
    """
    try:
        context = ssl.create_default_context(cafile=settings.kafka_ca_path)
        if settings.kafka_cert_path is not None:
            password = settings.kafka_key_password
            context.load_cert_chain(
                settings.kafka_cert_path,
                settings.kafka_key_path,
                None if password is None else password.get_secret_value(),
            )
    except OSError as error:  # ssl's own errors are among them
        msg = (
            f"TLS to Kafka cannot be set up: {error.strerror or error}; look at "
            "LEADPULSE_KAFKA_CA_PATH, LEADPULSE_KAFKA_CERT_PATH and "
            "LEADPULSE_KAFKA_KEY_PATH"
        )
        raise KafkaAccessError(msg) from None
    return context

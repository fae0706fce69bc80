"""How the worker's own client reaches Kafka: as all others do."""

from typing import TYPE_CHECKING

from faust.auth import SASLCredentials, SSLCredentials
from faust.types.auth import CredentialsT

from streams.kafka_access import tls_context

if TYPE_CHECKING:
    from streams.settings import Settings


def faust_credentials(settings: "Settings") -> CredentialsT | None:
    """Return what Faust's client shows to Kafka; None where nothing is asked.

    Raises
    ------
    KafkaAccessError
        When a certificate or a key cannot be read.
    """
    context = tls_context(settings) if settings.uses_tls else None
    if settings.uses_sasl:
        assert settings.sasl_password is not None  # noqa: S101 - Settings sees to it
        return SASLCredentials(
            username=settings.sasl_username,
            password=settings.sasl_password.get_secret_value(),
            mechanism=settings.sasl_mechanism,
            ssl_context=context,
        )
    return None if context is None else SSLCredentials(context)

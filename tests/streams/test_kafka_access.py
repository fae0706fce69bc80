"""One way to Kafka for every client, as the settings say."""

import re
from pathlib import Path

import pytest
from faust.auth import SASLCredentials, SSLCredentials
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth
from pydantic import SecretStr

from streams.kafka_access import KafkaAccessError, asyncio_config, client_config
from streams.settings import Settings, SettingsError, load_settings
from streams.transport.credentials import faust_credentials
from tests.certificates import make_certificates

STREAMS = Path(__file__).parents[2] / "streams"
MAY_KNOW_ADDRESSES = {
    STREAMS / "kafka_access.py",
    STREAMS / "broker" / "contract.py",  # asks the broker that it has just started
}


def test_every_client_is_made_in_one_way() -> None:
    """No module names brokers to a client past the function that knows of TLS."""
    knowing = re.compile(r'"bootstrap\.servers"|bootstrap_servers')
    found = {
        path
        for path in STREAMS.rglob("*.py")
        if knowing.search(path.read_text(encoding="utf-8"))
    }

    assert found <= MAY_KNOW_ADDRESSES


def test_nothing_is_asked_of_an_open_broker() -> None:
    """Without further settings a client is told the address and nothing else."""
    settings = Settings(bootstrap="k:9092", kafka_ca_path=Path("/unused"))

    assert client_config(settings) == {"bootstrap.servers": "k:9092"}
    assert faust_credentials(settings) is None
    assert asyncio_config(settings) == {
        "bootstrap_servers": "k:9092",
        "security_protocol": "PLAINTEXT",
    }


def test_tls_and_a_password(tmp_path: Path) -> None:
    """All clients get the authority, the certificate, the name and the password."""
    pem = make_certificates(tmp_path)
    settings = Settings(
        kafka_security_protocol="SASL_SSL",
        sasl_username="lp",
        sasl_password=SecretStr("secret"),
        kafka_ca_path=pem.authority,
        kafka_cert_path=pem.server,
        kafka_key_path=pem.server,
    )

    assert client_config(settings) == {
        "bootstrap.servers": "127.0.0.1:9092",
        "security.protocol": "SASL_SSL",
        "ssl.ca.location": str(pem.authority),
        "ssl.certificate.location": str(pem.server),
        "ssl.key.location": str(pem.server),
        "sasl.mechanisms": "SCRAM-SHA-512",
        "sasl.username": "lp",
        "sasl.password": "secret",
    }
    given = faust_credentials(settings)
    assert isinstance(given, SASLCredentials)
    assert (given.username, given.password) == ("lp", "secret")
    assert given.ssl_context is not None
    assert given.ssl_context.check_hostname
    told, by_faust = asyncio_config(settings), credentials_to_aiokafka_auth(given)
    assert told.pop("bootstrap_servers") == "127.0.0.1:9092"
    assert told.pop("ssl_context").check_hostname
    assert told == {k: v for k, v in by_faust.items() if k != "ssl_context"}
    only_tls = settings.model_copy(update={"kafka_security_protocol": "SSL"})
    assert isinstance(faust_credentials(only_tls), SSLCredentials)
    assert "sasl.password" not in client_config(only_tls)


def test_what_cannot_be_used_is_named(tmp_path: Path) -> None:
    """A file that is missing, or is no certificate, is one line with the settings."""
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("no certificate", encoding="utf-8")
    for path in (tmp_path / "missing.pem", nonsense):
        settings = Settings(kafka_security_protocol="SSL", kafka_ca_path=path)
        with pytest.raises(KafkaAccessError, match="LEADPULSE_KAFKA_CA_PATH"):
            faust_credentials(settings)


@pytest.mark.parametrize("given", [{}, {"LEADPULSE_SASL_PASSWORD": "secret"}])
def test_a_password_needs_a_name(given: dict[str, str]) -> None:
    """SASL without a name or a password is refused before anything starts."""
    environ = {"LEADPULSE_KAFKA_SECURITY_PROTOCOL": "SASL_SSL", **given}

    with pytest.raises(SettingsError, match=r"LEADPULSE_SASL_PASSWORD.*USERNAME"):
        load_settings(environ)


def test_the_password_may_come_from_a_file(tmp_path: Path) -> None:
    """A secret's file keeps it out of the environment, and it is never shown."""
    path = tmp_path / "password"
    path.write_text("secret-in-a-file\n", encoding="utf-8")
    settings = load_settings(
        {
            "LEADPULSE_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
            "LEADPULSE_SASL_USERNAME": "lp",
            "LEADPULSE_SASL_PASSWORD_FILE": str(path),
        }
    )

    assert client_config(settings)["sasl.password"] == "secret-in-a-file"
    assert "secret-in-a-file" not in repr(settings)

"""Every client of ours on Apache Kafka over TLS with a password, and without one."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import (
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from pydantic import SecretStr

from streams.broker import ApacheBroker
from streams.processes import LOOPBACK, free_port
from streams.settings import Settings
from streams.topics_admin import BrokerRefusesError, connect, create_topics
from streams.verify import verify
from tests.certificates import Certificates, make_certificates
from tests.waiting import wait_until
from tests.worker_harness import (
    MODEL,
    WorkerProcess,
    check_exact,
    committed,
    make_events,
    produce,
)

pytestmark = pytest.mark.integration

NAME, PASSWORD = "leadpulse", "correct-horse-battery"
_LOGIN = "org.apache.kafka.common.security"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def port(
    apache_kafka_possible: None,  # noqa: ARG001 - skips or fails first
    certificates: Certificates,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[int]:
    """Port of a listener that wants TLS and a password, of a broker with one more."""
    secure = free_port()
    properties = {
        "listeners": f"CLIENTS://{LOOPBACK}:{{port}},SECURE://{LOOPBACK}:{secure},"
        f"CONTROLLER://{LOOPBACK}:{{controller}}",
        "advertised.listeners": f"CLIENTS://{LOOPBACK}:{{port}},"
        f"SECURE://{LOOPBACK}:{secure}",
        "listener.security.protocol.map": "CLIENTS:PLAINTEXT,SECURE:SASL_SSL,"
        "CONTROLLER:PLAINTEXT",
        "sasl.enabled.mechanisms": "SCRAM-SHA-512,PLAIN",
        "listener.name.secure.scram-sha-512.sasl.jaas.config": f"{_LOGIN}.scram."
        "ScramLoginModule required;",
        "listener.name.secure.plain.sasl.jaas.config": f"{_LOGIN}.plain."
        f'PlainLoginModule required user_{NAME}="{PASSWORD}";',
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(certificates.server),
    }
    with ApacheBroker(
        tmp_path_factory.mktemp("kafka"), properties=properties
    ) as broker:
        admin = AdminClient({"bootstrap.servers": broker.bootstrap})
        info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        wanted = UserScramCredentialUpsertion(NAME, info, PASSWORD.encode())
        for future in admin.alter_user_scram_credentials([wanted]).values():
            future.result(30)
        yield secure


@pytest.fixture
def settings(port: int, certificates: Certificates, tmp_path: Path) -> Settings:
    unique = f"t{uuid.uuid4().hex[:8]}"
    return Settings(
        bootstrap=f"{LOOPBACK}:{port}",
        kafka_security_protocol="SASL_SSL",
        sasl_mechanism="SCRAM-SHA-512",
        sasl_username=NAME,
        sasl_password=SecretStr(PASSWORD),
        kafka_ca_path=certificates.authority,
        partitions=2,
        topic_prefix=f"{unique}.",
        app_id=unique,
        metrics_port=0,
        data_dir=tmp_path,
    )


def test_everything_speaks_tls_with_a_password(
    settings: Settings, tmp_path: Path
) -> None:
    """Topics are made, events scored, states recovered and proved over SASL_SSL."""
    create_topics(settings)
    events = make_events(200, 20)
    worker = WorkerProcess(settings, tmp_path / "worker.log").start()
    try:
        produce(settings, events[:100])
        wait_until(lambda: committed(settings) == 100, 60, "the first events")
        worker.kill()
        worker.start()
        produce(settings, events[100:])
        wait_until(lambda: committed(settings) == 200, 60, "all events")
        assert worker.stop(20) == 0
    finally:
        worker.end()

    check_exact(settings, events)
    report = verify(settings, MODEL)
    assert report.clean, report.findings
    assert report.proved["events"] == 200


def test_wrong_credentials_are_refused(settings: Settings, tmp_path: Path) -> None:
    """A wrong password, no password, no TLS, an unknown authority: one line each."""
    other = make_certificates(tmp_path)
    for wrong in (
        {"sasl_password": SecretStr("wrong-password")},
        {"sasl_username": "somebody"},
        {"kafka_ca_path": other.authority},
    ):
        with pytest.raises(BrokerRefusesError) as refused:
            connect(settings.model_copy(update=wrong))
        assert "LEADPULSE_SASL_PASSWORD" in str(refused.value)
        assert "wrong-password" not in str(refused.value)

    bad = settings.model_copy(update={"sasl_password": SecretStr("wrong-password")})
    done = subprocess.run(
        [sys.executable, "-m", "streams.cli.main", "worker"],
        env={**os.environ, **bad.environ()},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("leadpulse: ")
    assert "refuses us" in line

    plain = settings.model_copy(update={"sasl_mechanism": "PLAIN"})
    assert connect(plain).list_topics().brokers

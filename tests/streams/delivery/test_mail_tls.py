"""Mail over TLS, begun by STARTTLS or from the first byte on; never without."""

import ssl
from pathlib import Path

import pytest

from streams.notifiers.mail import Mailbox, MailNotifier, Security
from streams.sending_policy import Outcome, Retry, Sent
from tests.certificates import Certificates, make_certificates
from tests.streams.delivery.servers import mail_server
from tests.streams.delivery.test_notifiers import parcel


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def context(certificates: Certificates) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.server)
    return context


def tell(port: int, security: Security) -> Outcome:
    box = Mailbox(
        host="localhost",
        port=port,
        security=security,
        sender="leadpulse@sales.example",
        user="leadpulse",
        password="hunter2-smtp",
    )
    return MailNotifier(box).tell(parcel())


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_mail_goes_over_tls(
    certificates: Certificates,
    context: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
    security: Security,
) -> None:
    """A server that an authority we trust vouches for gets password and mail."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.authority))
    with mail_server(context, at_once=security == "tls") as server:
        assert isinstance(tell(server.port, security), Sent)
        assert len(server.mails) == 1
        assert server.passwords == [b"hunter2-smtp"]


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_who_nobody_vouches_for_gets_nothing(
    context: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    security: Security,
) -> None:
    """With another authority neither the password nor the mail is shown."""
    other = make_certificates(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(other.authority))
    with mail_server(context, at_once=security == "tls") as server:
        answer = tell(server.port, security)
        assert isinstance(answer, Retry)
        assert answer.reason == "unreachable"
        assert "hunter2" not in answer.detail
        assert (server.mails, server.passwords) == ([], [])


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_server_without_tls_gets_nothing(security: Security) -> None:
    """Who takes TLS away, or never had it, hears no password."""
    with mail_server() as server:
        assert isinstance(tell(server.port, security), Retry)
        assert (server.mails, server.passwords) == ([], [])

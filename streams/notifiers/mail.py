"""Mail: HTML and text in one, by SMTP."""

import hashlib
import smtplib
import ssl
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formataddr, formatdate
from typing import Final, Literal

from scorers.speech import SPEECH
from streams.links import unsubscribe_headers
from streams.notifiers.layout import as_html, as_text
from streams.notifiers.message import clean
from streams.notifiers.notifier import ANSWER_SECONDS, Parcel
from streams.sending_policy import Outcome, Refuse, Retry, Sent

Security = Literal["starttls", "tls", "none"]

_PERMANENT: Final = 500
"""From here on a reply of SMTP means: never (RFC 5321, 4.2.1)."""
_LONGEST_SUBJECT: Final = 150


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailbox:
    """An SMTP server, and who sends by it."""

    host: str
    port: int
    security: Security
    sender: str
    user: str | None = None
    password: str | None = None
    name: str = "Leadpulse"


class Postman:
    """Hands mails to an SMTP server."""

    def __init__(self, box: Mailbox) -> None:
        """Send as `box`; each mail has a connection of its own."""
        self._box = box
        self._tls = ssl.create_default_context()

    def hand_over(self, mail: EmailMessage) -> Outcome:
        """Return what the server said. No address and no password is in it."""
        box = self._box
        try:
            with self._connected() as server:
                if box.user is not None:
                    server.login(box.user, box.password or "")
                server.send_message(mail)
        except smtplib.SMTPAuthenticationError as error:
            return Retry("credentials", detail=f"SMTP {error.smtp_code}")
        except smtplib.SMTPRecipientsRefused as error:
            code = max(reply[0] for reply in error.recipients.values())
            return _of_reply(code, refused=Refuse("unknown-recipient", f"SMTP {code}"))
        except smtplib.SMTPResponseException as error:
            code = error.smtp_code
            return _of_reply(code, refused=Refuse("invalid", f"SMTP {code}"))
        except (TimeoutError, ssl.SSLError, OSError, smtplib.SMTPException) as error:
            timed_out = isinstance(error, TimeoutError)
            return Retry(
                "timeout" if timed_out else "unreachable", detail=type(error).__name__
            )
        return Sent(str(mail["Message-ID"]))

    def _connected(self) -> smtplib.SMTP:
        box = self._box
        if box.security == "tls":
            return smtplib.SMTP_SSL(
                box.host, box.port, timeout=ANSWER_SECONDS, context=self._tls
            )
        server = smtplib.SMTP(box.host, box.port, timeout=ANSWER_SECONDS)
        if box.security == "starttls":
            try:
                server.starttls(context=self._tls)
            except BaseException:
                server.close()
                raise
        return server


class MailNotifier:
    """Tells people by mail."""

    shows_state = False
    """What was sent cannot be changed."""

    def __init__(self, box: Mailbox) -> None:
        """Tell by `box`."""
        self._box = box
        self._postman = Postman(box)

    def tell(self, parcel: Parcel) -> Outcome:
        """Send one mail."""
        return self._postman.hand_over(self.compose(parcel))

    def show(self, parcel: Parcel) -> Outcome:
        """Do nothing: a mail stays what it was."""
        return Sent(parcel.handle)

    def compose(self, parcel: Parcel) -> EmailMessage:
        """Return the mail that `parcel` is."""
        first = parcel.first
        several = len(parcel.messages) > 1 or bool(parcel.stop_url)
        heading = first.title
        if several:
            heading = digest_title(parcel)
        mail = new_mail(self._box, to=parcel.address, subject=heading, key=parcel.key)
        mail["Content-Language"] = first.locale
        if parcel.parent:
            told = message_id(parcel.parent, parcel.address, self._box.sender)
            mail["In-Reply-To"] = mail["References"] = told
        if parcel.stop_url:
            for name, value in unsubscribe_headers(parcel.stop_url).items():
                mail[name] = value
        given = {"heading": heading if several else "", "stop_url": parcel.stop_url}
        mail.set_content(as_text(parcel.messages, **given))
        mail.add_alternative(as_html(parcel.messages, **given), subtype="html")
        return mail


def digest_title(parcel: Parcel) -> str:
    """Return what a digest is called."""
    count, words = len(parcel.messages), parcel.first.words
    text = words.get(f"digest.title.{count}", words["digest.title"])
    return text.format(count=SPEECH[parcel.first.locale].figure(count))


def new_mail(box: Mailbox, *, to: str, subject: str, key: str) -> EmailMessage:
    """Return a mail without content; its id is the same for the same key."""
    mail = EmailMessage()
    mail["From"] = formataddr((box.name, box.sender))
    mail["To"] = to
    mail["Subject"] = clean(subject, _LONGEST_SUBJECT)
    mail["Date"] = formatdate()
    mail["Message-ID"] = message_id(key, to, box.sender)
    mail["X-Leadpulse-Key"] = key
    mail["Auto-Submitted"] = "auto-generated"
    return mail


def message_id(key: str, to: str, sender: str) -> str:
    """Return the id of the mail that tells `key` to somebody: always the same."""
    named = hashlib.blake2b(f"{key}\x00{to}".encode(), digest_size=12).hexdigest()
    return f"<{named}@{sender.rpartition('@')[2]}>"


def _of_reply(code: int, *, refused: Refuse) -> Outcome:
    if code >= _PERMANENT:
        return refused
    return Retry("server-error", detail=f"SMTP {code}")

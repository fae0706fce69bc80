"""Follow-up: guidance by mail to the lead itself, by stage and tier.

A template is a text file: its first line is ``Subject: …``, what follows after an
empty line is the mail. It is found by stage and tier, the most special first::

    intent.gold.en.txt   intent.en.txt   gold.en.txt   default.en.txt
"""

import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from jinja2 import FileSystemLoader, StrictUndefined, TemplateError, TemplateNotFound
from jinja2.sandbox import SandboxedEnvironment

from schemas.alert import Alert
from schemas.locale import LOCALES, Locale
from streams.errors import UserError
from streams.links import MailLinks, unsubscribe_headers
from streams.notifiers.mail import Mailbox, Postman, new_mail
from streams.notifiers.message import Message, clean
from streams.notifiers.notifier import Parcel
from streams.sending_policy import Outcome, Refuse, Sent

_SHIPPED: Final = (
    Path(__file__).parents[1] / "followups",  # in an installed wheel
    Path(__file__).parents[2] / "deploy" / "followups",  # in a checkout
)
SUFFIX: Final = ".txt"
_SUBJECT: Final = "subject:"
_URL: Final = re.compile(r"https?://[^\s<>\"']+[^\s<>\"'.,;:!?)]")
_STOP: Final[dict[Locale, str]] = {
    "en": "No more of these mails: {url}",
    "fa": "دیگر چنین ایمیلی نمی‌خواهید؟ {url}",
}


class FollowUpTemplateError(UserError):
    """A template cannot be used; the text says which and why."""


class NoTemplateError(UserError):
    """There is no template for a lead like this."""


class Letter:
    """A mail to a lead, ready but for its headers."""

    def __init__(self, subject: str, text: str, locale: Locale, template: str) -> None:
        """Hold `text` in `locale`, made of the file called `template`."""
        self.subject = subject
        self.text = text
        self.locale: Locale = locale
        self.template = template

    def as_html(self) -> str:
        """Return the text as a page: paragraphs and links, all else escaped."""
        paragraphs = "\n".join(
            f'<p style="margin:0 0 16px">{_linked(each)}</p>'
            for each in re.split(r"\n\s*\n", self.text.strip())
        )
        runs = "rtl" if self.locale == "fa" else "ltr"
        start = "right" if self.locale == "fa" else "left"
        return (
            f'<!doctype html>\n<html lang="{self.locale}" dir="{runs}">'
            '<head><meta charset="utf-8"></head>\n'
            '<body style="margin:0;padding:24px;color:#1b2430;'
            "font:16px/1.65 Vazirmatn,Tahoma,'Segoe UI',sans-serif;"
            f'text-align:{start}"><div style="max-width:580px">\n'
            f"{paragraphs}\n</div></body></html>\n"
        )


class Library:
    """The templates of a folder."""

    def __init__(self, folder: Path | None = None) -> None:
        """Use `folder`, the shipped templates if None.

        Raises
        ------
        FollowUpTemplateError
            When there is no such folder.
        """
        self.folder = folder or next(path for path in _SHIPPED if path.is_dir())
        if not self.folder.is_dir():
            msg = f"there is no folder of follow-up templates at {self.folder}"
            raise FollowUpTemplateError(msg)
        # Operators write these: they are text, and reach nothing but what is given.
        self._filled = SandboxedEnvironment(
            loader=FileSystemLoader(self.folder),
            undefined=StrictUndefined,
            autoescape=False,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def letter(self, message: Message) -> Letter:
        """Return what is written to the lead of `message`.

        Raises
        ------
        NoTemplateError
            When no template fits.
        FollowUpTemplateError
            When the one that fits cannot be filled.
        """
        alert = message.alert
        for name in names_for(alert, message.locale):
            try:
                template = self._filled.get_template(name)
            except TemplateNotFound:
                continue
            except TemplateError as error:
                raise _broken(self.folder / name, error) from None
            try:
                text = template.render(**_values(message))
            except TemplateError as error:
                raise _broken(self.folder / name, error) from None
            first, _, rest = text.lstrip().partition("\n")
            if not first.casefold().startswith(_SUBJECT):
                msg = f"{self.folder / name}: begin with a line `Subject: …`"
                raise FollowUpTemplateError(msg)
            subject = clean(first[len(_SUBJECT) :])
            locale = next(each for each in LOCALES if f".{each}{SUFFIX}" in name)
            return Letter(subject, rest.strip() + "\n", locale, name)
        msg = f"{self.folder} has no template for stage {alert.stage or 'unknown'}"
        raise NoTemplateError(msg)


def names_for(alert: Alert, locale: Locale) -> Iterator[str]:
    """Yield the files that may fit, the best first."""
    stage, tier = _name(alert.stage or "unknown"), _name(alert.tier)
    for language in (locale, *(each for each in LOCALES if each != locale)):
        for begin in (f"{stage}.{tier}", stage, tier, "default"):
            yield f"{begin}.{language}{SUFFIX}"


class FollowUpNotifier:
    """Writes to leads."""

    shows_state = False
    """A mail stays what it was."""

    def __init__(
        self,
        box: Mailbox,
        library: Library,
        links: MailLinks | None,
        *,
        reply_to: str | None,
    ) -> None:
        """Write from `box` with templates of `library`."""
        self._box = box
        self._postman = Postman(box)
        self._library = library
        self._links = links
        self._reply_to = reply_to

    def tell(self, parcel: Parcel) -> Outcome:
        """Send guidance to the address of `parcel`."""
        message = parcel.first
        try:
            letter = self._library.letter(message)
        except (NoTemplateError, FollowUpTemplateError) as error:
            return Refuse("invalid", type(error).__name__)
        mail = new_mail(
            self._box,
            to=parcel.address,
            subject=letter.subject,
            key=f"followup_{parcel.key}",
        )
        mail["Content-Language"] = letter.locale
        if self._reply_to is not None:
            mail["Reply-To"] = self._reply_to
        if self._links is not None:
            url = self._links.unsubscribe(email=parcel.address)
            for name, value in unsubscribe_headers(url).items():
                mail[name] = value
            letter.text += f"\n{_STOP[letter.locale].format(url=url)}\n"
        mail.set_content(letter.text)
        mail.add_alternative(letter.as_html(), subtype="html")
        return self._postman.hand_over(mail)

    def show(self, parcel: Parcel) -> Outcome:
        """Do nothing: a mail stays what it was."""
        return Sent(parcel.handle)


def _values(message: Message) -> dict[str, Any]:
    """Return what templates may use; all of it clean text."""
    alert = message.alert
    traits = {name: clean(value) for name, value in alert.traits.items()}
    first_name = traits.get("first_name") or traits.get("name", "").partition(" ")[0]
    return {
        "name": message.who,
        "first_name": first_name,
        "company": traits.get("company", ""),
        "title": traits.get("title", ""),
        "stage": clean(alert.stage or ""),
        "tier": clean(alert.tier),
        "owner": clean(alert.owner or ""),
        "traits": traits,
        "latest": [clean(each.detail or each.name) for each in alert.last_events],
    }


def _name(text: str) -> str:
    """Return a stage or tier as a file's name has it: no path can be told."""
    return re.sub(r"[^\w]+", "-", text.casefold()).strip("-") or "unknown"


def _linked(text: str) -> str:
    parts: list[str] = []
    end = 0
    for found in _URL.finditer(text):
        parts.append(html.escape(text[end : found.start()]))
        url = html.escape(found[0])
        parts.append(f'<a href="{url}" style="color:#1d4ed8">{url}</a>')
        end = found.end()
    parts.append(html.escape(text[end:]))
    return "".join(parts).replace("\n", "<br>\n")


def _broken(path: Path, error: TemplateError) -> FollowUpTemplateError:
    line = getattr(error, "lineno", None)
    place = f"{path}:{line}" if line else str(path)
    return FollowUpTemplateError(f"{place}: {error.message}")

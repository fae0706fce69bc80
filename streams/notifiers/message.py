"""The message: all that a person is told of an alert, in words, before any layout.

Whatever came from outside (names, traits, texts of events) is cleaned here: no
control or bidirectional override characters, one line, not too long. How it is kept
from being markup is the layout's business.
"""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import quote
from zoneinfo import ZoneInfo

from schemas.alert import Alert
from schemas.locale import Locale
from schemas.time import SECOND, Instant, to_datetime, to_instant
from scorers.speech import SPEECH, Speech
from streams.notifiers import words_en, words_fa

Shown = Literal["open", "taken", "unfit", "ended"]
"""How it stands with what a message is about."""

MOST_REASONS: Final = 5
_LONGEST: Final = 200
_LONGEST_TEXT: Final = 600
_JOINERS: Final = "\u200c\u200d"
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_WORDS: Final[Mapping[Locale, Mapping[str, str]]] = {
    "en": words_en.WORDS,
    "fa": words_fa.WORDS,
}
_FACTS: Final = ("company", "title", "country")


def clean(text: object, longest: int = _LONGEST) -> str:
    r"""Return a text of others on one line, without what cannot be seen.

    >>> clean("Ada\u202e  <b>\n!here")
    'Ada <b> !here'
    """
    given = str(text)[: longest * 4]
    seen = "".join(
        each
        if each in _JOINERS or unicodedata.category(each) not in _UNSEEN
        else " "
        if each.isspace()
        else ""
        for each in given
    )
    line = " ".join(seen.split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """Where a message leads to; an absent one is empty."""

    lead: str = ""
    account: str = ""
    taken: str = ""
    """Where one says that one is on it: for places without buttons of their own."""
    unfit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One thing known of the lead."""

    name: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What one person, or one channel, is told of one alert."""

    alert: Alert
    """What it is about; its id is the idempotency key."""
    locale: Locale
    kind: str
    """The kind of news in a word or two."""
    who: str
    title: str
    heat: str
    changed: str
    reasons: tuple[str, ...]
    next_action: str
    facts: tuple[Fact, ...]
    note: str
    decided: str
    links: Links
    shown: Shown = "open"
    state: str = ""
    """A sentence on how it stands, once it is no longer open."""
    mentions: tuple[str, ...] = ()
    """Slack's ids of whom it is for."""
    words: Mapping[str, str]
    """The fixed texts of the language, for layouts."""

    @property
    def key(self) -> str:
        """The idempotency key: the same whenever the same alert is told."""
        return self.alert.id

    @property
    def rtl(self) -> bool:
        """Whether it is read from right to left."""
        return self.locale == "fa"


class Writer:
    """Writes messages in one language and time zone."""

    def __init__(self, locale: Locale, zone: ZoneInfo) -> None:
        """Write in `locale`, with times as they are in `zone`."""
        self.locale: Locale = locale
        self.words = _WORDS[locale]
        self._zone = zone
        self._speech: Speech = SPEECH[locale]

    def write(
        self,
        alert: Alert,
        *,
        links: Links,
        shown: Shown = "open",
        by: str = "",
        mentions: tuple[str, ...] = (),
    ) -> Message:
        """Return what is said of `alert`."""
        speech = self._speech
        who = self.who(alert)
        kind = "recalled" if alert.recalls is not None else alert.kind
        heat = "heat.grade" if alert.grade else "heat"
        return Message(
            alert=alert,
            locale=self.locale,
            kind=self.say(f"kind.{kind}"),
            who=who,
            title=self.say(f"title.{kind}", who=who),
            heat=self.say(
                heat,
                score=speech.figure(alert.score),
                tier=speech.tier(clean(alert.tier)),
                grade=speech.name(clean(alert.grade)),
            ),
            changed=self._changed(alert, kind),
            reasons=tuple(
                speech.name(clean(reason.text, _LONGEST_TEXT))
                for reason in alert.reasons[:MOST_REASONS]
            ),
            next_action=clean(alert.next_action, _LONGEST_TEXT),
            facts=self._facts(alert),
            note=clean(alert.note, _LONGEST_TEXT),
            decided=self.say("decided", at=self.moment(to_instant(alert.decided_at))),
            links=links,
            shown=shown,
            state=self._state(shown, clean(by)),
            mentions=mentions,
            words=self.words,
        )

    def say(self, key: str, count: float | None = None, /, **values: str) -> str:
        """Return the text `key`, in the form that goes with `count`."""
        text = self.words[key]
        if count is not None:
            text = self.words.get(f"{key}.{count:g}", text)
            values["count"] = self._speech.figure(count)
        return text.format_map(values)

    def moment(self, at: Instant) -> str:
        """Return an instant as clocks show it in the zone, in its calendar."""
        local = to_datetime(at).astimezone(self._zone)
        offset = local.utcoffset()
        shifted = at + (0 if offset is None else int(offset.total_seconds()) * SECOND)
        return self.say(
            "moment",
            date=self._speech.date(shifted),
            time=self._speech.digits(f"{local:%H:%M}"),
        )

    def who(self, alert: Alert) -> str:
        """Return whom `alert` is about, as people call them."""
        if alert.account is not None:
            account = alert.account
            return self._name(account.name or account.domain or alert.account_id)
        traits = alert.traits
        full = " ".join(
            str(traits[each]) for each in ("first_name", "last_name") if each in traits
        )
        known = alert.identifiers
        for found in (traits.get("name"), full, *known.email, *known.user_id):
            if found and clean(found):
                return self._name(found)
        return self.say("nobody")

    def _name(self, text: object) -> str:
        return self._speech.name(clean(text))

    def _changed(self, alert: Alert, kind: str) -> str:
        speech = self._speech
        if kind == "account-surge" and alert.account is not None:
            span = speech.span(int(alert.account.within_seconds * SECOND))
            return self.say(f"change.{kind}", len(alert.account.people) or 1, span=span)
        return self.say(
            f"change.{kind}" if kind != "account-surge" else "change.surge",
            before=speech.figure(alert.previous),
            after=speech.figure(alert.score),
            at=speech.figure(alert.threshold),
            stage=self._name(alert.stage or ""),
        )

    def _facts(self, alert: Alert) -> tuple[Fact, ...]:
        speech = self._speech
        found: dict[str, object] = {
            name: alert.traits.get(name) for name in _FACTS if alert.traits.get(name)
        }
        found |= {"stage": alert.stage, "owner": alert.owner}
        known = alert.identifiers
        found["contact"] = next(iter((*known.email, *known.user_id)), None)
        facts = [
            Fact(name=self.say(f"fact.{name}"), value=self._name(value))
            for name, value in found.items()
            if value
        ]
        if alert.deal_value is not None:
            amount = speech.figure(alert.deal_value.amount, 2)
            currency = clean(alert.deal_value.currency)
            value = f"{amount} {speech.name(currency)}"
            facts.append(Fact(name=self.say("fact.deal"), value=value))
        if alert.last_events:
            latest = alert.last_events[0]
            what = self._name(" ".join(filter(None, (latest.name, latest.detail))))
            at = self.moment(to_instant(latest.at))
            facts.append(Fact(name=self.say("fact.latest"), value=f"{what} ({at})"))
        return tuple(facts)

    def _state(self, shown: Shown, by: str) -> str:
        if shown == "open":
            return ""
        if shown == "ended":
            return self.say("state.ended")
        return self.say(
            f"state.{shown}" if by else f"state.{shown}.nobody",
            by=self._speech.name(by),
        )


def filled(template: str | None, **values: str | None) -> str:
    """Return a link of `template` with values put in; empty if one of them is absent.

    >>> filled("https://crm.example.com/{user_id}", user_id="a/b", email=None)
    'https://crm.example.com/a%2Fb'
    """
    if template is None:
        return ""
    safe = {name: quote(value, safe="") for name, value in values.items() if value}
    try:
        return template.format_map(safe)
    except (KeyError, IndexError, ValueError):
        return ""

"""What a model says of accounts, as people talk."""

from collections.abc import Iterator

from schemas.locale import Locale
from scorers.account_policy import AccountAlert, Accounts, ActivePeople
from scorers.phrasing import PHRASING, Phrasing


def account_phrases(
    accounts: Accounts, locale: Locale = "en"
) -> Iterator[tuple[str, str]]:
    """Yield the parts of `accounts` and what each says, alerts by their names."""
    words = PHRASING[locale]
    yield words.say("part.score"), told_score(accounts, locale)
    yield words.say("part.active"), _active(accounts.active, words)
    for alert in accounts.alerts:
        yield alert.name, _surge(alert, words)


def told_score(accounts: Accounts, locale: Locale = "en") -> str:
    """Return how people's scores make the account's.

    >>> told_score(Accounts())
    "the best person's score"
    """
    words, score = PHRASING[locale], accounts.score
    match score.kind:
        case "top_mean":
            return words.say("score.top_mean", people=words.number(score.people or 0))
        case "breadth":
            return words.say(
                "score.breadth",
                points=words.number(score.points or 0.0),
                who=_who(score.of_tier, score.min_score, words),
                most=words.number(score.cap),
            )
        case _:
            return words.say("score.best")


def _who(tier: str | None, score: float | None, words: Phrasing) -> str:
    if tier is not None:
        return words.say("who.tier", tier=words.tier(tier))
    if score is None:
        return ""
    return words.say("who.score", score=words.number(score))


def _active(active: ActivePeople, words: Phrasing) -> str:
    who = _who(active.of_tier, active.min_score, words)
    told = words.say("active", who=who).strip()
    if active.within is not None:
        told += words.say("active.within", span=words.span(active.within))
    enough = active.at_least
    if enough in {"any", "all"}:
        return told + words.say(f"enough.{enough}")
    return told + words.say("enough", count=words.value(enough))


def _surge(alert: AccountAlert, words: Phrasing) -> str:
    people, span = words.number(alert.people), words.span(alert.within)
    told = words.say("surge", people=people, span=span)
    each = alert.each
    if each is not None:
        asked = []
        if each.events:
            asked.append(words.say("surge.events", count=words.number(each.events)))
        if each.points:
            asked.append(words.say("surge.points", points=words.number(each.points)))
        told += words.say("surge.each", what=words.joined(asked, "and"))
    if alert.momentum is not None:
        told += words.say(
            "surge.usual",
            factor=words.number(alert.momentum.factor),
            span=words.span(alert.momentum.baseline),
        )
    if alert.dwell:
        told += words.say("surge.dwell", span=words.span(alert.dwell))
    return told + words.say("surge.again", span=words.span(alert.cooldown))

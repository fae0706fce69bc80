"""A model as people read it: what gives how much, who is told, what can be tried."""

import msgspec

from schemas.locale import Locale
from scorers.account_phrases import account_phrases
from scorers.model import Alert, Model
from scorers.phrases import dormancy_phrases, phrases
from scorers.phrasing import PHRASING
from scorers.texts import said


class RuleWords(msgspec.Struct, frozen=True, kw_only=True):
    """One rule in words."""

    name: str
    title: str
    when: str
    points: str
    most: str
    fades: str
    number: float | None
    """What it gives where that is one number, which can be tried at another value."""


class GroupWords(msgspec.Struct, frozen=True, kw_only=True):
    """A group and its rules in words."""

    name: str
    title: str
    cap: float
    floor: float | None
    rules: tuple[RuleWords, ...]


class TierWords(msgspec.Struct, frozen=True, kw_only=True):
    """A tier and where it begins."""

    name: str
    at: float


class AlertWords(msgspec.Struct, frozen=True, kw_only=True):
    """An alert as facts; the texts make a sentence of them."""

    name: str
    kind: str
    enter: float | None
    leave: float | None
    of: str
    rise: float | None
    within: str
    stages: tuple[str, ...]
    after: str
    dwell: str
    cooldown: str
    capacity: int | None


class DormancyWords(msgspec.Struct, frozen=True, kw_only=True):
    """What silence leaves of some groups."""

    title: str
    when: str
    groups: tuple[str, ...]
    factor: str
    floor: str


class ModelWords(msgspec.Struct, frozen=True, kw_only=True):
    """A model as people talk."""

    name: str
    version: str
    description: str
    ceiling: float
    groups: tuple[GroupWords, ...]
    tiers: tuple[TierWords, ...]
    alerts: tuple[AlertWords, ...]
    dormancy: tuple[DormancyWords, ...]
    accounts: tuple[tuple[str, str], ...]


def model_words(model: Model, locale: Locale) -> ModelWords:
    """Return `model` in words, its titles in `locale`."""
    by_group: dict[str, list[RuleWords]] = {}
    rules = {
        (name, rule.name): rule
        for name, group in model.groups.items()
        for rule in group.rules
    }
    for told in phrases(model, locale):
        points = rules[told.group, told.name].points
        by_group.setdefault(told.group, []).append(
            RuleWords(
                name=told.name,
                title=told.title,
                when=told.when,
                points=told.points,
                most=told.most,
                fades=told.fades,
                number=points if isinstance(points, float) else None,
            )
        )
    titles = {
        name: said(group.title, locale) or name.capitalize()
        for name, group in model.groups.items()
    }
    return ModelWords(
        name=model.model,
        version=model.version,
        description=model.description,
        ceiling=model.ceiling,
        groups=tuple(
            GroupWords(
                name=name,
                title=titles[name],
                cap=group.cap,
                floor=group.floor,
                rules=tuple(by_group.get(name, ())),
            )
            for name, group in model.groups.items()
        ),
        tiers=tuple(TierWords(name=tier.name, at=tier.at) for tier in model.tiers),
        alerts=tuple(_alert(model, each, locale) for each in model.alerts),
        dormancy=tuple(
            DormancyWords(
                title=each.title,
                when=each.when,
                groups=tuple(titles[name] for name in each.groups),
                factor=each.factor,
                floor=each.floor,
            )
            for each in dormancy_phrases(model, locale)
        ),
        accounts=()
        if model.accounts is None
        else tuple(account_phrases(model.accounts, locale)),
    )


def _alert(model: Model, alert: Alert, locale: Locale) -> AlertWords:
    span = PHRASING[locale].span
    hot = alert.kind == "hot"
    return AlertWords(
        name=alert.name,
        kind=alert.kind,
        enter=model.threshold(alert) if hot else None,
        leave=model.leave_threshold(alert) if hot else None,
        of=alert.of or "",
        rise=alert.rise,
        within="" if alert.within is None else span(alert.within),
        stages=tuple(alert.stages or ()),
        after="" if alert.after is None else span(alert.after),
        dwell=span(alert.dwell) if alert.dwell else "",
        cooldown=span(alert.cooldown) if alert.cooldown else "",
        capacity=None if alert.capacity is None else alert.capacity.leads,
    )

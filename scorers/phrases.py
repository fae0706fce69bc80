"""The model as people talk: what gives how much, how often, and for how long."""

from collections.abc import Iterator

import msgspec

from schemas.event import CHANNELS
from schemas.locale import Locale
from scorers.compiled_rules import title_of
from scorers.model import (
    Condition,
    Decay,
    Dormancy,
    Expires,
    HalfLife,
    Ladder,
    Limit,
    Linear,
    Model,
    PerUnit,
    Rule,
    Silence,
    Steps,
    Table,
    Test,
)
from scorers.phrasing import PHRASING, Phrasing


class DormancyPhrases(msgspec.Struct, frozen=True):
    """One dormancy in words."""

    groups: tuple[str, ...]
    title: str
    when: str
    factor: str
    floor: str


class RulePhrases(msgspec.Struct, frozen=True):
    """One rule in words."""

    group: str
    name: str
    title: str
    when: str
    points: str
    most: str
    fades: str


def phrases(model: Model, locale: Locale = "en") -> Iterator[RulePhrases]:
    """Yield every rule of `model` in words of `locale`, in the file's order."""
    words = PHRASING[locale]
    for group_name, group in model.groups.items():
        for rule in group.rules:
            ages = rule.when is not None or rule.absence is not None
            yield RulePhrases(
                group=group_name,
                name=rule.name,
                title=title_of(rule, locale),
                when=_when(rule, words),
                points=_points(rule, words),
                most="" if rule.max is None else words.number(rule.max),
                fades=_decay(rule.decay or group.decay, words) if ages else "",
            )


def dormancy_phrases(model: Model, locale: Locale = "en") -> Iterator[DormancyPhrases]:
    """Yield every dormancy of `model` in words of `locale`, in the file's order."""
    words = PHRASING[locale]
    for dormancy in model.dormancy:
        yield DormancyPhrases(
            groups=tuple(dormancy.groups),
            title=title_of(dormancy, locale),
            when=_silence(dormancy, words),
            factor=f"× {words.number(dormancy.factor)}",
            floor=words.share(dormancy.floor) if dormancy.floor else "",
        )


def tell_condition(condition: Condition, locale: Locale = "en") -> str:
    """Return a condition in words.

    >>> tell_condition(Condition.model_validate({"event": "Demo Requested"}))
    'Demo Requested'
    """
    return _condition(condition, PHRASING[locale])


def tell_decay(decay: Decay, locale: Locale = "en") -> str:
    """Return in words how points fade.

    >>> tell_decay(HalfLife(half_life="14d"))
    'half every 14d'
    """
    return _decay(decay, PHRASING[locale])


def _condition(condition: Condition, words: Phrasing) -> str:
    parts = [_field_test(path, test, words) for path, test in condition.fields.items()]
    parts += [_condition(part, words) for part in condition.all]
    if condition.any:
        told = [_condition(part, words) for part in condition.any]
        either = words.joined(told, "or")
        parts.append(words.say("either", either=either) if len(told) > 1 else either)
    if condition.negated is not None:
        parts.append(words.say("not", what=_condition(condition.negated, words)))
    return words.joined(parts, "and")


_SHOWN = 4
"""So many values of a list are named; of the others only the number."""


def _field_test(path: str, test: Test, words: Phrasing) -> str:
    plain = test.model_fields_set <= {"eq", "one_of"}
    if path == "event" and plain:
        names = test.one_of if test.eq is None else [test.eq]
        return words.joined((words.value(each, path) for each in names or ()), "or")
    if path == "type" and test.eq == "page":
        return words.say("page")
    return words.say("test", field=words.field(path), says=_test(path, test, words))


def _test(path: str, test: Test, words: Phrasing) -> str:
    told = []
    for name in sorted(test.model_fields_set, key=list(Test.model_fields).index):
        value = getattr(test, name)
        if name == "exists":
            told.append(words.say("exists.yes" if value else "exists.no"))
            continue
        if isinstance(value, list):
            shown = [words.value(each, path) for each in value[:_SHOWN]]
            if len(value) > _SHOWN:
                count = words.number(len(value) - _SHOWN)
                shown.append(words.say("others", count=count))
            text = words.joined(shown, "comma" if name == "none_of" else "or")
        else:
            text = words.value(value, path)
        told.append(words.say(name, value=text))
    return words.joined(told, "and")


def _when(rule: Rule, words: Phrasing) -> str:
    if rule.absence is not None:
        absence, same = rule.absence, ""
        if absence.same is not None:
            same = words.say("absence.same", field=words.field(absence.same))
        return words.say(
            "absence",
            after=_condition(absence.after, words),
            within=words.span(absence.within),
            unless=_condition(absence.unless, words),
            same=same,
        )
    if rule.silence is not None:
        return _silence(rule.silence, words)
    condition = rule.when if rule.when is not None else rule.where
    if condition is None:
        source = rule.points
        if isinstance(source, float):
            return ""
        return words.say("known", field=words.field(source.of))
    told = _condition(condition, words)
    if rule.limit is None:
        return told
    return words.say("limited", what=told, limit=_limit(rule.limit, words))


def _silence(silence: Silence | Dormancy, words: Phrasing) -> str:
    where = ""
    if len(silence.channels) < len(CHANNELS):
        channels = words.channels(silence.channels)
        where = words.say("silence.where", channels=channels)
    told = words.say("silence", where=where, first=words.span(silence.first))
    if silence.then is not None:
        told += words.say("silence.again", span=words.span(silence.then))
    return told


def _limit(limit: Limit, words: Phrasing) -> str:
    told = words.say("once")
    if limit.count != 1:
        told = words.say("times", count=words.number(limit.count))
    if limit.per is not None:
        told += words.say("limit.per", span=words.span(limit.per))
    if limit.by is not None:
        told += words.say("limit.by", field=words.field(limit.by))
    if limit.after:
        told += words.say("limit.after", count=words.number(limit.after))
    return told


def _points(rule: Rule, words: Phrasing) -> str:
    source = rule.points
    match source:
        case PerUnit():
            return words.say(
                "per_unit",
                points=words.points(source.points),
                per=words.number(source.per),
                field=words.field(source.of),
                least=words.number(source.min),
                most=words.number(source.max),
            )
        case Ladder():
            rungs = (
                words.say(
                    "rung", points=words.points(rung.points), at=words.number(rung.at)
                )
                for rung in source.ladder
            )
            return words.joined(rungs, "comma")
        case Table():
            return words.joined(_rows(source, words), "apart")
        case _:
            return words.points(source)


def _rows(table: Table, words: Phrasing) -> Iterator[str]:
    by_points: dict[float, list[str]] = {}
    for value, points in table.values.items():
        by_points.setdefault(points, []).append(words.value(value))
    for points, values in by_points.items():
        listed = words.joined(values, "comma")
        yield words.say("row", points=words.points(points), values=listed)
    if table.otherwise:
        yield words.say("row.other", points=words.points(table.otherwise))


def _decay(decay: Decay, words: Phrasing) -> str:
    match decay:
        case HalfLife():
            return words.say("decay.half", span=words.span(decay.half_life))
        case Linear():
            return words.say("decay.linear", span=words.span(decay.linear))
        case Expires():
            return words.say("decay.expires", span=words.span(decay.expires))
        case Steps():
            told = [
                words.say(
                    "decay.step",
                    share=words.share(step.keep),
                    span=words.span(step.until),
                )
                for step in decay.steps
            ]
            told.append(words.say("decay.rest", share=words.share(decay.rest)))
            return words.joined(told, "comma")
        case _:
            return words.say("decay.stays")

"""The parts of a model made ready to run: rules, groups, dormancies."""

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from schemas.event import Event
from schemas.locale import Locale
from schemas.time import Millis
from scorers import model as language
from scorers.conditions import (
    EventTest,
    TraitTest,
    compile_event_condition,
    compile_points,
    compile_trait_condition,
    event_field,
    trait_field,
)
from scorers.decay import AnyDecay, HalfLife, NoDecay, compile_decay
from scorers.texts import said

Kind = Literal["event", "trait", "absence", "silence"]

_UNLIMITED: Final = 100.0


class CompiledLimit:
    """At most `count` matches per window and key, after the first `after`."""

    __slots__ = ("after", "count", "key_of", "window")

    def __init__(self, limit: language.Limit) -> None:
        """Prepare `limit`."""
        self.after = limit.after
        self.count = limit.count
        self.window: Millis | None = limit.per
        self.key_of: Callable[[Event], Any] | None = (
            None if limit.by is None else event_field(limit.by)
        )


class CompiledRule:
    """One rule, ready to be matched and read."""

    def __init__(
        self,
        rule: language.Rule,
        group: str,
        default_decay: language.Decay,
        locale: Locale,
    ) -> None:
        """Prepare `rule` of `group`; its title is in `locale`."""
        self.name = rule.name
        self.group = group
        self.title = title_of(rule, locale)
        self.bound: float = _UNLIMITED if rule.max is None else rule.max
        self.limit = None if rule.limit is None else CompiledLimit(rule.limit)
        decay = default_decay if rule.decay is None else rule.decay
        self.decay: AnyDecay = compile_decay(decay)
        self.folds = isinstance(self.decay, HalfLife | NoDecay)
        """Whether any number of old matches can be kept as one mass, exactly."""
        self.half_life: Millis | None = (
            self.decay.half_life if isinstance(self.decay, HalfLife) else None
        )
        self.points = rule.points if isinstance(rule.points, float) else 1.0
        self.amount_of: Callable[[Any], float] | None = None
        self.read_amount: Callable[[Event], Any] | None = None
        self.read_trait: Callable[[Mapping[str, Any]], Any] | None = None
        self.matches: EventTest = _never
        self.holds: TraitTest = _always
        self.unless: EventTest = _never
        self.same: Callable[[Event], Any] | None = None
        self.within: Millis = 0
        self.silent_on: tuple[str, ...] = ()
        self.first: Millis = 0
        self.then: Millis | None = None
        self.trait_path: str | None = None
        self.takes = isinstance(rule.points, float) and rule.points < 0
        """Whether it can only take points."""
        self.gates: tuple[str, ...] = ()
        """The purposes without consent to which it gives nothing."""
        self.counts_machines = rule.machine == "counts"
        """Whether what machines did counts as well."""
        self.kind: Kind = self._prepare(rule)

    def _prepare(self, rule: language.Rule) -> Kind:
        source = None if isinstance(rule.points, float) else rule.points
        if source is not None:
            self.amount_of = compile_points(source)
        if rule.absence is not None:
            self.matches = compile_event_condition(rule.absence.after)
            self.unless = compile_event_condition(rule.absence.unless)
            self.within = rule.absence.within
            if rule.absence.same is not None:
                self.same = event_field(rule.absence.same)
            return "absence"
        if rule.silence is not None:
            self.silent_on = tuple(rule.silence.channels)
            self.first, self.then = rule.silence.first, rule.silence.then
            return "silence"
        if rule.when is not None:
            self.matches = compile_event_condition(rule.when)
            if source is not None:
                self.read_amount = event_field(source.of)
            return "event"
        if rule.where is not None:
            self.holds = compile_trait_condition(rule.where)
        if source is not None:
            self.read_trait = trait_field(source.of)
            self.trait_path = source.of.removeprefix("traits.").split(".")[0]
        return "trait"


def _never(_event: Event) -> bool:
    return False


def _always(_traits: Mapping[str, Any]) -> bool:
    return True


class CompiledGroup:
    """A dimension of the score: its bounds and its rules."""

    def __init__(self, name: str, group: language.Group, locale: Locale) -> None:
        """Prepare `group`; titles are in `locale`."""
        self.name = name
        self.title = said(group.title, locale) or name.capitalize()
        self.cap = group.cap
        self.floor = -_UNLIMITED if group.floor is None else group.floor
        self.rules = tuple(
            CompiledRule(rule, name, group.decay, locale) for rule in group.rules
        )
        self.remembered = tuple(
            rule for rule in self.rules if rule.kind in {"event", "absence"}
        )
        self.silences = tuple(rule for rule in self.rules if rule.kind == "silence")


class CompiledDormancy:
    """What is left of some groups while a lead is silent."""

    __slots__ = (
        "factor",
        "first",
        "floor",
        "groups",
        "name",
        "silent_on",
        "then",
        "title",
    )

    def __init__(self, dormancy: language.Dormancy, locale: Locale) -> None:
        """Prepare `dormancy`; its title is in `locale`."""
        self.name = dormancy.name
        self.title = title_of(dormancy, locale)
        self.groups = tuple(dormancy.groups)
        self.silent_on = tuple(dormancy.channels)
        self.first: Millis = dormancy.first
        self.then: Millis | None = dormancy.then
        self.factor = dormancy.factor
        self.floor = dormancy.floor


def title_of(reason: language.Rule | language.Dormancy, locale: Locale) -> str:
    """Return the reason as people say it in `locale`; made of the name if untitled."""
    return said(reason.title, locale) or reason.name.replace("-", " ").capitalize()

"""A model made ready to run: predicates compiled, rules found by event at once."""

import hashlib
import math
from collections.abc import Iterable, Mapping
from typing import Final

from msgspec.structs import replace

from schemas.event import Event
from schemas.score import NO_TIER, ModelRef
from schemas.time import Millis
from scorers import model as language
from scorers.account_rules import CompiledAccounts
from scorers.alert_rules import CompiledAlert, inhibitors_first, moved_thresholds
from scorers.capacity import CompiledCapacity
from scorers.compiled_rules import CompiledDormancy, CompiledGroup, CompiledRule
from scorers.conditions import (
    compile_event_condition,
    static_choices,
)
from scorers.consent_gate import Gate, gates_of
from scorers.curve import Part
from scorers.machine_traffic import Traffic
from scorers.state import TraitFact
from scorers.texts import said

_MEMORY: Final = 4_096
"""Distinct (type, name, channel) triples whose rules are remembered."""

PASSIVE_EVENTS: Final = frozenset(
    {
        "email delivered",
        "email bounced",
        "email marked as spam",
        "unsubscribed",
        "resubscribed",
        "consent given",
        "consent withdrawn",
        "stage changed",
        "budget stated",
        "lead assigned",
        "lead acknowledged",
        "lead qualified",
        "lead disqualified",
        "lead snoozed",
        "deal won",
        "deal lost",
        "deal reopened",
        "deal corrected",
    }
)
"""Events that happen to a lead; they are no sign of life of the person."""

KEPT_TRAITS: Final = frozenset(
    {
        "account_id",
        "age",
        "annual_revenue",
        "budget",
        "budget_currency",
        "company",
        "consent",
        "country",
        "deal_value",
        "decision_date",
        "employees",
        "first_name",
        "industry",
        "last_name",
        "lifecycle_stage",
        "name",
        "owner",
        "seniority",
        "title",
    }
)
"""Traits kept even when no rule reads them: cards and alerts show them."""


class CompiledModel:
    """A model made ready: pure data and functions, safe to share."""

    def __init__(self, model: language.Model, digest: str) -> None:
        """Prepare `model`, known by `digest`."""
        self.source = model
        self.base: CompiledModel = self
        """The model as its text says; itself, if it has no other thresholds."""
        self.digest = digest
        self.ref = ModelRef(name=model.model, version=model.version, digest=digest)
        self.scale: int = 10**model.decimals
        self.groups = tuple(
            CompiledGroup(name, group, model.locale)
            for name, group in model.groups.items()
        )
        self.rules = tuple(rule for group in self.groups for rule in group.rules)
        self.by_name = {rule.name: rule for rule in self.rules}
        self.gates: dict[str, Gate] = gates_of(model.consent, model.locale)
        """What hangs on consent, by purpose."""
        self._held_back: dict[tuple[str, ...], frozenset[str] | None] = {}
        self.reactive = tuple(
            (rule, *_statics(text))
            for rule, text in zip(self.rules, _texts(model), strict=True)
            if rule.kind in {"event", "absence"}
        )
        self._close_gates(model)
        self.traffic = Traffic(model.machine_traffic)
        self.counts_machines = any(rule.counts_machines for rule in self.rules)
        """Whether any rule counts what machines did."""
        self.dormancies = tuple(
            CompiledDormancy(dormancy, model.locale) for dormancy in model.dormancy
        )
        self.tiers = tuple((tier.name, tier.at) for tier in model.tiers)
        self.alerts = tuple(CompiledAlert(alert, model) for alert in model.alerts)
        self._know_alerts()
        self.ceiling = model.ceiling
        self.grade = model.grade
        self._marks = (
            ()
            if model.grade is None
            else tuple(map(_compiled_mark, (model.grade.fit, model.grade.engagement)))
        )
        self.value = model.value
        self.accounts = (
            None
            if model.accounts is None
            else CompiledAccounts(model.accounts, dict(self.tiers), self.scale)
        )
        self.no_company: frozenset[str] = self.traffic.staff_domains.union(
            () if model.accounts is None else model.accounts.free_mail
        )
        """Mail domains of which no account is made, beside the known free ones."""
        self.next_actions = {
            stage.name.casefold(): said(stage.next_action, model.locale)
            for stage in model.stages
        }
        read = _referenced_traits(model)
        self.stages = {stage.name.casefold(): stage for stage in model.stages}
        self.kept_traits = KEPT_TRAITS | read
        self.read_traits = tuple(sorted(read))
        """The traits that rules read: nothing else decides what traits are worth."""
        self.trait_rules = tuple(rule for rule in self.rules if rule.kind == "trait")
        self._worths: dict[tuple[object, ...], dict[str, list[Part]]] = {}
        self._activity = (
            None if model.activity is None else compile_event_condition(model.activity)
        )
        self._found: dict[tuple[str, str, str], tuple[CompiledRule, ...]] = {}

    def _close_gates(self, model: language.Model) -> None:
        for rule, text in zip(self.rules, _texts(model), strict=True):
            channels = None if text.where or text.silence else _statics(text)[2]
            rule.gates = tuple(
                gate.name
                for gate in self.gates.values()
                if gate.holds_back(rule.group, channels, takes=rule.takes)
            )

    def held_back(self, refused: tuple[str, ...]) -> frozenset[str] | None:
        """Return the rules that give nothing while `refused`; None for the score."""
        try:
            return self._held_back[refused]
        except KeyError:
            names = frozenset(refused)
            found = (
                None
                if any(gate.whole for gate in self.gates_named(refused))
                else frozenset(
                    rule.name for rule in self.rules if not names.isdisjoint(rule.gates)
                )
            )
            self._held_back[refused] = found
            return found

    def gates_named(self, refused: Iterable[str]) -> tuple[Gate, ...]:
        """Return the gates of these names, those that the model has."""
        return tuple(self.gates[name] for name in refused if name in self.gates)

    def withholds(self, refused: tuple[str, ...]) -> bool:
        """Say whether the whole score is withheld while `refused`."""
        return bool(refused) and self.held_back(refused) is None

    def forbids(self, refused: tuple[str, ...], way: str) -> bool:
        """Say whether one may not follow up this way while `refused`."""
        return any(way in gate.follow_up for gate in self.gates_named(refused))

    def _know_alerts(self) -> None:
        """Work out what follows from the alerts."""
        self.policies = inhibitors_first(
            [alert for alert in self.alerts if alert.of is None]
        )
        """The alerts that watch a signal, those that mute others first."""
        self.cooled_by: dict[str, CompiledAlert] = {
            alert.of: alert
            for alert in self.alerts
            if alert.kind == "cooled" and alert.of is not None
        }
        self.unworked = tuple(a for a in self.alerts if a.kind == "unworked")
        self.surge_window: Millis = max((a.within for a in self.alerts), default=0)
        self.thresholds = self._thresholds()

    @property
    def limited(self) -> list[tuple[CompiledAlert, CompiledCapacity]]:
        """The alerts whose threshold follows from what people can deal with."""
        return [(a, a.capacity) for a in self.alerts if a.capacity is not None]

    def with_thresholds(self, thresholds: Mapping[str, float]) -> "CompiledModel":
        """Return the model with other thresholds for some of its hot alerts.

        Those that are not named begin where the model's text says. What ends an
        alert keeps its proportion to what begins it. The variant has a digest of its
        own, so leads adopt it; its `ref` has that of the text, and the thresholds.

        Raises
        ------
        ValueError
            If a name is no hot alert's, or a threshold not above 0 and at most 100.
        """
        base = self.base
        moved = moved_thresholds(base.alerts, thresholds)
        if not moved:
            return base
        text = "".join(f"\0{name}={enter!r}" for name, enter in moved.items())
        digest = hashlib.sha256((base.digest + text).encode()).hexdigest()[:12]
        variant = CompiledModel(base.source, digest)
        variant.base = base
        variant.ref = replace(base.ref, thresholds=moved)
        variant.alerts = tuple(
            alert.moved(moved[alert.name]) if alert.name in moved else alert
            for alert in base.alerts
        )
        variant._know_alerts()
        return variant

    def _thresholds(self) -> tuple[int, ...]:
        """Every published score, scaled to a whole number, at which facts change."""
        bounds = {at for _, at in self.tiers}
        for alert in self.policies:
            if alert.kind == "hot":
                bounds |= {alert.enter, alert.leave}
        return tuple(sorted(self.scaled(bound) for bound in bounds))

    def scaled(self, bound: float) -> int:
        """Return the least published score ≥ `bound`, as a whole number."""
        level = math.floor(bound * self.scale)
        return level if level / self.scale >= bound else level + 1

    def candidates(self, event: Event) -> tuple[CompiledRule, ...]:
        """Return the rules an event of this type, name and channel may match."""
        key = (event.type, event.name, event.channel)
        found = self._found.get(key)
        if found is None:
            name = event.name.casefold()
            found = tuple(
                rule
                for rule, types, names, channels in self.reactive
                if (types is None or event.type in types)
                and (names is None or name in names)
                and (channels is None or event.channel in channels)
            )
            if len(self._found) < _MEMORY:
                self._found[key] = found
        return found

    def trait_parts(self, facts: Mapping[str, TraitFact]) -> Mapping[str, list[Part]]:
        """Return what the rules over the traits give, by group."""
        known: list[object] = []
        for name in self.read_traits:
            value = facts[name].value if name in facts else None
            # True is 1 for a dictionary, and not for a rule.
            known.append(value if value.__class__ is not bool else (value,))
        key = tuple(known)
        try:
            found = self._worths.get(key)
        except TypeError:  # a trait that is a mapping
            return self._trait_parts(facts)
        if found is None:
            if len(self._worths) >= _MEMORY:
                self._worths.clear()
            found = self._worths[key] = self._trait_parts(facts)
        return found

    def _trait_parts(self, facts: Mapping[str, TraitFact]) -> dict[str, list[Part]]:
        traits = {name: fact.value for name, fact in facts.items()}
        worths: dict[str, list[Part]] = {}
        for rule in self.trait_rules:
            if rule.holds(traits):
                points = rule.points
                if rule.read_trait is not None and rule.amount_of is not None:
                    points = rule.amount_of(rule.read_trait(traits))
                if points:
                    part = Part(rule.name, rule.bound, const=points)
                    worths.setdefault(rule.group, []).append(part)
        return worths

    def is_activity(self, event: Event) -> bool:
        """Say whether the person did something: it ends a silence."""
        if self._activity is not None:
            return self._activity(event)
        if event.name.casefold() in PASSIVE_EVENTS:
            return False
        return event.channel != "crm" or event.type == "track"

    def tier_of(self, score: float) -> str:
        """Return the name of the tier of a published score."""
        for name, at in self.tiers:
            if score >= at:
                return name
        return NO_TIER

    def grade_of(self, groups: Mapping[str, float]) -> str:
        """Return the grade, such as A1, or empty where the model has none."""
        return "".join([_mark(scale, groups) for scale in self._marks])


def compile_model(model: language.Model) -> CompiledModel:
    """Return `model` ready to run; the digest is of its canonical JSON."""
    text = model.model_dump_json(by_alias=True, exclude_defaults=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    return CompiledModel(model, digest)


_Marks = tuple[tuple[str, ...], tuple[tuple[str, float], ...], str]
"""Half of a grade: its groups, from which total on which mark, and what else."""


def _compiled_mark(scale: language.GradeScale) -> _Marks:
    return tuple(scale.groups), tuple(scale.marks.items()), scale.otherwise


def _mark(scale: _Marks, groups: Mapping[str, float]) -> str:
    names, marks, otherwise = scale
    total = sum([groups.get(name, 0.0) for name in names])
    for mark, at in marks:
        if total >= at:
            return mark
    return otherwise


def _texts(model: language.Model) -> list[language.Rule]:
    return [rule for group in model.groups.values() for rule in group.rules]


_Choices = frozenset[str] | None


def _statics(rule: language.Rule) -> tuple[_Choices, _Choices, _Choices]:
    """Return the types, names and channels that a rule can match; None for any."""
    absence = rule.absence
    both = [rule.when] if absence is None else [absence.after, absence.unless]

    def choices(path: str) -> _Choices:
        each = [static_choices(one, path) for one in both if one is not None]
        known = [item for item in each if item is not None]
        return frozenset().union(*known) if len(known) == len(each) else None

    return choices("type"), choices("event"), choices("channel")


def _paths(condition: language.Condition | None) -> set[str]:
    if condition is None:
        return set()
    found = set(condition.fields)
    for part in (*condition.all, *condition.any):
        found |= _paths(part)
    return found | _paths(condition.negated)


def _referenced_traits(model: language.Model) -> frozenset[str]:
    paths: set[str] = {f"traits.{name}" for name in model.value.of}
    for rule in _texts(model):
        paths |= _paths(rule.where)
        if not isinstance(rule.points, float) and rule.when is None:
            paths.add(rule.points.of)
    return frozenset(path.split(".")[1] for path in paths if path.startswith("traits."))

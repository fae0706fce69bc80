"""What a new version of a model asks that the one before did not, and who can answer.

Points, caps and half-lives apply to what is remembered. A rule that is new remembers
nothing: it has to take in the events of the past, as far as they are retained.
"""

from itertools import pairwise
from typing import NamedTuple

from schemas.event import Event
from schemas.time import Instant
from scorers.compiled import CompiledModel
from scorers.compiled_rules import CompiledRule
from scorers.model import Rule
from scorers.versions import Versions

_REMEMBERING = frozenset({"event", "absence"})


class Questions(NamedTuple):
    """What a model asks of events that the one before did not."""

    rules: frozenset[str] = frozenset()
    traits: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        """Say whether there is any."""
        return bool(self.rules or self.traits)


def new_questions(old: CompiledModel, new: CompiledModel) -> Questions:
    """Return the rules and traits of `new` that `old` kept nothing of."""
    rules = frozenset(
        rule.name
        for rule in new.rules
        if rule.kind in _REMEMBERING and not _remembers(old, rule)
    )
    return Questions(rules, frozenset(new.read_traits) - old.kept_traits)


def reworded(old: CompiledModel, new: CompiledModel) -> list[str]:
    """Return the rules that match other events than before under the same name.

    What they have matched so far stays: only a new name learns the past anew.
    """
    before = {rule.name: rule for group in _groups(old) for rule in group}
    return [
        rule.name
        for group in _groups(new)
        for rule in group
        if (was := before.get(rule.name)) is not None
        and (was.when, was.absence) != (rule.when, rule.absence)
        and _remembers(old, new.by_name[rule.name])
    ]


def answers(model: CompiledModel, asked: Questions, event: Event) -> Questions:
    """Return which of the questions of `model` an `event` answers."""
    machine = model.traffic.judge(event) is not None
    rules = frozenset(
        rule.name
        for rule in model.candidates(event)
        if rule.name in asked.rules
        and (rule.counts_machines or not machine)
        and (rule.matches(event) or rule.unless(event))
    )
    if machine:
        return Questions(rules)
    return Questions(rules, asked.traits.intersection(event.traits))


class Lessons:
    """What leads did before, for rules of versions that come into force later."""

    def __init__(self, versions: Versions) -> None:
        """Ask for what each of `versions` asks that the one before did not."""
        known = list(versions)
        self._asked = [
            (after.at, after.model, asked)
            for before, after in pairwise(known)
            if (asked := new_questions(before.model, after.model))
        ]
        self._noted: dict[str, list[tuple[Instant, Event, Questions]]] = {}

    def note(self, lead_id: str, event: Event) -> None:
        """Keep an event of a lead if a later version asks for it."""
        for at, model, asked in self._asked:
            if event.now < at and (answer := answers(model, asked, event)):
                self._noted.setdefault(lead_id, []).append((at, event, answer))

    def move(self, lead_id: str, to: str) -> None:
        """Note what was kept of a lead under another one: it is part of that now."""
        if noted := self._noted.pop(lead_id, None):
            self._noted.setdefault(to, []).extend(noted)

    def due(self, lead_id: str, now: Instant) -> list[tuple[Instant, Event, Questions]]:
        """Take out what a lead's rules are to learn by `now`, in order."""
        noted = self._noted.get(lead_id)
        if not noted:
            return []
        due = [lesson for lesson in noted if lesson[0] <= now]
        self._noted[lead_id] = [lesson for lesson in noted if lesson[0] > now]
        return sorted(due, key=lambda lesson: lesson[0])


def _remembers(model: CompiledModel, rule: CompiledRule) -> bool:
    known = model.by_name.get(rule.name)
    return known is not None and known.kind == rule.kind


def _groups(model: CompiledModel) -> list[list[Rule]]:
    return [group.rules for group in model.source.groups.values()]

"""The design: which number of a model gave how much to whom, as a matrix.

Each number that a person wrote into the model is a column, each example a row. What
cannot be moved (points per unit, points read off an event) is added up beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scorers.compiled import CompiledModel
from scorers.conditions import as_number, compile_trait_condition, trait_field
from scorers.model import Ladder, Rule, Table
from scorers.snapshots import Example

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Whole = NDArray[np.int64]

_LEAST: Final = -100.0
_MOST: Final = 100.0


@dataclass(frozen=True, slots=True)
class Number:
    """One number of a model: points that a person chose."""

    rule: str
    group: str
    path: tuple[str | int, ...]
    """Where it stands in the model's file."""
    label: str
    """The rule, and the value that the points are for where there are several."""
    points: float
    sign: int
    """1 for points that are given, -1 for those that are taken, 0 for either."""
    most: float | None = None
    """The rule's own maximum, if it has one; it moves with the points."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the groups' caps and floors are, in the order of the model's groups."""

    names: tuple[str, ...]
    caps: tuple[float, ...]
    floors: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Design:
    """Examples as numbers: what each gives, what it came to."""

    numbers: tuple[Number, ...]
    bounds: Bounds
    units: NDArray[np.float32]
    """How often each number counted in each example, after decay."""
    fixed: Floats
    """What is not moved, by example and group."""
    won: Flags
    at: Whole
    ended: Whole
    """When it was known what became of each."""
    leads: NDArray[np.str_]
    score: Floats
    """The score as it was."""
    kept: Floats
    """What dormancy left of each group, where that was positive."""

    def __len__(self) -> int:
        """Return how many examples there are."""
        return len(self.won)

    @property
    def points(self) -> Floats:
        """The points as they stand in the model."""
        return np.array([number.points for number in self.numbers])

    @property
    def group_of(self) -> Whole:
        """The place of each number's group."""
        places = {name: place for place, name in enumerate(self.bounds.names)}
        return np.array([places[number.group] for number in self.numbers], np.int64)

    @property
    def weight(self) -> Floats:
        """How much each example counts: those of one lead together as much as one."""
        _, member, many = np.unique(self.leads, return_inverse=True, return_counts=True)
        weight: Floats = 1.0 / many[member]
        return weight

    def firsts(self, has: Flags) -> Flags:
        """Return which examples are the first of their lead among those that `has`."""
        rows = np.flatnonzero(has)
        order = rows[np.argsort(self.at[rows], kind="stable")]
        _, place = np.unique(self.leads[order], return_index=True)
        found = np.zeros(len(self), np.bool_)
        found[order[place]] = True
        return found

    def only(self, rows: Flags | Whole) -> "Design":
        """Return the design of some of the examples."""
        return replace(
            self,
            units=self.units[rows],
            fixed=self.fixed[rows],
            won=self.won[rows],
            at=self.at[rows],
            ended=self.ended[rows],
            leads=self.leads[rows],
            score=self.score[rows],
            kept=self.kept[rows],
        )

    def sums(self, points: Floats) -> Floats:
        """Return what each group adds up to before its cap, with other points."""
        sums = self.fixed.copy()
        places = self.group_of
        for place in range(len(self.bounds.names)):
            mine = places == place
            sums[:, place] += self.units[:, mine] @ points[mine]
        return sums

    def scored(self, points: Floats, bounds: Bounds | None = None) -> Floats:
        """Return the scores with other points and bounds, before rounding.

        Rules' own maxima move with their points, so a rule counts as often as it did.
        """
        held = self.bounds if bounds is None else bounds
        sums = np.clip(self.sums(points), held.floors, held.caps)
        sums *= np.where(sums > 0, self.kept, 1.0)
        scores: Floats = np.clip(sums.sum(axis=1), 0.0, _MOST)
        return scores


def design_of(model: CompiledModel, examples: Sequence[Example]) -> Design:
    """Return the design of `examples` that are decided; open ones have no place."""
    columns = list(_columns(model))
    numbers = tuple(number for column in columns for number in column.numbers)
    names = tuple(group.name for group in model.groups)
    places = {name: place for place, name in enumerate(names)}
    units = np.zeros((len(examples), len(numbers)), np.float32)
    fixed = np.zeros((len(examples), len(names)))
    for row, example in enumerate(examples):
        given = example.snapshot.points
        traits = _traits(example)
        start = 0
        for column in columns:
            points = given.get(column.rule, 0.0)
            place = column.place(points, traits)
            if place is None:
                fixed[row, places[column.group]] += points
            elif place >= 0:
                units[row, start + place] = column.amount(points)
            start += len(column.numbers)
    bounds = Bounds(
        names,
        tuple(group.cap for group in model.groups),
        tuple(group.floor for group in model.groups),
    )
    return Design(
        numbers=numbers,
        bounds=bounds,
        kept=_kept(model, bounds, examples),
        units=units,
        fixed=fixed,
        won=np.array([bool(each.verdict and each.verdict.won) for each in examples]),
        at=np.array([each.snapshot.at for each in examples], np.int64),
        ended=np.array(
            [each.verdict.at if each.verdict else 0 for each in examples], np.int64
        ),
        leads=np.array([each.snapshot.lead_id for each in examples], np.str_),
        score=np.array([each.snapshot.score for each in examples], np.float64),
    )


def _kept(model: CompiledModel, bounds: Bounds, examples: Sequence[Example]) -> Floats:
    """Return what dormancy left of each group: what it gave of what its rules gave."""
    kept = np.ones((len(examples), len(bounds.names)))
    fades = {group for dormancy in model.source.dormancy for group in dormancy.groups}
    rules: dict[str, list[str]] = {}
    for rule in model.rules:
        rules.setdefault(rule.group, []).append(rule.name)
    for place, name in enumerate(bounds.names):
        if name not in fades:
            continue
        for row, example in enumerate(examples):
            given = example.snapshot.points
            whole = sum(given.get(rule, 0.0) for rule in rules.get(name, ()))
            whole = min(max(whole, bounds.floors[place]), bounds.caps[place])
            if whole > 0:
                left = example.snapshot.groups.get(name, whole) / whole
                kept[row, place] = min(max(left, 0.0), 1.0)
    return kept


def _traits(example: Example) -> dict[str, Any]:
    if example.state is None:
        return example.snapshot.known
    return {name: fact.value for name, fact in example.state.traits.items()}


class _Column:
    """A rule of the model: one number, or one for each value."""

    def __init__(self, rule: Rule, group: str, path: tuple[str | int, ...]) -> None:
        self.rule, self.group = rule.name, group
        self._source = None if isinstance(rule.points, float) else rule.points
        self._plain = rule.points if isinstance(rule.points, float) else 0.0
        self._holds = (
            (lambda _: True)
            if rule.where is None
            else compile_trait_condition(rule.where)
        )
        self._read = None if self._source is None else trait_field(self._source.of)
        self._keys: dict[str, int] = {}
        self._rungs: list[float] = []
        self._otherwise: int | None = None
        # Points read off an event are in the lead's memory, not in the model.
        by_trait = self._source is not None and self._source.of.startswith("traits.")
        found: list[tuple[tuple[str | int, ...], str, float]] = []
        match self._source:
            case None if self._plain:
                found.append((("points",), "", self._plain))
            case Table() if by_trait:
                self._keys = {
                    key.casefold(): place
                    for place, key in enumerate(self._source.values)
                }
                found += [
                    (("points", "values", key), key, points)
                    for key, points in self._source.values.items()
                ]
                if "otherwise" in self._source.model_fields_set:
                    self._otherwise = len(found)
                    found.append(
                        (("points", "otherwise"), "else", self._source.otherwise)
                    )
            case Ladder() if by_trait:
                self._rungs = [rung.at for rung in self._source.ladder]
                found += [
                    (
                        ("points", "ladder", place, "points"),
                        f"≥ {rung.at:g}",
                        rung.points,
                    )
                    for place, rung in enumerate(self._source.ladder)
                ]
            case _:
                pass
        signs = {int(np.sign(points)) for _, _, points in found} - {0}
        sign = signs.pop() if len(signs) == 1 else 0
        self.numbers = [
            Number(
                rule=rule.name,
                group=group,
                path=path + inner,
                label=f"{rule.name}: {what}" if what else rule.name,
                points=points,
                sign=sign,
                most=rule.max if inner == ("points",) else None,
            )
            for inner, what, points in found
        ]

    def amount(self, points: float) -> float:
        """Return how often the number counted where the rule gave `points`."""
        return points / self._plain if self._source is None else 1.0

    def place(self, points: float, traits: dict[str, Any]) -> int | None:
        """Return which of the numbers counted: -1 for none, None for what is fixed."""
        if not self.numbers:
            return None
        if self._read is None:
            return 0 if points else -1
        value = self._read(traits)
        if value is None or not self._holds(traits):
            return None if points else -1
        if self._rungs:
            number = as_number(value)
            if number is None:
                return -1
            return int(np.searchsorted(self._rungs, number, side="right")) - 1
        key = _key(value)
        if key in self._keys:
            return self._keys[key]
        return -1 if self._otherwise is None else self._otherwise


def _key(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).casefold()


def _columns(model: CompiledModel) -> list[_Column]:
    return [
        _Column(rule, name, ("groups", name, "rules", place))
        for name, group in model.source.groups.items()
        for place, rule in enumerate(group.rules)
    ]

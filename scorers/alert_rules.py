"""A model's alerts made ready to run: thresholds worked out, nothing left to ask."""

import copy
from collections.abc import Iterable, Mapping, Sequence

from schemas.alert import DecisionReason
from schemas.time import Millis
from scorers import model as language
from scorers.capacity import CompiledCapacity
from scorers.consistency import BEST
from scorers.quiet import Quiet


class CompiledAlert:
    """An alert policy with its thresholds worked out.

    What it watches is its signal: the published score (hot), the points gained by
    events (surge), or whether the lead is in one of its stages (stage: 1 or 0).
    """

    def __init__(self, alert: language.Alert, model: language.Model) -> None:
        """Prepare `alert` of `model`."""
        self.name = alert.name
        self.kind = alert.kind
        self.of = alert.of
        self.dwell = alert.dwell
        self.leave_dwell = alert.leave_dwell
        self.cooldown = alert.cooldown
        self.re_rise = alert.re_rise
        self.within: Millis = alert.within or 0
        self.after: Millis = alert.after or 0
        self.inhibits = frozenset(alert.inhibits)
        self.route = alert.route
        self.digest = alert.digest
        self.quiet = None if alert.quiet_hours is None else Quiet(alert.quiet_hours)
        self.stages = frozenset(stage.casefold() for stage in alert.stages or ())
        self.enter = self.leave = 1.0
        self.entered: DecisionReason = "stage-entered"
        self.capacity: CompiledCapacity | None = None
        if alert.kind == "hot":
            self.enter = model.threshold(alert) or 0.0
            self.leave = model.leave_threshold(alert)
            self.entered = "crossed-threshold"
            if alert.capacity is not None:
                self.capacity = CompiledCapacity(
                    alert.capacity, self.enter, model.ceiling
                )
        elif alert.rise is not None:
            self.enter, self.leave = alert.rise, alert.rise / 2
            self.entered = "surged"

    def moved(self, enter: float) -> "CompiledAlert":
        """Return the same alert begun at `enter`, and ended in proportion."""
        other = copy.copy(self)
        other.enter = enter
        other.leave = round(self.leave / self.enter * enter, 9)
        return other


def inhibitors_first(policies: Sequence[CompiledAlert]) -> tuple[CompiledAlert, ...]:
    """Return the policies in an order in which a mute is known before its effect."""
    ordered: list[CompiledAlert] = []
    waiting = list(policies)
    while waiting:
        free = [
            policy
            for policy in waiting
            if not any(policy.name in other.inhibits for other in waiting)
        ] or waiting[:1]  # two that mute each other: the first one written wins
        ordered.extend(free)
        waiting = [policy for policy in waiting if policy not in free]
    return tuple(ordered)


def moved_thresholds(
    alerts: Iterable[CompiledAlert], thresholds: Mapping[str, float]
) -> dict[str, float]:
    """Return those of `thresholds` at which the model's text does not say it begins.

    Raises
    ------
    ValueError
        If a name is no hot alert's, or a threshold not above 0 and at most 100.
    """
    usual = {alert.name: alert.enter for alert in alerts if alert.kind == "hot"}
    for name, enter in thresholds.items():
        if name not in usual:
            msg = f"there is no hot alert {name!r}"
            raise ValueError(msg)
        if not 0 < enter <= BEST:
            msg = f"{name} cannot begin at {enter:g}"
            raise ValueError(msg)
    return {
        name: float(enter)
        for name, enter in sorted(thresholds.items())
        if enter != usual[name]
    }

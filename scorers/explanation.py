"""A lead explained: why its score is what it is, what changed, what would lift it."""

import msgspec

from schemas.time import DAY, Instant
from scorers import explain, memory
from scorers import model as language
from scorers.changes import Changes, changes_since
from scorers.compiled import CompiledModel
from scorers.explain import Ground, LedgerLine
from scorers.facts import trait_text
from scorers.reading import curve_of
from scorers.scorer import read
from scorers.state import LeadState
from scorers.whatif import WayUp, way_up

_TRAITS = "traits."


class Explanation(msgspec.Struct, frozen=True):
    """Everything that is to be said of a lead's score at an instant."""

    lead_id: str
    at: Instant
    score: float
    exact: float
    tier: str
    grade: str
    grounds: tuple[Ground, ...]
    """Up to five for and five against, the strongest first."""
    unknown: tuple[str, ...]
    """The traits that rules read and nobody knows of this lead."""
    ledger: tuple[LedgerLine, ...]
    """What sums to `exact`."""
    new: bool
    """Whether the lead was not known a day ago."""
    changes: Changes
    """Since a day ago."""
    goal: str
    """The highest tier; empty where the model has none."""
    way: WayUp | None
    """What would lift the lead to it."""
    stage: str
    next_change_at: Instant | None
    state: LeadState
    """What it is read from: what is not counted is told from it in any language."""


def explain_lead(model: CompiledModel, state: LeadState, now: Instant) -> Explanation:
    """Return why the lead's score is what it is at `now`, or at its last event."""
    state = memory.adopted(model, state)
    now = max(now, state.now)
    reading = read(model, state, now)
    goal, target = model.tiers[0] if model.tiers else ("", 0.0)
    since = now - DAY
    return Explanation(
        lead_id=state.lead_id,
        at=now,
        score=reading.score,
        exact=reading.exact,
        tier=reading.tier,
        grade=reading.grade,
        grounds=explain.grounds(model, state, curve_of(model, state, now)),
        unknown=unknown_traits(model.source, state),
        ledger=reading.ledger,
        new=not state.first_at or state.first_at > since,
        changes=changes_since(model, state, since, now),
        goal=goal,
        way=way_up(model, state, target, now) if goal else None,
        stage=trait_text(state, "lifecycle_stage") or "",
        next_change_at=reading.next_change_at,
        state=state,
    )


def unknown_traits(model: language.Model, state: LeadState) -> tuple[str, ...]:
    """Return the traits that rules read and are not known, in the model's order."""
    paths: dict[str, None] = {}
    for group in model.groups.values():
        for rule in group.rules:
            if rule.where is not None:
                paths |= dict.fromkeys(sorted(rule.where.paths()))
            if not isinstance(rule.points, float) and rule.when is None:
                paths[rule.points.of] = None
    names = dict.fromkeys(
        path.split(".")[1] for path in paths if path.startswith(_TRAITS)
    )
    return tuple(name for name in names if trait_text(state, name) is None)

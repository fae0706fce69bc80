"""What the reducer answers: everything that follows from one input, as data."""

from typing import Annotated, Literal

import msgspec

from schemas.account import MemberUpdate
from schemas.alert import Alert, DecisionReason
from schemas.command import Command
from schemas.score import MachineReason, ScoreUpdate
from schemas.time import Instant
from scorers.state import LeadState

Outcome = Literal["scored", "duplicate", "linked", "redirected"]
"""linked: who a lead is became known. redirected: it was for another lead."""


class Decision(msgspec.Struct, frozen=True, gc=False):
    """One decision of an alert policy, sent or not, for the metrics."""

    alert: str
    reason: DecisionReason
    sent: bool


class Step(msgspec.Struct, frozen=True, gc=False):
    """The consequence of one input for one lead.

    `updates` and `alerts` are in the order in which they became true. The shell
    publishes them, then stores `state`, then acknowledges the input.
    """

    state: LeadState
    outcome: Outcome
    updates: tuple[ScoreUpdate, ...] = ()
    alerts: tuple[Alert, ...] = ()
    decisions: tuple[Decision, ...] = ()
    members: tuple[MemberUpdate, ...] = ()
    """What the lead tells its account, and the one that it left."""
    commands: tuple[Command, ...] = ()
    """What other leads are to do because of it."""
    machines: tuple[MachineReason, ...] = ()
    """Why events turned out to be a machine's: one reason for each, for the metrics."""

    @property
    def wake_at(self) -> Annotated[Instant | None, "when to look again"]:
        """Return when the lead should be looked at again, or None for never."""
        return self.state.wake_at

    def following(self, before: "Step") -> "Step":
        """Return both as one: `before`, and then this."""
        return Step(
            state=self.state,
            outcome=self.outcome,
            updates=before.updates + self.updates,
            alerts=before.alerts + self.alerts,
            decisions=before.decisions + self.decisions,
            members=before.members + self.members,
            commands=before.commands + self.commands,
            machines=before.machines + self.machines,
        )

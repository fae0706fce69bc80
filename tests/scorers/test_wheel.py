"""The wheel is a dict that is scanned each time, only faster."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from scorers.wheel import Wheel

LEADS = st.sampled_from([f"lead-{number}" for number in range(12)])
INSTANTS = st.integers(0, 50)


class WheelMachine(RuleBasedStateMachine):
    """Plans and pops at random, beside a plain dict."""

    def __init__(self) -> None:
        super().__init__()
        self.wheel = Wheel()
        self.planned: dict[str, int] = {}

    @rule(lead=LEADS, at=INSTANTS)
    def plan(self, lead: str, at: int) -> None:
        self.wheel.plan(lead, at)
        self.planned[lead] = at

    @rule(lead=LEADS)
    def cancel(self, lead: str) -> None:
        self.wheel.plan(lead, None)
        self.planned.pop(lead, None)

    @rule(lead=LEADS, ats=st.lists(INSTANTS, min_size=30, max_size=80))
    def plan_often(self, lead: str, ats: list[int]) -> None:
        for at in ats:
            self.plan(lead, at)

    @rule(plans=st.dictionaries(LEADS, INSTANTS))
    def take_over(self, plans: dict[str, int]) -> None:
        for lead, at in plans.items():
            self.wheel.hold(lead, at)
        self.wheel.sort()
        self.planned |= plans

    @rule(limit=st.integers(0, 20), now=INSTANTS)
    def pop(self, limit: int, now: int) -> None:
        expected = sorted((at, lead) for lead, at in self.planned.items() if at <= now)
        expected = expected[:limit]

        assert self.wheel.pop_due(limit, now) == expected
        for _, lead in expected:
            del self.planned[lead]

    @invariant()
    def knows_the_next(self) -> None:
        assert self.wheel.next_at() == min(self.planned.values(), default=None)

    @invariant()
    def counts(self) -> None:
        assert len(self.wheel) == len(self.planned)

    @invariant()
    def stays_small(self) -> None:
        assert len(self.wheel._heap) <= 2 * len(self.planned) + 65


TestWheel = WheelMachine.TestCase
TestWheel.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)

"""One person under several identifiers: a life split up, and put together again."""

from random import Random

from schemas.alert import Alert
from schemas.command import Forward
from schemas.score import ScoreUpdate
from schemas.time import Instant
from scorers.compiled import CompiledModel
from scorers.identity import lead_id_of
from scorers.mailbox import Addressed, on_message
from scorers.state import LeadState

ANONYMOUS = {"anonymous_id": "cookie", "email": None, "user_id": None}
ADDRESS = {"anonymous_id": None, "email": "ada@example.com", "user_id": None}
KNOWN = {"anonymous_id": None, "email": None, "user_id": "ada"}
IDENTITIES = (ANONYMOUS, ADDRESS, KNOWN)
LINKS = (
    {"anonymous_id": "cookie", "email": "ada@example.com", "user_id": None},
    {"anonymous_id": None, "email": "ada@example.com", "user_id": "ada"},
    {"anonymous_id": "cookie", "email": None, "user_id": "ada"},
    {"anonymous_id": "cookie", "email": "ada@example.com", "user_id": "ada"},
)
WHO = (*IDENTITIES, *LINKS)
ADA = lead_id_of("user_id", "ada")


class World:
    """Leads that hear each other late, in whatever order, and more than once."""

    def __init__(self, model: CompiledModel, chance: Random) -> None:
        self.model = model
        self.states: dict[str, LeadState] = {}
        self.updates: list[ScoreUpdate] = []
        self.alerts: list[Alert] = []
        self._chance = chance
        self._waiting: list[tuple[str, Addressed]] = []

    def send(self, lead_id: str, message: Addressed, now: Instant) -> None:
        """Let a message reach its lead; what follows is heard at some time."""
        state = self.states.get(lead_id)
        step = on_message(self.model, state, message, now, lead_id=lead_id)
        if state is not None or step.outcome != "duplicate":
            self.states[lead_id] = step.state
        self.updates += step.updates
        self.alerts += step.alerts
        for command in step.commands:
            body = command.event if isinstance(command, Forward) else command
            assert isinstance(body, Addressed)
            copies = 1 + (self._chance.random() < 0.2)
            self._waiting += [(command.lead_id, body)] * copies

    def hear(self, now: Instant, most: int | None = None) -> None:
        """Let some of what is on its way arrive; everything without `most`."""
        while self._waiting and (most is None or most > 0):
            place = self._chance.randrange(len(self._waiting))
            lead_id, message = self._waiting.pop(place)
            self.send(lead_id, message, now)
            most = None if most is None else most - 1

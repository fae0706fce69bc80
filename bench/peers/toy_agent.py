"""Our agent of the toy work, as the product's own agents are made.

A module of its own, for in a tree that is compiled it is compiled as they are
(ADR 0041); what it works out of an event, `toy.scored`, is the same for everybody.
"""

from bench.peers.toy import Score, decode_event, decode_score, encode, scored
from streams.agents.cycle import Cycle
from streams.agents.durable import Change, DurableAgent
from streams.codec import Message
from streams.outgoing import Output
from streams.tables import Kept, Packed, StateTable
from streams.transport.progress import Record as Raw


class KeptScore(Kept):
    """What is durable of a toy lead."""

    __slots__ = ()

    @staticmethod
    def encode(state: Score) -> bytes:
        """Return `state` in bytes."""
        return encode(state)

    def decode(self, data: Packed) -> Score:
        """Return the score of these bytes."""
        return decode_score(data)


class ToyTable(StateTable):
    """The toy leads of the partitions that are owned."""

    kind = KeptScore


class Toy(DurableAgent):
    """Scores the toy events."""

    stage = "scoring"
    output: str = ""
    """The topic of the scores: of the agent, for a compiled class has no other."""

    def _take(self, cycle: Cycle, topic: str, partition: int, record: Raw) -> None:
        cycle.records += 1
        event = decode_event(record.value or b"")
        touched = self._touch(cycle, event.lead, partition)
        if touched is None:
            msg = f"{event.lead} came on partition {partition}"
            raise ValueError(msg)
        if self._replayed(cycle, touched, topic, record):
            return
        state = scored(event.lead, touched.state, event.at, event.points)
        outputs = (Output(self.output, encode(state), ()),)
        self._apply(cycle, touched, topic, record, Change(state, outputs))

    def _handle(
        self, cycle: Cycle, topic: str, partition: int, record: Raw, message: Message
    ) -> None:
        raise NotImplementedError  # `_take` has done it

    def _discount(self, cycle: Cycle, topic: str) -> None:
        pass

    def _count(self, cycle: Cycle) -> None:
        pass

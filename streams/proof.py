"""What a verification comes to: what was proved, found, and could not be told."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, get_args

import msgspec

from scorers.state import LeadState
from streams.tables import Kept

if TYPE_CHECKING:
    from confluent_kafka import Message

Subject = Literal["ledgers", "sequences", "alerts", "states", "events", "replay"]

PROMISES: Final[dict[Subject, str]] = {
    "ledgers": "every update's ledger sums to its score",
    "sequences": "updates are numbered without gaps, each following the one before",
    "alerts": "one alert per episode, saying what its update says",
    "states": "every state is what was published last",
    "events": "every event is in its lead's state once, or in the dead letters",
    "replay": "a replay of the events gives the live scores",
}
assert tuple(PROMISES) == get_args(Subject)  # noqa: S101 - the order of the report

LEFT_OUT: Final = {
    "accounts": "they add up the last words of their people, which their topic keeps "
    "for 30 days only; each person's score is proved above",
    "models beside the primary": "they decide nothing; their states are made by the "
    "same code from the same events",
    "lines within a group of a ledger": "caps are cut off the sum, not off a line",
}
"""What no proof looks at, and why."""

MOST_FINDINGS: Final = 1_000
"""Findings that are kept word by word; those beyond are only counted."""


class Place(NamedTuple):
    """Where a record is."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        """Return it as it is told: ``topic[partition]@offset``."""
        return f"{self.topic}[{self.partition}]@{self.offset}"


class Finding(msgspec.Struct, frozen=True):
    """Something that should not be so."""

    subject: Subject
    place: str
    lead_id: str
    problem: str

    def __str__(self) -> str:
        """Return it as one line."""
        return f"{self.place} {self.lead_id or '-'}: {self.problem}"


class Held(NamedTuple):
    """A lead's stored state, and where it is."""

    kept: Kept
    state: LeadState
    place: Place


Leads = Mapping[str, Held]
"""The leads of one partition, as their changelog leaves them."""


class Report:
    """Collects what the proofs come to."""

    def __init__(self) -> None:
        """Begin with nothing proved."""
        self.proved: Counter[Subject] = Counter()
        self.against: Counter[Subject] = Counter()
        self.untold: dict[Subject, Counter[str]] = defaultdict(Counter)
        """Per subject why how much could neither be proved nor refuted."""
        self.findings: list[Finding] = []
        """The first of them; `against` counts them all."""
        self.records = 0
        self.leads = 0

    @property
    def clean(self) -> bool:
        """Whether nothing was found."""
        return not self.against

    def prove(self, subject: Subject) -> None:
        """Count something that holds."""
        self.proved[subject] += 1

    def find(self, subject: Subject, place: Place, lead_id: str, problem: str) -> None:
        """Note something that does not hold."""
        self.against[subject] += 1
        if len(self.findings) < MOST_FINDINGS:
            self.findings.append(Finding(subject, str(place), lead_id, problem))

    def leave(self, subject: Subject, why: str) -> None:
        """Count something that cannot be told, and why."""
        self.untold[subject][why] += 1

    def judge(
        self, subject: Subject, place: Place, lead_id: str, problems: list[str]
    ) -> None:
        """Note `problems`, or that there is none."""
        for problem in problems:
            self.find(subject, place, lead_id, problem)
        if not problems:
            self.prove(subject)

    def as_data(self) -> dict[str, object]:
        """Return the report as plain data, for JSON."""
        return {
            "clean": self.clean,
            "records": self.records,
            "leads": self.leads,
            "promises": {
                subject: {
                    "promise": promise,
                    "proved": self.proved[subject],
                    "against": self.against[subject],
                    "untold": dict(self.untold.get(subject, {})),
                }
                for subject, promise in PROMISES.items()
            },
            "findings": self.findings,
            "left_out": LEFT_OUT,
        }


class Reading:
    """A partition as it is read: where one is, and whether its past is gone."""

    def __init__(self) -> None:
        """Begin before the first record."""
        self.cut = False
        """Whether records are missing before the present one: retention, compaction."""
        self.next = 0
        """The offset that comes next if none is missing."""

    def place(self, message: "Message") -> Place:
        """Return where `message` is, which is the next of its partition."""
        offset = message.offset() or 0
        self.cut = self.cut or offset != self.next
        self.next = offset + 1
        return Place(message.topic() or "", message.partition() or 0, offset)

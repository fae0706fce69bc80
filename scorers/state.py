"""What is remembered of a lead: masses and recent matches, never a running total.

Everything is a msgspec struct written as an array, so a stored state is compact
and its fields may only ever be added at the end (old states then still decode).
No state holds a cycle, so none is looked at by CPython's garbage collector
(`gc=False`): looking at all those in memory would hold up the events.
"""

import zlib
from typing import Any

import msgspec

from schemas.score import MachineAct, MachineReason
from schemas.time import Instant

Entry = tuple[Instant, int, float, int]
"""One match of a rule: event time, 64-bit id hash, amount, 64-bit key hash."""

Seen = tuple[Instant, int]
"""An event time and the 64-bit hash of the event's id."""

Gain = tuple[Instant, int, float]
"""An instant, the 64-bit hash of the event's id, and the points it gave."""

Rank = tuple[int, int, int]
"""A limit's key and window, and how many matches in it are no longer kept."""

Absorption = tuple[Instant, int, int]
"""When a lead was absorbed, and the hashes of its id and of what it knew."""

Claim = tuple[Instant, str]
"""From an event time on, an identifier is this lead's."""

Span = tuple[Instant, Instant]
"""From an instant on, until before another one."""

Stamp = int
"""An event's time and its mark in one number: ``time * MARKS + mark``."""

Touch = tuple[Instant, int, int, int, int, int]
"""What happened to a mail: event time, 64-bit id hash, the mail's hash, the act
(scorers/mail_bursts.py), the link's hash, and how many links the mail is said to have.
"""

Flagged = tuple[Instant, int, MachineReason, MachineAct]
"""A machine's event: its time, the 64-bit hash of its id, the reason and the act."""

MARKS = 8
PASSIVE, MACHINE, WITHDRAWN = 5, 6, 7
"""Marks of events that are no sign of life; below them is the channel's place."""

MAX_IDS = 512
"""Event ids remembered per lead; older repeats are caught by log positions only."""


class RuleState(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A rule's memory: a folded mass, and the latest matches in order of time.

    `mass` at `mass_at` is the left fold of everything: the folded `base`, then
    each counted entry in order. It is what a sorted history would give, whatever
    the order of arrival, bit for bit. `ranks` is how far limits had counted in what
    was folded.
    """

    entries: tuple[Entry, ...] = ()
    mass: float = 0.0
    mass_at: Instant = 0
    base: float = 0.0
    base_at: Instant = 0
    base_count: int = 0
    ranks: tuple[Rank, ...] = ()
    silenced: tuple[Span, ...] = ()
    """When consent was refused: matches of these times are kept and do not count."""


class ConsentWord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What an event said of a purpose: that consent is given, or refused."""

    at: Instant
    id: int
    given: bool


class TraitFact(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A trait's latest value by event time (ties: by id hash)."""

    at: Instant
    id: int
    value: Any


class AlertState(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Where a lead stands with one alert policy.

    `phase` is ``out``, ``waiting`` (above enter, not told yet) or ``in`` (told).
    """

    phase: str = "out"
    episode: int = 0
    deadline: Instant | None = None
    waiting_for: str = ""
    told_at: Instant | None = None
    told_score: float = 0.0
    muted: bool = False
    """Whether the present episode was inhibited: nobody was told of it."""
    told_id: str = ""
    """Id of the alert that told it, where another lead's name or number made it."""


class Recent(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One of the last events, for the people who read an alert."""

    at: Instant
    id: int
    name: str
    channel: str
    detail: str


class Held(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What an event had given before later ones showed that it was a machine's.

    If they are withdrawn it was a person after all, and counts again.
    """

    stamp: Stamp
    entries: tuple[tuple[str, Entry], ...] = ()
    facts: tuple[tuple[str, TraitFact], ...] = ()
    recent: Recent | None = None
    words: dict[str, bool] = {}
    """What it said of consent."""


class LeadState(msgspec.Struct, array_like=True, kw_only=True, gc=False):
    """Everything the core knows of one lead.

    Treat it as immutable: the reducer answers with a new one and never changes
    the one it was given.
    """

    lead_id: str
    format: int = 1
    model: str = ""
    """Digest of the model whose folds `rules` hold."""
    sequence: int = 0
    score: float = 0.0
    tier: str = "none"
    grade: str = ""
    now: Instant = 0
    """Everything planned up to here has been settled."""
    first_at: Instant = 0
    wake_at: Instant | None = None
    ids: dict[int, Stamp] = {}
    active: dict[str, tuple[Seen, ...]] = {}
    traits: dict[str, TraitFact] = {}
    rules: dict[str, RuleState] = {}
    alerts: dict[str, AlertState] = {}
    recent: tuple[Recent, ...] = ()
    emails: tuple[str, ...] = ()
    user_ids: tuple[str, ...] = ()
    anonymous_ids: tuple[str, ...] = ()
    owner: str | None = None
    gains: tuple[Gain, ...] = ()
    """Points gained by the last events, kept where a surge alert reads them."""
    worked_at: Instant | None = None
    """When sales last dealt with the lead."""
    former: dict[str, tuple[TraitFact, ...]] = {}
    """The traits' facts before the latest: what holds when that is withdrawn."""
    account_id: str | None = None
    """The account that the lead was last said to belong to."""
    member_sequence: int = 0
    """Words told to accounts so far; each has the next number."""
    signs: tuple[Gain, ...] = ()
    """The last signs of life by event time, as long as an account may ask for them."""
    days: tuple[int, int] = (0, 0)
    """The latest day of activity (since 1970), and a bit for each day before it."""
    taught: dict[str, dict[str, int]] = {}
    """Per backfill and topic, the offset of the last event that it taught."""
    linked: dict[str, Instant] = {}
    """Weaker leads that were told to send what is theirs here, and when they were
    shown last, by event time."""
    absorbed: tuple[Absorption, ...] = ()
    """What was absorbed lately, so that it counts once if it comes again."""
    claims: tuple[Claim, ...] = ()
    """Set where this is no lead any more: who it is, from which event time on."""
    consents: dict[str, tuple[ConsentWord, ...]] = {}
    """What was said of each purpose (and channel), by event time."""
    refused: tuple[str, ...] = ()
    """The model's purposes to which there is no consent now."""
    touches: tuple[Touch, ...] = ()
    """What lately happened to mails, in order of time: scanners are known by it."""
    held: dict[int, Held] = {}
    """What events of `touches` gave that are held to be a machine's."""
    flagged: tuple[Flagged, ...] = ()
    """The last events of machines, in order of time."""


class _Head(msgspec.Struct, array_like=True):
    """The first fields of a lead's state; the rest is not looked at."""

    lead_id: str
    format: int
    model: str
    sequence: int
    score: float


_HEAD = msgspec.msgpack.Decoder(_Head)
MAX_STATE_BYTES = 8 * 1024 * 1024
"""The largest packed state that is taken apart; no lead comes near it."""

_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(LeadState)


def encode_state(state: LeadState) -> bytes:
    """Return `state` as MessagePack."""
    return _ENCODER.encode(state)


def decode_state(data: bytes | memoryview) -> LeadState:
    """Return the state that `encode_state` wrote.

    Raises
    ------
    msgspec.ValidationError
        If the bytes are not a state this version can read.
    """
    return _DECODER.decode(data)


def decode_score(data: bytes | memoryview) -> float:
    """Return the last published score of a state that `encode_state` wrote.

    Raises
    ------
    msgspec.ValidationError
        If the bytes are not a state this version can read.
    """
    return _HEAD.decode(data).score


def pack_state(state: LeadState) -> bytes:
    """Return `state` as it travels from lead to lead: encoded and compressed."""
    return zlib.compress(encode_state(state))


def unpack_state(data: bytes) -> LeadState:
    """Return the state that `pack_state` wrote.

    Raises
    ------
    ValueError
        If the bytes are not a state this version can read.
    """
    unpacking = zlib.decompressobj()
    try:
        encoded = unpacking.decompress(data, MAX_STATE_BYTES)
        if not unpacking.eof:
            msg = "a packed state that is cut off, or too large"
            raise ValueError(msg)
        return decode_state(encoded)
    except (zlib.error, msgspec.DecodeError) as error:
        msg = f"not a packed state: {error}"
        raise ValueError(msg) from error

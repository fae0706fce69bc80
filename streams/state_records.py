"""The records of the tables' changelogs: states, and who took a partition over."""

from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from schemas.time import Instant
from streams.outgoing import Output

VERSION: Final = 1
OWNER_KEY: Final = b"#owner"
"""Key of the record by which a worker takes a changelog partition over."""

MAX_STORED_BYTES: Final = 900_000
"""Brokers take a megabyte by default; a state that outgrows it could not be kept."""

_SOURCE_MARK: Final = "/"


def source_name(lead_id: str, topic: str) -> str:
    """Return the name under which a position in what `lead_id` forwards is kept."""
    return f"{lead_id}{_SOURCE_MARK}{topic}"


def split_source(name: str) -> tuple[str, str]:
    """Return the lead and the topic of a name that `source_name` made."""
    lead_id, _, topic = name.partition(_SOURCE_MARK)
    return lead_id, topic


def is_source(name: str) -> bool:
    """Say whether a position is in what a lead forwards, not in a topic."""
    return _SOURCE_MARK in name


class ChangelogError(Exception):
    """A changelog record cannot be read: no state may be built on guesses."""


class Epoch(NamedTuple):
    """Who wrote a record: later owners of a partition compare greater.

    `term` is the consumer group's generation, or a greater one that was found in the
    changelog (a group that is made anew starts from one); `offset` is the place of
    the owner's own record in the changelog.
    """

    term: int
    offset: int


class Claim(NamedTuple):
    """What an owner wrote on a changelog partition when it took it over."""

    id: str
    term: int
    offset: int


class Stored(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A state in the changelog; fields may only ever be added at the end."""

    version: int
    term: int
    owner: int
    positions: Mapping[str, int]
    """Per topic (base name): the last offset whose record this state includes.

    Also per lead and topic, where the lead forwards what is this one's by now.
    """
    state: bytes
    wake_at: Instant | None
    outbox: tuple[Output, ...] = ()
    """What followed from the last change: sent again if the input comes again."""
    model: str = ""
    """Digest of the model that a lead was scored by last."""


class StoredView(Stored, array_like=True, frozen=True, gc=False):
    """The same, with the state where it was read from: nothing is copied.

    Whatever it was read from stays as long as the state is kept.
    """

    state: memoryview  # type: ignore[assignment] # whoever decodes takes either


class _Sign(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The first fields of a record; the rest is not looked at."""

    version: int
    term: int
    owner: int


class Ownership(msgspec.Struct, array_like=True, frozen=True):
    """A worker's record that it takes a changelog partition over."""

    version: int
    term: int
    id: str
    worker: str


_encode: Final = msgspec.msgpack.Encoder().encode
decode_stored: Final = msgspec.msgpack.Decoder(Stored).decode
"""Returns the state of these bytes; msgspec.DecodeError if they are none."""
decode_ownership: Final = msgspec.msgpack.Decoder(Ownership).decode
"""Returns the claim of these bytes; msgspec.DecodeError if they are none."""


_sign: Final = msgspec.msgpack.Decoder(_Sign).decode


def decode_epoch(value: bytes) -> tuple[int, int]:
    """Return by whom a state was stored, as an `Epoch` compares.

    Raises
    ------
    msgspec.DecodeError
        When it is no state.
    """
    sign = _sign(value)
    return sign.term, sign.owner


def encode_stored(stored: Stored) -> bytes:
    """Return a state as it goes on the changelog."""
    return _encode(stored)


def encode_ownership(ownership: Ownership) -> bytes:
    """Return `ownership` as it goes on the changelog."""
    return _encode(ownership)


def sign_anew(value: bytes, term: int, *, begin_anew: bool) -> bytes:
    """Return a record as an owner of `term` would write it, before any claim.

    To `begin_anew` it includes nothing of any topic, and has nothing left to send.
    """
    stored = decode_stored(value)
    return _encode(
        Stored(
            stored.version,
            term,
            -1,
            {} if begin_anew else stored.positions,
            stored.state,
            stored.wake_at,
            () if begin_anew else stored.outbox,
            stored.model,
        )
    )

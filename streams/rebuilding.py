"""The states of a changelog's partition, rebuilt from its records."""

from collections.abc import Callable, Iterable

import msgspec

from streams.state_records import (
    OWNER_KEY,
    VERSION,
    ChangelogError,
    Epoch,
    Ownership,
    Stored,
    decode_ownership,
    decode_stored,
    encode_stored,
)
from streams.tables import Kept


class Rebuilt:
    """One partition's states in the making, record by record of its changelog.

    Of two records of a key the one with the later owner wins, then the later one.
    A worker that was paused and lost the partition signs with an older epoch, so
    what it writes late never wins.
    """

    def __init__(self, partition: int, term: int, claim: str) -> None:
        """Collect `partition` for the owner whose claim has this id."""
        self.partition = partition
        self.records = 0
        self.complete = False
        """Whether our own claim was reached: everything before it was read."""
        self.epoch = Epoch(term, -1)
        self.claim = claim
        """Id of our own claim: everything before it is to be read."""
        self._stored: dict[str, Stored] = {}
        self._overwritten: set[str] = set()

    def apply(self, key: bytes | None, value: bytes | None, offset: int) -> None:
        """Take the next record of the changelog.

        Raises
        ------
        ChangelogError
            When the record cannot be read by this version.
        """
        if self.complete:
            return
        self.records += 1
        if key is None:
            msg = f"a record without a key at {self.partition}:{offset}"
            raise ChangelogError(msg)
        try:
            if key == OWNER_KEY:
                if value is not None:
                    self._take_over(decode_ownership(value), offset)
                return
            name = key.decode()
            if value is None:
                self._stored.pop(name, None)
                self._overwritten.discard(name)
            else:
                self._keep(name, decode_stored(value))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            msg = f"unreadable changelog record at {self.partition}:{offset}: {error}"
            raise ChangelogError(msg) from error

    def kept(self, kind: type[Kept]) -> dict[str, Kept]:
        """Return the states as the changelog leaves them, as `kind`."""
        return {key: kind(self.partition, stored) for key, stored in self.states()}

    def states(self) -> Iterable[tuple[str, Stored]]:
        """Return the states as the changelog leaves them, by their keys."""
        return self._stored.items()

    def winners(self) -> Iterable[tuple[str, bytes]]:
        """Yield every key with the record that counts."""
        for key, stored in self._stored.items():
            yield key, encode_stored(stored)

    def restore(self, states: dict[str, Stored]) -> None:
        """Begin with what a snapshot holds, before any record is applied."""
        self._stored = states
        for stored in states.values():
            self._note_term(stored.term)
            break  # they are all of one owner

    def expect(self, term: int, claim: str) -> None:
        """Read on until this claim: what was followed so far is taken over."""
        self.claim = claim
        self._note_term(term)

    def repairs(self) -> Iterable[tuple[str, bytes]]:
        """Yield the keys whose last record lost, with the one that won.

        Compaction keeps the last record of a key, so the winner must be written
        again.
        """
        for key in self._overwritten:
            yield key, encode_stored(self._stored[key])

    def erase(self, is_erased: Callable[[str], bool]) -> list[str]:
        """Drop the states of whoever was erased; return their keys.

        What a worker that had lost the partition wrote after an erasure ends here.
        """
        gone = [key for key in self._stored if is_erased(key)]
        for key in gone:
            del self._stored[key]
            self._overwritten.discard(key)
        return gone

    def _take_over(self, ownership: Ownership, offset: int) -> None:
        if ownership.id == self.claim:
            self.epoch = Epoch(self.epoch.term, offset)
            self.complete = True
        else:
            self._note_term(ownership.term)

    def _keep(self, key: str, stored: Stored) -> None:
        if stored.version != VERSION:
            msg = f"{key} was stored in format {stored.version}"
            raise ChangelogError(msg)
        self._note_term(stored.term)
        held = self._stored.get(key)
        if held is not None and ((stored.term, stored.owner) < (held.term, held.owner)):
            self._overwritten.add(key)
            return
        self._stored[key] = stored
        self._overwritten.discard(key)

    def _note_term(self, term: int) -> None:
        # A group that was made anew counts from one; its owners must still win.
        if term > self.epoch.term:
            self.epoch = Epoch(term, self.epoch.offset)

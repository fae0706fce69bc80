"""The leads: the ranking by pages, one lead, and who is meant by a word."""

import base64
import threading
import time
from typing import Final

import msgspec

from streams.view import LeadCard, ViewAwayError
from streams.view_board import Place, Wanted
from streams.web.problems import NotFoundError, ProblemError, WrongQueryError
from streams.web.reading.rows import LeadRow, row_of
from streams.web.sources import Sources

MOST: Final = 200
"""Rows of one page."""
_SEARCHED: Final = 20_000
"""Leads that one search looks at; it says where it stopped."""
_STEP: Final = 2_000
_OWNERS_SECONDS: Final = 60.0


class LeadQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which leads are asked for, and which page of them."""

    tier: str | None = None
    owner: str | None = None
    account: str | None = None
    min_score: float | None = None
    text: str | None = None
    """In an identifier, the owner or a reason."""
    cursor: str | None = None
    offset: int = 0
    limit: int = 50

    @property
    def wanted(self) -> Wanted:
        """What the ranking is asked for."""
        return Wanted(
            tier=self.tier,
            owner=self.owner,
            account=self.account,
            min_score=self.min_score,
        )


class LeadPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the ranking."""

    leads: tuple[LeadRow, ...]
    next_cursor: str | None
    """What asks for the next page; null on the last one."""
    total: int | None
    """How many there are in all; null where a text is searched for."""


class Leads:
    """Reads leads from the view."""

    def __init__(self, sources: Sources) -> None:
        """Read the view of `sources`."""
        self._view = sources.view
        self._lock = threading.Lock()
        self._owners: tuple[str, ...] = ()
        self._owners_at = float("-inf")
        self._looking = False

    def page(self, query: LeadQuery) -> LeadPage:
        """Return the page of the ranking that is asked for.

        Raises
        ------
        ProblemError
            400 for a cursor that is none of ours, or a limit out of bounds.
        """
        if not 0 < query.limit <= MOST or query.offset < 0:
            msg = f"limit is 1 to {MOST}, offset at least 0"
            raise WrongQueryError(msg)
        if query.text and query.text.strip():
            return self._search(query, query.text.strip())
        board, wanted = self._view.board, query.wanted
        offset = query.offset
        if query.cursor is not None:
            offset = board.offset_after(wanted, _place(query.cursor))
        places = board.page(wanted, offset=offset, limit=query.limit + 1)
        shown = places[: query.limit]
        return LeadPage(
            leads=self._rows([place.lead_id for place in shown]),
            next_cursor=_cursor(shown[-1]) if len(places) > query.limit else None,
            total=board.count(wanted),
        )

    def card(self, lead_id: str) -> LeadCard:
        """Return all that the view knows of a lead.

        Raises
        ------
        ProblemError
            404 where there is no such lead.
        """
        card = self._view.lead(lead_id)
        if card is None:
            raise NotFoundError("lead")  # noqa: EM101 - a word
        return card

    def found(self, term: str) -> str | None:
        """Return the id of the lead that an identifier or an old id names."""
        return next(iter(self._view.find(term)), None)

    def owners(self) -> tuple[str, ...]:
        """Return who owns leads, as it was a minute or so ago.

        All keys of the view are passed for it: nobody waits for that but the first.
        """
        with self._lock:
            old = time.monotonic() - self._owners_at > _OWNERS_SECONDS
            first = self._owners_at == float("-inf")
            if first:
                self._look_for_owners()
            elif old and not self._looking:
                self._looking = True
                threading.Thread(target=self._look_again, daemon=True).start()
            return self._owners

    def _look_again(self) -> None:
        try:
            self._look_for_owners()
        except ViewAwayError:
            self._owners_at = time.monotonic()  # what was known stays for a minute
        finally:
            self._looking = False

    def _look_for_owners(self) -> None:
        self._owners = self._view.board.owners()
        self._owners_at = time.monotonic()

    def _rows(self, lead_ids: list[str]) -> tuple[LeadRow, ...]:
        return tuple(map(row_of, self._view.board.lines(lead_ids)))

    def _search(self, query: LeadQuery, term: str) -> LeadPage:
        """Return those that `term` names, then those in whose words it occurs."""
        board, wanted = self._view.board, query.wanted
        first = query.cursor is None
        offset = 0 if first else board.offset_after(wanted, _place(query.cursor or ""))
        unfiltered = wanted == Wanted()
        exact = list(self._view.find(term)) if first and unfiltered else []
        found, last, looked = exact[: query.limit], None, 0
        needle = msgspec.json.encode(term.casefold())[1:-1].decode()
        while looked < _SEARCHED and len(found) < query.limit:
            places = board.page(wanted, offset=offset + looked, limit=_STEP)
            bodies = dict(board.updates([place.lead_id for place in places]))
            for place in places:
                body = bodies.get(place.lead_id)
                last, looked = place, looked + 1
                if body is None or place.lead_id in exact:
                    continue
                if needle in body.decode().casefold() and _says(body, term.casefold()):
                    found.append(place.lead_id)
                    if len(found) >= query.limit:
                        break
            if len(places) < _STEP and len(found) < query.limit:
                last = None  # the end of the ranking
                break
        return LeadPage(
            leads=self._rows(found),
            next_cursor=None if last is None else _cursor(last),
            total=None,
        )


def cursor_after(row: LeadRow) -> str:
    """Return what asks for the leads after this one."""
    return _cursor(Place(row.score, row.lead_id))


class _Said(msgspec.Struct):
    """What of an update is searched."""

    identifiers: dict[str, tuple[str, ...]]
    reasons: tuple[dict[str, object], ...]
    owner: str | None = None


_said: Final = msgspec.json.Decoder(_Said).decode


def _says(body: bytes, needle: str) -> bool:
    """Say whether what people see of a lead contains `needle`."""
    said = _said(body)
    texts = [name for names in said.identifiers.values() for name in names]
    texts += [str(reason.get("text", "")) for reason in said.reasons]
    return any(needle in each.casefold() for each in (*texts, said.owner or ""))


def _cursor(place: Place) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def _place(cursor: str) -> Place:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        return msgspec.json.decode(base64.urlsafe_b64decode(padded), type=Place)
    except (ValueError, msgspec.DecodeError):
        raise ProblemError(400, "bad-cursor", "this cursor is none of ours") from None

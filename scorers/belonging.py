"""Which account a lead belongs to, and what it tells that account of itself.

What the CRM or a `group` call says comes first, then the company's mail domain. The
id is derived, like a lead's, so that whoever sees a lead knows its account's key.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

import msgspec

from schemas.account import MemberUpdate, Sign
from schemas.alert import RecentEvent
from schemas.time import DAY, Instant, Millis, to_datetime
from schemas.workspace import DEFAULT_WORKSPACE, derived_id, workspace_of
from scorers.free_mail import company_domain
from scorers.identity import is_legal
from scorers.state import Gain, LeadState

MOST_SIGNS: Final = 32
"""Signs of life that a lead keeps for its account, the latest by event time."""

DAYS_KEPT: Final = 51
"""Days on which activity is remembered: seven weeks, and the two around today."""

_ALL_DAYS: Final = (1 << DAYS_KEPT) - 1


class Belonging(msgspec.Struct, frozen=True):
    """The account of a lead, and what the lead says of it."""

    account_id: str
    name: str
    domain: str | None


def account_id_of(kind: str, value: str, workspace: str = DEFAULT_WORKSPACE) -> str:
    """Return the id of the account that is known by this.

    128 bits of BLAKE2b over kind (``account`` or ``domain``) and value, after ``ac_``
    and the workspace.
    """
    return derived_id("ac", b"leadpulse.accnt", f"{kind}\x00{value}", workspace)


def is_account_id(key: str) -> bool:
    """Say whether a key is an account's, not a lead's."""
    return key.startswith("ac_")


def belonging_of(
    state: LeadState, no_company: frozenset[str] = frozenset()
) -> Belonging | None:
    """Return the account that a lead belongs to, None where nothing says so.

    `no_company` are mail domains that make none, beside those of free mail.
    """
    return _belonging(
        (
            _text(state, "account_id"),
            _text(state, "company"),
            _text(state, "email_domain"),
        ),
        state.emails,
        workspace_of(state.lead_id),
        no_company,
    )


@lru_cache(maxsize=8_192)
def _belonging(
    said: tuple[str, ...],
    emails: tuple[str, ...],
    workspace: str,
    no_company: frozenset[str],
) -> Belonging | None:
    account, company, domain = said
    # The latest address says most; of a person's others, any that is a company's.
    others = (email.rpartition("@")[2] for email in emails)
    domains = (company_domain(each, no_company) for each in (domain, *others))
    at_company = next(filter(None, domains), None)
    if account and is_legal(account):
        return Belonging(
            account_id_of("account", account, workspace), company or account, at_company
        )
    if at_company is None:
        return None
    return Belonging(
        account_id_of("domain", at_company, workspace),
        company or at_company,
        at_company,
    )


def _text(state: LeadState, trait: str) -> str:
    fact = state.traits.get(trait)
    if fact is None:
        return ""
    value = fact.value
    if value is None or isinstance(value, dict):
        return ""
    return str(value).strip()


def note_sign(state: LeadState, sign: Gain, window: Millis, now: Instant) -> None:
    """Remember a sign of life, as long as the lead's account may ask for it."""
    state.days = _with_day(state.days, sign[0] // DAY)
    kept = [each for each in (*state.signs, sign) if each[0] > now - window]
    state.signs = latest_signs(kept)


def latest_signs(signs: Iterable[Gain]) -> tuple[Gain, ...]:
    """Return the last signs of life by event time, as many as are kept."""
    return tuple(sorted(signs)[-MOST_SIGNS:])


def _with_day(days: tuple[int, int], day: int) -> tuple[int, int]:
    """Return `days` (the latest day, a bit for each one before) with `day` in it."""
    latest, bits = days
    if day > latest:
        return day, (bits << min(day - latest, DAYS_KEPT) | 1) & _ALL_DAYS
    return latest, bits | (1 << (latest - day)) & _ALL_DAYS


def merged_days(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    """Return the days of both, counted from the later of their latest days."""
    (earlier, before), (latest, bits) = sorted((one, other))
    return latest, (bits | before << min(latest - earlier, DAYS_KEPT)) & _ALL_DAYS


def active_at(state: LeadState) -> Instant | None:
    """Return when the person was last heard of, by event time."""
    return max((signs[-1][0] for signs in state.active.values() if signs), default=None)


def members_of(
    before: LeadState,
    state: LeadState,
    now: Instant,
    *,
    withdrawn: bool,
    belonging: Belonging | None,
    hidden: bool = False,
) -> tuple[MemberUpdate, ...]:
    """Return what a lead that changed from `before` to `state` tells its accounts.

    Nothing where nothing changed that concerns them. `state` counts what is told;
    `belonging` is the account that it belongs to.
    Of a lead that is `hidden`, for it refuses to be scored, accounts hear no sign.
    """
    told = []
    if before.account_id is not None and before.account_id != state.account_id:
        told.append(leave(state, before.account_id, now))
    if belonging is not None and (
        not state.member_sequence or _concerns_account(before, state)
    ):
        word = _present(state, belonging, now, withdrawn=withdrawn)
        told.append(_silent(word) if hidden else word)
    return tuple(told)


def leave(state: LeadState, account_id: str, now: Instant) -> MemberUpdate:
    """Return the word that a lead belongs to `account_id` no longer; counted."""
    state.member_sequence += 1
    return MemberUpdate(
        account_id=account_id,
        lead_id=state.lead_id,
        sequence=state.member_sequence,
        as_of=to_datetime(now),
        left=True,
    )


def _silent(word: MemberUpdate) -> MemberUpdate:
    return msgspec.structs.replace(
        word, active_at=None, active_days=0, signs=(), last_event=None
    )


_TOLD: Final = ("account_id", "company", "email_domain", "lifecycle_stage")


def _concerns_account(before: LeadState, state: LeadState) -> bool:
    """Say whether anything changed that an account is told of."""
    return (
        before.score != state.score
        or before.signs != state.signs
        or before.days != state.days
        or before.tier != state.tier
        or before.grade != state.grade
        or before.owner != state.owner
        or before.account_id != state.account_id
        or before.refused != state.refused
        or active_at(before) != active_at(state)
        or any(_text(before, trait) != _text(state, trait) for trait in _TOLD)
    )


def _present(
    state: LeadState, belonging: Belonging, now: Instant, *, withdrawn: bool
) -> MemberUpdate:
    state.member_sequence += 1
    heard, (latest, bits) = active_at(state), state.days
    if heard is not None:  # after a retraction it may be earlier than the days
        bits >>= min(max(latest - heard // DAY, 0), DAYS_KEPT)
    last = state.recent[-1] if state.recent else None
    return MemberUpdate(
        account_id=belonging.account_id,
        lead_id=state.lead_id,
        sequence=state.member_sequence,
        as_of=to_datetime(now),
        withdrawn=withdrawn,
        score=state.score,
        tier=state.tier,
        grade=state.grade,
        active_at=None if heard is None else to_datetime(heard),
        active_days=bits if heard is not None else 0,
        signs=tuple(
            Sign(at=to_datetime(at), points=round(points, 6))
            for at, _, points in state.signs
        ),
        name=belonging.name,
        domain=belonging.domain,
        owner=state.owner,
        stage=_text(state, "lifecycle_stage") or None,
        last_event=None
        if last is None
        else RecentEvent(
            at=to_datetime(last.at),
            name=last.name,
            channel=last.channel,
            detail=last.detail,
        ),
    )

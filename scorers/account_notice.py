"""Writing what is told of an account: its score, and the alert of a surge."""

from collections.abc import Mapping, Sequence

from schemas.account import AccountScore
from schemas.alert import Alert, AlertedAccount
from schemas.locale import Locale
from schemas.score import Identifiers, Reason
from schemas.time import SECOND, Instant, to_datetime
from scorers.account_rules import CompiledSurge, today
from scorers.account_state import AccountState, Member, Published
from scorers.alerting import Verdict
from scorers.compiled import CompiledModel
from scorers.notice import alert_id
from scorers.speech import SPEECH

_MOST_TOLD = 5


def by_strength(members: Mapping[str, Member]) -> list[tuple[str, Member]]:
    """Return lead ids and members, the strongest first."""
    # Their places are compared, for compiled a key would be a call for each.
    places = sorted([strength(person) for person in members.items()])
    return [(lead_id, members[lead_id]) for _, lead_id in places]


def strength(person: tuple[str, Member]) -> tuple[float, str]:
    """Return the place of a lead id and its member: the strongest come first."""
    lead_id, member = person
    return -member.score, lead_id


def score_of(
    model: CompiledModel,
    state: AccountState,
    before: Published,
    at: Instant,
    next_change_at: Instant | None,
) -> AccountScore:
    """Return the message of what `state` has just published."""
    now = state.published
    return AccountScore(
        account_id=state.account_id,
        name=now.name,
        domain=now.domain,
        sequence=state.sequence,
        score=now.score,
        previous=before.score,
        tier=now.tier,
        previous_tier=before.tier,
        members=now.members,
        active=now.active,
        qualified=now.qualified,
        top=now.top,
        trend=now.trend,
        as_of=to_datetime(at),
        next_change_at=None if next_change_at is None else to_datetime(next_change_at),
        model=model.ref,
    )


def surge_alert_of(
    model: CompiledModel,
    state: AccountState,
    surge: CompiledSurge,
    *,
    verdict: Verdict,
    previous: float,
    at: Instant,
    decided_at: Instant,
) -> Alert:
    """Return the alert of a surge; its lead is the strongest of the active people.

    Where a surge is recalled nobody may be active any more: then it is the strongest
    person of the account.
    """
    published, everybody = state.published, state.members
    active = by_strength(
        {
            lead_id: member
            for lead_id, member in everybody.items()
            if surge.counts(member, at)
        }
    )
    lead_id, first = next(iter(active or by_strength(everybody)), ("", None))
    stage = "" if first is None else first.stage or ""
    usual = surge.usual(everybody.values(), at) if surge.factor else None
    episode = verdict.state.episode
    told = alert_id(state.account_id, surge.name, episode)
    return Alert(
        id=alert_id(state.account_id, f"{surge.name}/recall", episode)
        if verdict.recalled
        else told,
        lead_id=lead_id,
        alert=surge.name,
        kind=surge.kind,
        episode=episode,
        reason=verdict.reason,
        score=published.score,
        previous=previous,
        threshold=surge.leave if verdict.recalled else surge.enter,
        tier=published.tier,
        grade="" if first is None else first.grade,
        reasons=_reasons(state, surge, active, usual, at, locale=model.source.locale),
        last_events=tuple(
            member.last_event
            for _, member in active[:_MOST_TOLD]
            if member.last_event is not None
        ),
        next_action=model.next_actions.get(stage.casefold(), "")
        or model.next_actions.get("unknown", ""),
        occurred_at=to_datetime(at),
        decided_at=to_datetime(decided_at),
        model=model.ref,
        identifiers=Identifiers(),
        owner=None if first is None else first.owner,
        stage=stage or None,
        recalls=told if verdict.recalled else None,
        route=surge.route,
        digest=surge.digest,
        account_id=state.account_id,
        account=AlertedAccount(
            name=published.name,
            domain=published.domain,
            members=published.members,
            people=tuple(lead_id for lead_id, _ in active),
            within_seconds=surge.within / SECOND,
            usual=None if usual is None else round(usual, 2),
        ),
    )


def _reasons(
    state: AccountState,
    surge: CompiledSurge,
    active: Sequence[tuple[str, Member]],
    usual: float | None,
    at: Instant,
    *,
    locale: Locale,
) -> tuple[Reason, ...]:
    """Return in sentences what happened, and who the people are."""
    speech = SPEECH[locale]
    within = speech.span(surge.within)
    given = [
        Reason(
            rule=surge.name,
            group="account",
            points=0.0,
            text=speech.say("account.people", len(active), within=within),
            count=len(active),
        )
    ]
    if usual is not None:
        people = today(state.members.values(), at)
        given.append(
            Reason(
                rule=surge.name,
                group="account",
                points=0.0,
                text=speech.say("account.usual", people, usual=speech.figure(usual)),
                count=people,
            )
        )
    for _, member in active[:_MOST_TOLD]:
        did = member.last_event
        who = {
            "score": speech.figure(member.score),
            "tier": speech.tier(member.tier),
        }
        given.append(
            Reason(
                rule=surge.name,
                group="account",
                points=member.score,
                text=speech.say("account.person", **who)
                if did is None
                else speech.say(
                    "account.person.did",
                    did=speech.name(f"{did.name} {did.detail}".strip()),
                    **who,
                ),
                last_at=None
                if member.active_at is None
                else to_datetime(member.active_at),
            )
        )
    return tuple(given)

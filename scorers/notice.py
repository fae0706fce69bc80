"""Writing an alert: what a salesperson needs to act, in one message."""

import hashlib
from typing import Any

from schemas.alert import Alert, DealValue, RecentEvent
from schemas.event import Event
from schemas.score import Cause, Identifiers, Reason, ScoreUpdate
from schemas.time import Instant, to_datetime
from scorers import explain
from scorers.alert_rules import CompiledAlert
from scorers.alerting import Verdict
from scorers.compiled import CompiledModel
from scorers.conditions import as_number
from scorers.facts import trait_text
from scorers.linking import present_owner
from scorers.state import LeadState

_SHOWN_TRAITS = ("name", "first_name", "last_name", "title", "company", "country")


def alert_id(lead_id: str, alert: str, episode: int) -> str:
    """Return the id of one telling: the same whenever it is computed again."""
    digest = hashlib.blake2b(
        f"{lead_id}\x00{alert}\x00{episode}".encode(), digest_size=12
    )
    return f"al_{digest.hexdigest()}"


def identifiers_of(state: LeadState) -> Identifiers:
    """Return every identifier the lead is known by."""
    return Identifiers(
        email=state.emails, user_id=state.user_ids, anonymous_id=state.anonymous_ids
    )


def deal_value(model: CompiledModel, state: LeadState) -> DealValue | None:
    """Return what the deal may be worth, from the first trait that says it."""
    for name in model.value.of:
        fact = state.traits.get(name)
        if fact is not None and (amount := as_number(fact.value)) is not None:
            currency = trait_text(state, "budget_currency") or model.value.currency
            return DealValue(amount=amount, currency=currency)
    return None


def last_word_of(
    model: CompiledModel, before: LeadState, state: LeadState
) -> ScoreUpdate:
    """Return the update which says that a lead is part of another one from now on."""
    return ScoreUpdate(
        lead_id=state.lead_id,
        sequence=state.sequence,
        score=0.0,
        previous=before.score,
        delta=round(-before.score, 6),
        tier=model.tier_of(0.0),
        previous_tier=before.tier,
        grade="",
        groups={group.name: 0.0 for group in model.groups},
        reasons=(),
        cause=Cause(kind="merge"),
        as_of=to_datetime(state.now),
        next_change_at=None,
        model=model.ref,
        identifiers=identifiers_of(before),
        merged_into=present_owner(state),
    )


def alert_of(
    model: CompiledModel,
    state: LeadState,
    policy: CompiledAlert,
    *,
    threshold: float,
    verdict: Verdict,
    facts: tuple[float, float, Instant, Instant],
    grade: str,
    reasons: tuple[Reason, ...],
    event: Event | None,
) -> Alert:
    """Return the alert of one verdict.

    `facts` are the score, the score before, the instant it is for, and the
    processing time of the decision.
    """
    score, previous, at, decided_at = facts
    stage = trait_text(state, "lifecycle_stage")
    locale = model.source.locale
    shown: dict[str, Any] = {
        name: state.traits[name].value
        for name in _SHOWN_TRAITS
        if name in state.traits and state.traits[name].value is not None
    }
    told = alert_id(state.lead_id, policy.name, verdict.state.episode)
    withdrawal = alert_id(state.lead_id, f"{policy.name}/recall", verdict.state.episode)
    return Alert(
        id=withdrawal if verdict.recalled else told,
        lead_id=state.lead_id,
        alert=policy.name,
        kind=policy.kind,
        episode=verdict.state.episode,
        reason=verdict.reason,
        score=score,
        previous=previous,
        threshold=threshold,
        tier=model.tier_of(score),
        grade=grade,
        reasons=reasons,
        last_events=tuple(
            RecentEvent(
                at=to_datetime(item.at),
                name=item.name,
                channel=item.channel,
                detail=item.detail,
            )
            for item in reversed(state.recent)
        ),
        next_action=model.next_actions.get((stage or "").casefold(), "")
        or model.next_actions.get("unknown", ""),
        occurred_at=to_datetime(at),
        decided_at=to_datetime(decided_at),
        model=model.ref,
        identifiers=identifiers_of(state),
        event_id=None if event is None else event.id,
        owner=trait_text(state, "owner"),
        stage=stage,
        deal_value=deal_value(model, state),
        traits=shown,
        recalls=(verdict.state.told_id or told) if verdict.recalled else None,
        route=policy.route,
        digest=policy.digest,
        account_id=state.account_id,
        do_not_email=model.forbids(state.refused, "email"),
        note=explain.threshold_note(model, policy.of or policy.name, locale)
        if model.ref.thresholds
        else "",
    )

"""Proof of what was published: updates, their ledgers, alerts, and the states."""

import hashlib
import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from schemas.alert import Alert
from schemas.score import NO_TIER, ROUNDING, WHOLE_SCORE, ScoreUpdate
from schemas.time import to_instant
from schemas.topics import SCORE_UPDATES
from scorers.scorer import Reading as Score
from scorers.scorer import read
from scorers.state import LeadState
from scorers.versions import InForce
from streams.proof import Held, Leads, Place, Reading, Report

if TYPE_CHECKING:
    from confluent_kafka import Message

SUM_TOLERANCE: Final = 1e-6
"""How far a ledger's sum may be from its score."""

_GROUP_TOLERANCE: Final = 0.006
"""Groups are published with two decimals, the ledger's lines with four."""
_ROUNDED: Final = 0.51
"""Rounding moves a score by half a point at most, whatever the model's decimals."""
_REMEMBERED: Final = 256
"""Updates of a lead whose bytes are remembered, to know a repetition."""

_update: Final = msgspec.json.Decoder(ScoreUpdate).decode
_alert: Final = msgspec.json.Decoder(Alert).decode


class _Story:
    """What is known of a lead's updates so far."""

    __slots__ = ("digests", "score", "sequence", "tier")

    def __init__(self) -> None:
        self.sequence = 0
        self.score = 0.0
        self.tier = NO_TIER
        self.digests: dict[int, bytes] = {}

    def follow(self, update: ScoreUpdate, digest: bytes) -> None:
        self.sequence = update.sequence
        self.score, self.tier = update.score, update.tier
        self.digests[update.sequence] = digest
        self.digests.pop(update.sequence - _REMEMBERED, None)


class _Told(NamedTuple):
    """An alert that an update of the same instant must agree with."""

    alert: Alert
    place: Place


class UpdateProof:
    """Takes one partition of the alerts, then of the updates, then is closed."""

    def __init__(
        self, report: Report, versions: Iterable[InForce], leads: Leads
    ) -> None:
        """Prove against `leads`, the partition's states as they were read before."""
        self._report = report
        self._models = {each.model.digest: each.model for each in versions}
        self._leads = leads
        self._stories: dict[str, _Story] = {}
        self._last: dict[str, tuple[ScoreUpdate, Place]] = {}
        self._reading = Reading()
        self._alert_reading = Reading()
        self._alerts: dict[str, bytes] = {}
        self._episodes: dict[tuple[str, str, int, bool], str] = {}
        self._unmatched: dict[tuple[str, int], list[_Told]] = {}
        self._differing: dict[str, tuple[_Told, str]] = {}

    # ── alerts ───────────────────────────────────────────────────────────────────

    def take_alert(self, message: "Message") -> None:
        """Take the next alert of the partition."""
        place = self._alert_reading.place(message)
        value = message.value() or b""
        try:
            alert = _alert(value)
        except msgspec.DecodeError as error:
            self._report.find("alerts", place, "", f"cannot be read: {error}")
            return
        problems = []
        digest = _digest(value)
        if self._alerts.setdefault(alert.id, digest) != digest:
            problems.append(f"{alert.id} came before with other bytes")
        subject = alert.account_id or "" if alert.account else alert.lead_id
        episode = (subject, alert.alert, alert.episode, alert.recalls is not None)
        first = self._episodes.setdefault(episode, alert.id)
        if first != alert.id:
            problems.append(
                f"{alert.id} tells episode {alert.episode} of {alert.alert} again, "
                f"which {first} told"
            )
        self._report.judge("alerts", place, alert.lead_id, problems)
        if alert.account is None and not problems:
            when = (alert.lead_id, to_instant(alert.occurred_at))
            self._unmatched.setdefault(when, []).append(_Told(alert, place))

    def _match(self, update: ScoreUpdate) -> None:
        """Compare the alerts of an update's instant with it."""
        when = (update.lead_id, to_instant(update.as_of))
        for told in self._unmatched.get(when, ()):
            alert = told.alert
            said = (alert.score, alert.tier, alert.model)
            if said == (update.score, update.tier, update.model):
                # Of several updates of one millisecond it agrees with one.
                self._differing.pop(alert.id, None)
                self._unmatched[when] = [
                    each for each in self._unmatched[when] if each is not told
                ]
            else:
                problem = (
                    f"{alert.id} says {alert.score:g} {alert.tier} by "
                    f"{alert.model.digest}; the update of that instant "
                    f"{update.score:g} {update.tier} by {update.model.digest}"
                )
                self._differing[alert.id] = (told, problem)

    # ── updates ──────────────────────────────────────────────────────────────────

    def take_update(self, message: "Message") -> None:
        """Take the next update of the partition."""
        place = self._reading.place(message)
        key = (message.key() or b"").decode("utf-8", "replace")
        value = message.value()
        if value is None:
            self._stories.pop(key, None)
            return
        try:
            update = _update(value)
        except msgspec.DecodeError as error:
            self._report.find("sequences", place, key, f"cannot be read: {error}")
            return
        story = self._stories.get(update.lead_id)
        digest = _digest(value)
        if story is not None and update.sequence <= story.sequence:
            self._repeat(story, update, digest, place)
            return
        self._report.judge(
            "sequences",
            place,
            update.lead_id,
            list(self._out_of_line(story, update, key)),
        )
        self._prove_ledger(update, place)
        if story is None:
            story = self._stories[update.lead_id] = _Story()
        story.follow(update, digest)
        held = self._leads.get(update.lead_id)
        if held is not None and held.state.sequence == update.sequence:
            self._last[update.lead_id] = (update, place)
        self._match(update)

    def _repeat(
        self, story: _Story, update: ScoreUpdate, digest: bytes, place: Place
    ) -> None:
        known = story.digests.get(update.sequence)
        if known is None:
            self._report.leave("sequences", "repeats an update too old to compare")
        elif known != digest:
            problem = f"update {update.sequence} came before with other bytes"
            self._report.find("sequences", place, update.lead_id, problem)
        else:
            self._report.prove("sequences")

    def _out_of_line(
        self, story: _Story | None, update: ScoreUpdate, key: str
    ) -> Iterator[str]:
        """Yield what is wrong with an update by itself and beside the one before."""
        if key != update.lead_id:
            yield f"stands under the key {key}"
        if story is not None:
            yield from _following(story, update)
        elif update.sequence == 1:
            yield from _following(_Story(), update)
        elif self._reading.cut:
            self._report.leave("sequences", "earlier updates are compacted away")
        else:
            yield f"the first update is {update.sequence}, not 1"
        if abs(update.score - update.previous - update.delta) > SUM_TOLERANCE:
            yield (
                f"delta {update.delta:g} is not {update.score:g} − {update.previous:g}"
            )
        model = self._models.get(update.model.digest)
        if model is None:
            why = f"tiers by model {update.model.digest}, which is not at hand"
            self._report.leave("sequences", why)
        elif (tier := model.tier_of(update.score)) != update.tier:
            yield f"{update.score:g} is {tier}, not {update.tier}"

    def _prove_ledger(self, update: ScoreUpdate, place: Place) -> None:
        if not update.ledger and update.score:
            self._report.leave("ledgers", "updates from before there was a ledger")
            return
        problems = list(ledger_problems(update))
        self._report.judge("ledgers", place, update.lead_id, problems)

    # ── states ───────────────────────────────────────────────────────────────────

    def close(self) -> None:
        """Prove the states by the updates, when all of the partition were taken."""
        for told, problem in self._differing.values():
            self._report.find("alerts", told.place, told.alert.lead_id, problem)
        for lead_id, held in self._leads.items():
            problems = list(self._state_problems(lead_id, held))
            self._report.judge("states", held.place, lead_id, problems)
        for lead_id in self._stories.keys() - self._leads.keys():
            problem = "has updates and no state"
            place = Place(SCORE_UPDATES.name, -1, -1)
            self._report.find("states", place, lead_id, problem)

    def _state_problems(self, lead_id: str, held: Held) -> Iterator[str]:
        """Yield what is wrong with a state beside its update, and by itself."""
        state, last = held.state, self._last.get(lead_id)
        if last is not None:
            update, place = last
            if (update.score, update.tier) != (state.score, state.tier):
                yield (
                    f"the state has {state.score:g} {state.tier}, update "
                    f"{update.sequence} at {place} {update.score:g} {update.tier}"
                )
        elif state.sequence:
            yield from self._untold(lead_id, held)
        if state.claims:
            return  # what is part of another lead has no score to read
        model = self._models.get(state.model)
        if model is None:
            why = f"states by model {state.model}, which is not at hand"
            self._report.leave("states", why)
            return
        yield from _misread(state, read(model, state, state.now))

    def _untold(self, lead_id: str, held: Held) -> Iterator[str]:
        """Yield what is wrong where the update of a state's sequence was not met."""
        story, sequence = self._stories.get(lead_id), held.state.sequence
        come = 0 if story is None else story.sequence
        if come > sequence:
            self._report.leave("states", "states whose update is compacted away")
        elif _waits_in_outbox(held):
            self._report.leave("states", "updates still to be sent from an outbox")
        else:
            yield f"the state is at update {sequence}, the topic at {come}"


def _following(story: _Story, update: ScoreUpdate) -> Iterator[str]:
    """Yield what is wrong with an update beside what was known before it."""
    if update.sequence != story.sequence + 1:
        yield f"update {update.sequence} follows {story.sequence}"
    elif (update.previous, update.previous_tier) != (story.score, story.tier):
        yield (
            f"says {update.previous:g} {update.previous_tier} was before, "
            f"it was {story.score:g} {story.tier}"
        )


def _misread(state: LeadState, reading: Score) -> Iterator[str]:
    """Yield what is wrong with a state by what reading it gives."""
    if abs(reading.score - state.score) > SUM_TOLERANCE:
        yield f"the state says {state.score:g}, reading it gives {reading.score:g}"
    summed = math.fsum(line.points for line in reading.ledger)
    if abs(summed - reading.exact) > SUM_TOLERANCE:
        yield f"its ledger sums to {summed:.6f}, its score is {reading.exact:.6f}"


def ledger_problems(update: ScoreUpdate) -> Iterator[str]:
    """Yield what is wrong with an update's ledger, beside its score and groups."""
    sums = {name: math.fsum(lines.values()) for name, lines in update.ledger.items()}
    total = math.fsum(sums.values())
    if not abs(total - update.score) <= SUM_TOLERANCE:
        yield f"the ledger sums to {total:.6f}, the score is {update.score:g}"
    sums.pop(WHOLE_SCORE, None)
    for name in sorted(sums.keys() | update.groups.keys()):
        points = update.groups.get(name, 0.0)
        if not abs(sums.get(name, 0.0) - points) <= _GROUP_TOLERANCE:
            yield (
                f"the ledger's {name} sums to {sums.get(name, 0.0):.4f}, "
                f"the group has {points:g}"
            )
    rounding = update.ledger.get(WHOLE_SCORE, {}).get(ROUNDING, 0.0)
    if not abs(rounding) <= _ROUNDED:
        yield f"rounding is {rounding:g}, which is more than rounding can be"


def _waits_in_outbox(held: Held) -> bool:
    return any(
        output.topic == SCORE_UPDATES.name
        and _update(output.value).sequence == held.state.sequence
        for output in held.kept.outbox
    )


def _digest(value: bytes) -> bytes:
    return hashlib.blake2b(value, digest_size=8).digest()

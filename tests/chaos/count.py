"""An independent count: what came in against what is there, without the product's own.

`leadpulse verify` proves the same from the topics alone. Whoever distrusts it may read
this: it knows what Kafka acknowledged to the sender, and asks the states, the dead
letters, the updates, the alerts and the view for it.
"""

from collections import Counter, defaultdict
from collections.abc import Callable
from hashlib import blake2b
from math import isclose

import msgspec

from schemas.alert import Alert
from schemas.dead_letter import DeadLetter
from schemas.score import ScoreUpdate
from schemas.topics import DEAD_LETTERS, NOTIFICATIONS, SCORE_UPDATES
from scorers.state import LeadState
from streams.dead_letter_log import read_letters
from streams.model_files import read_model
from streams.settings import Settings
from streams.topic_reader import read_topic
from streams.verify import verify
from streams.view import connect_view
from tests.chaos.feed import Accepted
from tests.waiting import wait_until
from tests.worker_harness import committed, stored_states

_MOST_FINDINGS = 20
_NEAR = 1e-6
_REMEMBERED = 512
"""Events that a state remembers by their ids."""


class Findings(list[str]):
    """What should not be so, in words."""

    def say(self, condition: bool, what: str) -> None:  # noqa: FBT001 - reads best
        """Note `what` unless the condition holds."""
        if not condition:
            self.append(what)


def settle(settings: Settings, accepted: Accepted, within: float = 120.0) -> None:
    """Return once the workers have acknowledged all that was accepted."""
    wait_until(
        lambda: committed(settings) == accepted.records,
        within,
        f"{accepted.records} records to be acknowledged",
    )


def count(
    settings: Settings,
    accepted: Accepted,
    redis_url: str | None = None,
    *,
    tend: Callable[[], None] = lambda: None,
) -> Findings:
    """Return what does not add up; no worker runs that could still change it.

    The view's role may need somebody to `tend` it.
    """
    findings = Findings()
    states = stored_states(settings)
    _states(findings, accepted, states)
    _dead_letters(findings, settings, accepted)
    last = _updates(findings, settings, states)
    _alerts(findings, settings)
    if redis_url is not None:
        _view(findings, settings, redis_url, last, tend)
    return findings


def prove(settings: Settings) -> Findings:
    """Return what the product's own proof finds."""
    report = verify(settings, read_model(settings.model_path))
    findings = Findings(f"verify: {each}" for each in report.findings[:_MOST_FINDINGS])
    proved = sum(report.proved.values())
    findings.say(proved > 0, "verify: nothing was proved")
    return findings


def _states(
    findings: Findings, accepted: Accepted, states: dict[str, LeadState]
) -> None:
    missing = accepted.ids.keys() - states.keys()
    findings.say(not missing, f"{len(missing)} leads have no state")
    extra = states.keys() - accepted.ids.keys()
    findings.say(not extra, f"{len(extra)} states of nobody")
    lost, made_up, twice = 0, 0, 0
    for lead_id, state in states.items():
        known, wanted = set(state.ids), accepted.ids.get(lead_id, set())
        if len(wanted) <= _REMEMBERED:
            lost += len(wanted - known)
        made_up += len(known - wanted)
        twice += len(state.ids) - len(known)
    findings.say(not lost, f"{lost} accepted events are in no state")
    findings.say(not made_up, f"{made_up} events in states were never accepted")
    findings.say(not twice, f"{twice} events are in a state twice")


def _dead_letters(findings: Findings, settings: Settings, accepted: Accepted) -> None:
    found: Counter[tuple[str, int, int]] = Counter()
    for letter in read_letters(settings):
        story: DeadLetter = letter.story
        found[story.topic, story.partition, story.offset] += 1
    lost = accepted.rubbish - found.keys()
    findings.say(not lost, f"{len(lost)} unreadable records are not in {DEAD_LETTERS}")
    wrong = found.keys() - accepted.rubbish
    findings.say(not wrong, f"{len(wrong)} good records are dead letters: {wrong}")


def _updates(
    findings: Findings, settings: Settings, states: dict[str, LeadState]
) -> dict[str, ScoreUpdate]:
    told: dict[str, dict[int, bytes]] = defaultdict(dict)
    last: dict[str, ScoreUpdate] = {}
    differing, wrong_sums = 0, 0
    for message in read_topic(settings, settings.topic(SCORE_UPDATES.name)):
        value = message.value()
        assert value is not None
        update = msgspec.json.decode(value, type=ScoreUpdate)
        digest = blake2b(value, digest_size=16).digest()
        first = told[update.lead_id].setdefault(update.sequence, digest)
        differing += first != digest
        if update.lead_id not in last or (
            last[update.lead_id].sequence < update.sequence
        ):
            last[update.lead_id] = update
        total = sum(sum(group.values()) for group in update.ledger.values())
        wrong_sums += not isclose(total, update.score, abs_tol=_NEAR)
    findings.say(not differing, f"{differing} repeated updates differ")
    findings.say(not wrong_sums, f"{wrong_sums} ledgers do not sum to their score")
    gaps = [
        lead_id
        for lead_id, updates in told.items()
        if sorted(updates) != list(range(1, len(updates) + 1))
    ]
    findings.say(not gaps, f"{len(gaps)} leads have gaps in their updates")
    stale = [
        lead_id
        for lead_id, state in states.items()
        if state.sequence
        and (lead_id not in last or last[lead_id].sequence != state.sequence)
    ]
    findings.say(not stale, f"{len(stale)} states were never told, or not their last")
    return last


def _alerts(findings: Findings, settings: Settings) -> None:
    ids: dict[tuple[str, str, int, bool], set[bytes]] = defaultdict(set)
    by_id: dict[str, set[bytes]] = defaultdict(set)
    for message in read_topic(settings, settings.topic(NOTIFICATIONS.name)):
        value = message.value()
        assert value is not None
        alert = msgspec.json.decode(value, type=Alert)
        recalled = alert.recalls is not None
        episode = (alert.lead_id, alert.alert, alert.episode, recalled)
        ids[episode].add(value)
        by_id[alert.id].add(value)
    twice = [each for each, told in ids.items() if len(told) > 1]
    findings.say(not twice, f"{len(twice)} episodes were told in two ways")
    reused = [each for each, told in by_id.items() if len(told) > 1]
    findings.say(not reused, f"{len(reused)} alert ids stand for two alerts")
    findings.say(bool(ids), "no alert was sent: nothing is proved of alerts")


def _view(
    findings: Findings,
    settings: Settings,
    redis_url: str,
    last: dict[str, ScoreUpdate],
    tend: Callable[[], None],
) -> None:
    view = connect_view(redis_url, prefix=settings.topic_prefix)
    try:

        def behind() -> int:
            tend()
            shown = {
                each.update.lead_id: each.update.sequence
                for each in view.top(limit=len(last) + 1)
            }
            return sum(
                shown.get(lead_id) != update.sequence
                for lead_id, update in last.items()
            )

        try:
            wait_until(lambda: behind() == 0, 30, "the view to have the last scores")
        except AssertionError as error:
            findings.append(
                f"{behind()} leads are not in the view as they are: {error}"
            )
    finally:
        view.close()

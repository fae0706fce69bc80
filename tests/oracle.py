"""A slow scorer that is right on sight: it keeps every event and starts from scratch.

It shares no code with the core, only the model's text. The score at an instant is
summed over all events that are known by then. Changes are found by halving: between
two breaks (a step, a deadline, an expiry) each rule moves one way only, so the sum of
the rules' least and greatest values bounds the score, and a stretch that may leave
its band is halved until it is a millisecond long.
"""

import hashlib
import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from schemas.event import Event
from schemas.time import Instant
from scorers.model import (
    Alert,
    Condition,
    Consent,
    Dormancy,
    Expires,
    HalfLife,
    Ladder,
    Limit,
    Linear,
    Model,
    PerUnit,
    Rule,
    Steps,
    Table,
)
from scorers.predicate import Test

NOISE = 1e-9
"""What is a half but for the noise of floating point is rounded up."""

FOREVER: Instant = 1 << 60


class Fact(NamedTuple):
    """Something that became true: an alert, or a tier that was entered."""

    at: Instant
    name: str
    episode: int
    reason: str


class Known(NamedTuple):
    """An event that is known, at its event time."""

    at: Instant
    place: int
    event: Event
    counts: bool = True
    """Whether consent was not refused when it happened."""

    def __hash__(self) -> int:
        """Return the hash of the event's id: an event itself has none."""
        return hash(self.event.id)


class Worth(NamedTuple):
    """A rule's value as a function of time, and where it is not smooth."""

    rule: Rule
    value: Callable[[Instant], float]
    breaks: list[Instant]


# ── conditions ──────────────────────────────────────────────────────────────────


def field_of(event: Event, path: str) -> Any:
    """Return the field of an event that a model names."""
    head, _, key = path.partition(".")
    if head == "event":
        return event.name
    return getattr(event, head).get(key) if key else getattr(event, head)


def number_of(value: object) -> float | None:
    """Return a number, also one that was written as text."""
    if value is None or isinstance(value, bool):
        return None
    try:
        return float(str(value))
    except ValueError:
        return None


def same(value: object, wanted: object) -> bool:
    """Say whether two values are equal as people see it."""
    if isinstance(wanted, str):
        return isinstance(value, str) and value.lower() == wanted.lower()
    return number_of(value) == number_of(wanted)


def passes(test: Test, value: object) -> bool:
    """Say whether a value passes a test, for the operators in random models."""
    asked = test.model_fields_set
    if not asked <= {"eq", "gte", "exists"}:
        raise NotImplementedError(asked)
    number = number_of(value)
    return (
        (test.eq is None or same(value, test.eq))
        and (test.gte is None or (number is not None and number >= test.gte))
        and (test.exists is None or (value not in {None, ""}) == test.exists)
    )


def holds(condition: Condition, get: Callable[[str], Any]) -> bool:
    """Say whether a condition holds of what `get` reads."""
    return (
        all(passes(test, get(path)) for path, test in condition.fields.items())
        and all(holds(part, get) for part in condition.all)
        and (not condition.any or any(holds(part, get) for part in condition.any))
        and (condition.negated is None or not holds(condition.negated, get))
    )


def points_of(rule: Rule, value: Any) -> float:
    """Return what a value is worth."""
    source, number = rule.points, number_of(value)
    match source:
        case float():
            return source
        case PerUnit():
            if number is None:
                return 0.0
            return min(max(number / source.per * source.points, source.min), source.max)
        case Ladder():
            reached = [
                rung.points
                for rung in source.ladder
                if number is not None and number >= rung.at
            ]
            return reached[-1] if reached else 0.0
        case Table():
            if value is None:
                return 0.0
            return source.values.get(str(value), source.otherwise)


# ── machines ────────────────────────────────────────────────────────────────────

CLICKS = ("Email Link Clicked", "Offer Downloaded")
ACTS = ("Email Delivered", "Email Opened", "Unsubscribed", *CLICKS)
PASSIVE = {"email delivered", "unsubscribed"}
"""Of the names in random lives: what happens to a lead, and is no sign of life."""


def lively(item: Known, channels: Iterable[str]) -> bool:
    """Say whether the person did something on one of the channels."""
    event = item.event
    return event.channel in channels and event.name.lower() not in PASSIVE


def reason_alone(model: Model, event: Event) -> str | None:
    """Return why an event is a machine's by itself, as random lives tell it."""
    off = model.machine_traffic.off
    agent = str(event.context.get("user_agent", ""))
    opened = event.name == "Email Opened"
    said = {
        "flagged": event.properties.get("machine") is True,
        "honeypot": trap(model, event),
        "automation": "python" in agent,
        "privacy-proxy": opened and agent == "Mozilla/5.0",
        "image-proxy": opened and "GoogleImageProxy" in agent,
    }
    if one_click(event):
        said = {"flagged": said["flagged"]}
    return next((name for name, so in said.items() if so and name not in off), None)


def one_click(event: Event) -> bool:
    """Say whether the mail program unsubscribed its user."""
    return event.name == "Unsubscribed" and event.properties.get("one_click") is True


def trap(model: Model, event: Event) -> bool:
    """Say whether a link was followed that people cannot see."""
    return (
        "honeypot" not in model.machine_traffic.off
        and event.channel == "email"
        and event.name in CLICKS
        and event.properties.get("honeypot") is True
    )


def machines(model: Model, known: list[Known]) -> set[str]:
    """Return the ids of the events that machines made, each pair looked at."""
    policy = model.machine_traffic
    alone = {item.event.id: reason_alone(model, item.event) for item in known}
    found = {id_ for id_, reason in alone.items() if reason}
    mails: dict[str, list[Known]] = {}
    for item in known:
        event = item.event
        proxied = alone[event.id] in {"flagged", "privacy-proxy", "image-proxy"}
        if (
            event.channel == "email"
            and event.name in ACTS
            and "email_id" in event.properties
            and not one_click(event)
            and not (event.name == "Email Opened" and proxied)
        ):
            mails.setdefault(event.properties["email_id"], []).append(item)
    for mail in mails.values():
        found |= scanned(policy, mail, [i for i in mail if trap(model, i.event)])
    return found


def scanned(policy: Any, mail: list[Known], traps: list[Known]) -> set[str]:
    """Return the ids of what a scanner did to one mail."""
    clicks = [item for item in mail if item.event.name in CLICKS]
    opens = [item for item in mail if item.event.name == "Email Opened"]
    leaving = [item for item in mail if item.event.name == "Unsubscribed"]
    delivered = [item for item in mail if item.event.name == "Email Delivered"]
    links = max((item.event.properties.get("links", 0) for item in mail), default=0)

    def just_delivered(item: Known) -> bool:
        bound = policy.at_delivery.within
        return "at-delivery" not in policy.off and any(
            abs(item.at - other.at) < bound for other in delivered
        )

    def trapped(item: Known) -> bool:
        return any(abs(item.at - other.at) <= policy.honeypot.within for other in traps)

    def all_followed(item: Known) -> bool:
        return (
            "all-links" not in policy.off
            and links >= policy.all_links.least
            and any(
                len({each.event.properties.get("link_url", "") for each in window})
                >= links
                and item in window
                for window in windows(clicks, policy.all_links.within)
            )
        )

    reach = {item: policy.honeypot.within for item in clicks + opens if trapped(item)}
    for item in clicks + opens:
        followed = item in clicks and (just_delivered(item) or all_followed(item))
        if followed or in_burst(policy, clicks, opens, item):
            reach.setdefault(item, 0)
    left = [
        item
        for item in leaving
        if just_delivered(item)
        or any(
            abs(item.at - other.at) <= max(far, policy.burst.within)
            for other, far in reach.items()
        )
    ]
    return {item.event.id for item in (*reach, *left)}


def in_burst(policy: Any, clicks: list[Known], opens: list[Known], item: Known) -> bool:
    """Say whether an open or a click is one of too many at once."""

    def one_of(items: list[Known], item: Known) -> bool:
        return any(
            len(window) >= policy.burst.least and item in window
            for window in windows(items, policy.burst.within)
        )

    if "burst" in policy.off:
        return False
    if not policy.burst.alike:
        return one_of(clicks + opens, item)
    if item in clicks:
        return one_of(clicks, item)
    return one_of(opens, item) or any(
        abs(item.at - click.at) <= policy.burst.within and one_of(clicks, click)
        for click in clicks
    )


def windows(items: list[Known], width: int) -> Iterable[list[Known]]:
    """Yield what is in each stretch of time that begins with one of the items."""
    for first in items:
        yield [item for item in items if first.at <= item.at <= first.at + width]


# ── rules ───────────────────────────────────────────────────────────────────────


def counting(limit: Limit | None, matches: list[Known]) -> list[Known]:
    """Return the matches that a limit lets count, by event time."""
    if limit is None:
        return matches
    met: dict[Any, int] = {}
    counted = []
    for match in matches:
        key = None if limit.by is None else field_of(match.event, limit.by)
        if limit.by is not None and key in {None, ""}:
            if limit.after == 0:
                counted.append(match)
            continue
        window = None if limit.per is None else match.at // limit.per
        met[key, window] = met.get((key, window), 0) + 1
        if limit.after < met[key, window] <= limit.after + limit.count:
            counted.append(match)
    return counted


def share_left(decay: Any, age: int) -> float:
    """Return the share of points that is left at an age."""
    match decay:
        case HalfLife():
            return float(0.5 ** (age / decay.half_life))
        case Linear():
            return max(0.0, 1 - age / decay.linear)
        case Expires():
            return 1.0 if age < decay.expires else 0.0
        case Steps():
            kept = [step.keep for step in decay.steps if age < step.until]
            return kept[0] if kept else decay.rest
        case _:
            return 1.0


def ages_of_breaks(decay: Any) -> list[int]:
    """Return the ages at which a decay is not smooth."""
    match decay:
        case Linear():
            return [decay.linear]
        case Expires():
            return [decay.expires]
        case Steps():
            return [step.until for step in decay.steps]
        case _:
            return []


def fading(rule: Rule, decay: Any, credits_: list[tuple[Instant, float]]) -> Worth:
    """Return the worth of points that were given at instants and fade since."""
    bound = rule.max or 100.0

    def value(at: Instant) -> float:
        total = math.fsum(
            points * share_left(decay, at - since)
            for since, points in credits_
            if since <= at
        )
        return min(max(total, -bound), bound)

    ages = ages_of_breaks(decay)
    breaks = [since + age for since, _ in credits_ for age in (0, *ages)]
    return Worth(rule, value, breaks)


def silent(rule: Rule, known: list[Known]) -> Worth:
    """Return the worth of a silence rule."""
    silence, bound = rule.silence, rule.max or 100.0
    if silence is None or not known:
        return Worth(rule, lambda _at: 0.0, [])
    heard = [item.at for item in known if lively(item, silence.channels)]
    since = max([known[0].at, *heard]) + silence.first
    points = points_of(rule, None)

    def value(at: Instant) -> float:
        if at < since:
            return 0.0
        steps = 1 if silence.then is None else 1 + (at - since) // silence.then
        return min(max(steps * points, -bound), bound)

    most = 1 if silence.then is None else math.ceil(bound / abs(points)) + 1
    return Worth(
        rule, value, [since + step * (silence.then or 0) for step in range(most)]
    )


def within(at: Instant, spans: list[tuple[Instant, Instant]]) -> bool:
    """Say whether an instant is in one of the spans."""
    return any(since <= at < until for since, until in spans)


def worth_of(
    rule: Rule, decay: Any, known: list[Known], traits: dict[str, Any]
) -> Worth:
    """Return what a rule gives, of everything that is known."""
    if rule.when is not None:
        when = rule.when
        matches = [
            item
            for item in known
            if item.counts
            and holds(when, lambda path, item=item: field_of(item.event, path))
        ]
        worths = {
            item.place: points_of(
                rule,
                None
                if isinstance(rule.points, float)
                else field_of(item.event, rule.points.of),
            )
            for item in matches
        }
        # A match that is worth nothing takes nobody's place in a limit.
        matches = [item for item in matches if worths[item.place]]
        return fading(
            rule,
            decay,
            [(item.at, worths[item.place]) for item in counting(rule.limit, matches)],
        )
    if rule.absence is not None:
        absence = rule.absence
        return fading(
            rule,
            decay,
            [
                (item.at + absence.within, points_of(rule, None))
                for item in known
                if item.counts
                and holds(
                    absence.after, lambda path, item=item: field_of(item.event, path)
                )
                and not any(
                    holds(
                        absence.unless,
                        lambda path, other=other: field_of(other.event, path),
                    )
                    and item.at <= other.at <= item.at + absence.within
                    and (
                        absence.same is None
                        or field_of(other.event, absence.same)
                        == field_of(item.event, absence.same)
                    )
                    for other in known
                )
            ],
        )
    if rule.silence is not None:
        return silent(rule, known)
    points = 0.0
    if rule.where is None or holds(
        rule.where, lambda path: traits.get(path.removeprefix("traits."))
    ):
        source = rule.points
        name = "" if isinstance(source, float) else source.of.removeprefix("traits.")
        points = points_of(rule, traits.get(name))
    bound = rule.max or 100.0
    points = min(max(points, -bound), bound)
    return Worth(rule, lambda _at: points, [])


class Quiet:
    """What is left of some groups while nothing is heard of a lead."""

    def __init__(self, dormancy: Dormancy, known: list[Known]) -> None:
        """Begin when the lead was last heard of."""
        self.dormancy = dormancy
        heard = [item.at for item in known if lively(item, dormancy.channels)]
        self.since = max([known[0].at, *heard]) if known else None

    def share(self, at: Instant) -> float:
        """Return what is left, one multiplication after the other."""
        left, dormancy = 1.0, self.dormancy
        for moment in self.breaks():
            if at >= moment:
                left = max(left * dormancy.factor, dormancy.floor)
        return left

    def breaks(self) -> list[Instant]:
        """Return when it is multiplied, until nothing changes any more."""
        dormancy, left = self.dormancy, self.dormancy.factor
        if self.since is None:
            return []
        moments = [self.since + dormancy.first]
        while dormancy.then is not None and left > dormancy.floor:
            moments.append(moments[-1] + dormancy.then)
            left *= dormancy.factor
        return moments


# ── the lead ────────────────────────────────────────────────────────────────────


class Policy:
    """A hot alert as a person who watches the score would live by it."""

    def __init__(self, alert: Alert, model: Model) -> None:
        """Begin with nobody told."""
        self.alert = alert
        self.enter = float(model.threshold(alert) or 0.0)
        self.leave = model.leave_threshold(alert)
        self.told = self.armed = False
        self.episode = 0
        self.told_at: Instant | None = None
        self.told_score = 0.0
        self.above_since: Instant | None = None
        self.below_since: Instant | None = None

    def look(self, at: Instant, score: float, *, withdrawing: bool) -> str | None:
        """Return the reason of what is told or ended at `at`, if anything is."""
        if self.told:
            return self._while_told(at, score, withdrawing=withdrawing)
        if self.armed:
            if score < self.leave:
                self.armed, self.above_since = False, None
                return None
        else:
            if score < self.enter:
                self.above_since = None
                return None
            if self.above_since is None:
                self.above_since = at
            if at - self.above_since < self.alert.dwell:
                return None
        if score < self.enter:
            return None
        cooling = self.told_at is not None and at < self.told_at + self.alert.cooldown
        if cooling and score < self.told_score * (1 + self.alert.re_rise):
            self.armed = True
            return None
        reason = "cooldown-over" if self.armed else "crossed-threshold"
        self.told, self.armed, self.above_since = True, False, None
        self.episode += 1
        self.told_at, self.told_score = at, score
        return "re-rose" if cooling else reason

    def _while_told(
        self, at: Instant, score: float, *, withdrawing: bool
    ) -> str | None:
        if score >= self.leave:
            self.below_since = None
            return None
        if self.below_since is None:
            self.below_since = at
        if withdrawing or at - self.below_since >= self.alert.leave_dwell:
            self.told, self.below_since = False, None
            return "recalled" if withdrawing else "fell-below"
        return None

    def deadline(self) -> Instant | None:
        """Return when it must look again even if the score stays as it is."""
        if self.told and self.below_since is not None:
            return self.below_since + self.alert.leave_dwell
        if self.armed and self.told_at is not None:
            return self.told_at + self.alert.cooldown
        if self.above_since is not None:
            return self.above_since + self.alert.dwell
        return None

    def bounds(self) -> list[float]:
        """Return the scores at which it must look again."""
        return [self.enter, self.leave, self.told_score * (1 + self.alert.re_rise)]


class Purpose:
    """A purpose of the model, and when it was refused."""

    def __init__(self, consent: Consent, known: list[Known]) -> None:
        """Live through everything that was said of it."""
        self.consent = consent
        names = [name.casefold() for name in (consent.purpose, *consent.also)]
        words: list[tuple[Instant, bool, int, int]] = []
        for item in known:
            said = item.event.traits.get("consent")
            answers = [said]
            for purpose, answer in said.items() if isinstance(said, dict) else ():
                of_all = not isinstance(answer, dict)
                if purpose in names:
                    answers += (
                        [answer] if of_all else [..., answer.get(consent.channel)]
                    )
            words += [
                (item.at, not answer, item.place, special)
                for special, answer in enumerate(answers)
                if isinstance(answer, bool)
            ]
            if item.event.name == "Unsubscribed" and (
                "marketing" in names and consent.channel == "email"
            ):
                words.append((item.at, True, item.place, 2))
        self.refused: list[tuple[Instant, Instant]] = []
        standing = {0} if consent.required else set()
        since: Instant = 0
        for at, refusal, _, special in sorted(words):
            if refusal:
                since = since if standing else at
                standing.add(special)
            elif standing and special >= max(standing):
                standing = set()
                self.refused.append((since, at))
        if standing:
            self.refused.append((since, FOREVER))

    def concerns(self, group: str, rule: Rule) -> bool:
        """Say whether a rule gives nothing while this is refused."""
        if self.consent.groups is None:
            return True
        takes = isinstance(rule.points, float) and rule.points < 0
        return group in self.consent.groups and not takes


class Oracle:
    """One lead, with everything that ever happened to it."""

    def __init__(self, model: Model) -> None:
        """Begin with nothing known."""
        self.model = model
        self.now: Instant = 0
        self.facts: list[Fact] = []
        self.tiers: list[tuple[Instant, str]] = []
        self.tier = "none"
        self.policies = [Policy(a, model) for a in model.alerts if a.kind == "hot"]
        self.cooled = {a.of: a.name for a in model.alerts if a.kind == "cooled"}
        self._events: dict[str, Event] = {}
        self._withdrawn: set[str] = set()
        self._machines: set[str] = set()
        self._worths: dict[str, list[Worth]] = {}
        self._quiet: list[Quiet] = []
        self._scale = 10**model.decimals
        self._ceiling = min(100.0, math.fsum(g.cap for g in model.groups.values()))
        self._learn()

    # what is known

    def take(self, event: Event) -> None:
        """Take in an event, after everything that comes before its receipt."""
        if event.id in self._events or event.id in self._withdrawn:
            return
        self.until(event.now)
        before = self._machines
        self._events[event.id] = event
        self._learn()
        late = self._machines - before - {event.id}
        self._look(self.now, withdrawing=bool(late))

    def withdraw(self, ids: Iterable[str], now: Instant) -> None:
        """Forget events, those that have not come yet as well."""
        self.until(now)
        self._withdrawn |= set(ids)
        self._learn()
        self._look(self.now, withdrawing=True)

    def _learn(self) -> None:
        everything = sorted(
            Known(min(event.time, event.now), place_of(event.id), event)
            for event in self._events.values()
            if event.id not in self._withdrawn
        )
        self._machines = machines(self.model, everything)
        known = [item for item in everything if item.event.id not in self._machines]
        traits: dict[str, Any] = {}
        for item in known:
            traits |= item.event.traits
        purposes = [Purpose(each, known) for each in self.model.consent]

        def refused(group: str, rule: Rule) -> list[tuple[Instant, Instant]]:
            return [
                span
                for purpose in purposes
                if purpose.concerns(group, rule)
                for span in purpose.refused
            ]

        self._worths = {
            name: [
                worth_of(
                    rule,
                    rule.decay or group.decay,
                    [
                        item._replace(counts=not within(item.at, refused(name, rule)))
                        for item in (everything if rule.machine == "counts" else known)
                    ],
                    traits,
                )
                for rule in group.rules
                if FOREVER not in {until for _, until in refused(name, rule)}
            ]
            for name, group in self.model.groups.items()
        }
        self._quiet = [Quiet(dormancy, known) for dormancy in self.model.dormancy]

    # the score

    def exact(self, at: Instant) -> float:
        """Return the score before rounding."""
        return self._total([lambda worth: worth.value(at)], at)[0]

    def _total(
        self, readings: list[Callable[[Worth], float]], at: Instant
    ) -> list[float]:
        """Return the score by each way of reading rules, as dormant as at `at`."""
        totals = []
        shares = {
            group: quiet.share(at)
            for quiet in self._quiet
            for group in quiet.dormancy.groups
        }
        for read in readings:
            total = 0.0
            for name, group in self.model.groups.items():
                points = math.fsum(read(worth) for worth in self._worths[name])
                floor = -100.0 if group.floor is None else group.floor
                points = min(max(points, floor), group.cap)
                total += points * shares.get(name, 1.0) if points > 0 else points
            totals.append(min(max(total, 0.0), self._ceiling))
        return totals

    def rounded(self, exact: float) -> float:
        """Return the score as it is published."""
        return math.floor(exact * self._scale + 0.5 + NOISE) / self._scale

    def score(self, at: Instant) -> float:
        """Return the published score."""
        return self.rounded(self.exact(at))

    def tier_of(self, score: float) -> str:
        """Return the tier of a published score."""
        return next((t.name for t in self.model.tiers if score >= t.at), "none")

    # time

    def until(self, now: Instant) -> None:
        """Live through everything that is planned until `now`."""
        now = max(now, self.now)
        while True:
            bounds = [tier.at for tier in self.model.tiers]
            for policy in self.policies:
                bounds += policy.bounds()
            deadlines = [
                deadline
                for policy in self.policies
                if (deadline := policy.deadline()) is not None
                and self.now < deadline <= now
            ]
            last = min([now, *deadlines])
            crossing = (
                self.first_change(self.now, last, bounds) if self._events else None
            )
            if crossing is None and not deadlines:
                break
            self.now = last if crossing is None else crossing
            self._look(self.now, withdrawing=False)
        self.now = now

    def first_change(
        self, start: Instant, end: Instant, bounds: list[float] | None
    ) -> Instant | None:
        """Return the first instant in (start, end] on another side of a bound.

        Without bounds: at which the published score is another.
        """

        def side(exact: float) -> object:
            score = self.rounded(exact)
            return score if bounds is None else [score >= bound for bound in bounds]

        here = side(self.exact(start))
        breaks = {
            moment
            for worths in self._worths.values()
            for worth in worths
            for moment in worth.breaks
            if start < moment <= end
        } | {
            moment
            for quiet in self._quiet
            for moment in quiet.breaks()
            if start < moment <= end
        }
        first = start
        for last in (*sorted(breaks), end + 1):
            found = self._halve(first, last - 1, side, here)
            if found is not None:
                return found
            if last <= end and side(self.exact(last)) != here:
                return last
            first = last
        return None

    def _halve(
        self,
        first: Instant,
        last: Instant,
        side: Callable[[float], object],
        here: object,
    ) -> Instant | None:
        """Return the first instant in (first, last] on another side than `here`."""
        if first >= last:
            return None
        least, most = self._total(
            [
                lambda worth: min(worth.value(first), worth.value(last)),
                lambda worth: max(worth.value(first), worth.value(last)),
            ],
            first,  # as it is until the next break
        )
        if side(least) == here == side(most):
            return None
        if last == first + 1:
            return last if side(self.exact(last)) != here else None
        middle = (first + last) // 2
        found = self._halve(first, middle, side, here)
        return self._halve(middle, last, side, here) if found is None else found

    def _look(self, at: Instant, *, withdrawing: bool) -> None:
        score = self.score(at)
        tier = self.tier_of(score)
        if tier != self.tier:
            self.tier = tier
            self.tiers.append((at, tier))
        for policy in self.policies:
            reason = policy.look(at, score, withdrawing=withdrawing)
            if reason is None:
                continue
            name: str | None = policy.alert.name
            if reason == "fell-below":
                name = self.cooled.get(policy.alert.name)
            if name is not None:
                self.facts.append(Fact(at, name, policy.episode, reason))


def place_of(event_id: str) -> int:
    """Return what orders events of one instant: 64 bits of BLAKE2b of their id."""
    return int.from_bytes(hashlib.blake2b(event_id.encode(), digest_size=8).digest())

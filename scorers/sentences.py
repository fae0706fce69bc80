"""An explanation in plain sentences, in the language of whoever reads it."""

import msgspec

from schemas.locale import Locale
from schemas.time import Instant, to_instant
from scorers.changes import Change
from scorers.compiled import CompiledModel
from scorers.compiled_rules import CompiledRule, title_of
from scorers.explain import Ground, LedgerLine, threshold_note, told_value
from scorers.explanation import Explanation
from scorers.machine_notes import not_counted
from scorers.model import Dormancy, Group, Rule
from scorers.speech import SPEECH
from scorers.texts import said
from scorers.whatif import Option, WayUp
from scorers.withholding import withheld

_TINY = 0.05
_LEAST_TOLD = 0.005
_OTHERS = 3
"""So many more things that would help are named."""


class Section(msgspec.Struct, frozen=True):
    """Some sentences under a heading."""

    name: str
    """What it is about, the same in every language: for, against, unknown, …"""
    heading: str
    lines: tuple[str, ...]


def sections(
    model: CompiledModel, told: Explanation, locale: Locale
) -> tuple[Section, ...]:
    """Return all that is to be said of a lead, in `locale`; nothing is left empty."""
    return _Teller(model, told, locale).sections()


def summary(model: CompiledModel, told: Explanation, locale: Locale) -> str:
    """Return score, tier and grade in one sentence."""
    speech = SPEECH[locale]
    return speech.say(
        "score.grade" if told.grade else "score",
        score=speech.figure(told.score, model.source.decimals),
        ceiling=speech.figure(model.ceiling),
        tier=speech.tier(told.tier),
        grade=speech.name(told.grade),
        at=speech.moment(told.at),
    )


def reason(model: CompiledModel, ground: Ground, now: Instant, locale: Locale) -> str:
    """Return one reason: what, how often, how long ago, and what is left of it."""
    return _Titles(model, locale).reason(ground, now)


class _Titles:
    """The model's own words in one language."""

    def __init__(self, model: CompiledModel, locale: Locale) -> None:
        self.model = model
        self.locale: Locale = locale
        self.speech = SPEECH[locale]
        self.groups: dict[str, Group] = dict(model.source.groups)
        self.rules: dict[str, Rule | Dormancy] = {
            rule.name: rule for group in self.groups.values() for rule in group.rules
        }
        self.rules |= {lull.name: lull for lull in model.source.dormancy}

    def rule(self, name: str) -> str:
        return self.speech.name(title_of(self.rules[name], self.locale))

    def group(self, name: str) -> str:
        title = said(self.groups[name].title, self.locale) or name.capitalize()
        return self.speech.name(title)

    def reason(self, ground: Ground, now: Instant) -> str:
        if ground.share is None:
            what = self._what(self.model.by_name[ground.rule], ground, now)
        else:
            what = self._dormant(ground, ground.share, now)
        return self.speech.say("reason", what=what, points=self._points(ground))

    def _what(self, rule: CompiledRule, ground: Ground, now: Instant) -> str:
        speech, title = self.speech, self.rule(rule.name)
        if ground.value is not None:
            value = told_value(self.model, rule, ground.value, self.locale)
            return speech.say("what.value", title=title, value=value)
        if ground.last_at is None:
            return title
        ago = speech.ago(ground.last_at, now)
        if rule.kind == "silence":
            return speech.say("what.silence", title=title, ago=ago)
        if ground.count > 1:
            times = speech.times(ground.count)
            return speech.say("what.events", title=title, times=times, ago=ago)
        return speech.say("what.event", title=title, ago=ago)

    def _dormant(self, ground: Ground, share: float, now: Instant) -> str:
        return self.speech.say(
            "what.dormancy",
            title=self.rule(ground.rule),
            ago=self.speech.ago(ground.last_at or now, now),
            groups=self.speech.listed([self.group(name) for name in ground.groups]),
            share=self.speech.share(share),
        )

    def _points(self, ground: Ground) -> str:
        speech = self.speech
        points = speech.signed(ground.points)
        if ground.at_bound:
            key = "points.most" if ground.points > 0 else "points.least"
            return speech.say(key, points=points)
        whole = ground.whole
        if whole is None or abs(whole - ground.points) < _TINY:
            return points
        return speech.say("points.of", points=points, whole=speech.figure(abs(whole)))


class _Teller(_Titles):
    """Puts an explanation into words."""

    def __init__(self, model: CompiledModel, told: Explanation, locale: Locale) -> None:
        super().__init__(model, locale)
        self.told = told

    def sections(self) -> tuple[Section, ...]:
        grounds = self.told.grounds
        for_it = [self._line(ground) for ground in grounds if ground.points > 0]
        against = [self._line(ground) for ground in grounds if ground.points < 0]
        said_so = [
            self._section("for", for_it or [self.speech.say("for.none")]),
            self._section("against", against),
            self._section("machines", self._machines()),
            self._section("withheld", self._withheld()),
            self._section("unknown", self._unknown()),
            self._section("changes", self._changes()),
            self._section("way", self._way(), tier=self.speech.tier(self.told.goal)),
            self._section("thresholds", self._thresholds()),
            self._section("ledger", self._ledger()),
            self._section("next", self._next()),
        ]
        return tuple(section for section in said_so if section.lines)

    def _section(self, name: str, lines: list[str], **values: str) -> Section:
        heading = self.speech.say(f"heading.{name}", **values)
        return Section(name, heading, tuple(lines))

    def _line(self, ground: Ground) -> str:
        return self.reason(ground, self.told.at)

    def _machines(self) -> list[str]:
        return [
            self.speech.say(
                "machine.when",
                what=each.text,
                ago=self.speech.ago(to_instant(each.last_at), self.told.at),
            )
            for each in not_counted(self.told.state, self.locale)
        ]

    def _withheld(self) -> list[str]:
        found = withheld(self.model, self.told.state, self.locale)
        return [each.text for each in found]

    def _unknown(self) -> list[str]:
        names = [self.speech.trait(name) for name in self.told.unknown]
        if not names:
            return []
        listed = self.speech.beginning(self.speech.listed(names))
        return [self.speech.say("unknown", len(names), traits=listed)]

    # ── what changed ─────────────────────────────────────────────────────────────

    def _changes(self) -> list[str]:
        changes = self.told.changes
        by = round(changes.after - changes.before, 9)
        kind = "new" if self.told.new else "rose" if by > 0 else "fell"
        if not by and not self.told.new:
            kind = "same"
        head = self.speech.say(
            f"changes.{kind}",
            before=self._score(changes.before),
            after=self._score(changes.after),
            points=self.speech.signed(by),
        )
        return [head, *map(self._change, changes.changes)]

    def _change(self, change: Change) -> str:
        before, after = change.before, change.after
        key = "change"
        if 0 <= after < before:
            key = "change.faded"
        elif before < after <= 0:
            key = "change.eased"
        points = self.speech.signed(change.points)
        return self.speech.say(key, title=self.rule(change.rule), points=points)

    # ── what would lift it ───────────────────────────────────────────────────────

    def _way(self) -> list[str]:
        way = self.told.way
        if way is None:
            return []
        speech = self.speech
        facts = {
            "tier": speech.tier(self.told.goal),
            "target": speech.figure(way.target),
        }
        if way.score >= way.target:
            return [speech.say("way.there", **facts)]
        missing = round(way.target - way.score, 9)
        lines = [
            speech.say("way.missing", missing, missing=speech.figure(missing), **facts)
        ]
        lines.append(self._plan(way))
        planned = {option.rule for option in way.plan}
        others = [option for option in way.options if option.rule not in planned]
        if others and way.reaches >= way.target:
            named = self._options(others[:_OTHERS])
            lines.append(speech.say("way.others", options=named))
        return lines

    def _plan(self, way: WayUp) -> str:
        if not way.plan:
            return self.speech.say("way.none")
        key = "way.plan" if way.reaches >= way.target else "way.short"
        options = self._options(way.plan)
        text = self.speech.say(key, options=options, reaches=self._score(way.reaches))
        return self.speech.beginning(text)

    def _options(self, options: tuple[Option, ...] | list[Option]) -> str:
        return self.speech.listed(
            [
                self.speech.say(
                    "way.option",
                    title=self.rule(option.rule),
                    points=self.speech.signed(option.points),
                )
                for option in options
            ]
        )

    def _thresholds(self) -> list[str]:
        names = self.model.ref.thresholds
        return [threshold_note(self.model, name, self.locale) for name in names]

    # ── the ledger ───────────────────────────────────────────────────────────────

    def _ledger(self) -> list[str]:
        lines = [
            self._entry(line)
            for line in self.told.ledger
            if abs(line.points) >= _LEAST_TOLD
        ]
        total = self.speech.say(
            "ledger.sum",
            sum=self.speech.figure(self.told.exact, 2),
            score=self._score(self.told.score),
        )
        return [*lines, total]

    def _entry(self, line: LedgerLine) -> str:
        bound, title = 0.0, ""
        if line.note == "dormancy":
            return self.speech.say(
                "ledger.dormancy",
                title=self.rule(line.rule),
                group=self.group(line.group),
                points=self.speech.signed(line.points, 2),
            )
        if line.rule:
            bound, title = self.model.by_name[line.rule].bound, self.rule(line.rule)
        elif line.group:
            group = self.groups[line.group]
            bound = group.cap if line.note == "group cap" else group.floor or 0.0
            title = self.group(line.group)
        elif line.note == "highest score":
            bound = self.model.ceiling
        return self.speech.say(
            f"ledger.{line.note or 'line'}",
            title=title,
            bound=self._bound(bound),
            points=self.speech.signed(line.points, 2),
        )

    def _bound(self, bound: float) -> str:
        return self.speech.signed(bound) if bound < 0 else self.speech.figure(bound)

    def _next(self) -> list[str]:
        stages = self.model.stages
        stage = stages.get(self.told.stage.casefold()) or stages.get("unknown")
        if stage is None:
            return []
        return [self.speech.name(said(stage.next_action, self.locale))]

    def _score(self, score: float) -> str:
        return self.speech.figure(score, self.model.source.decimals)

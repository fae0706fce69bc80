"""The report of a calibration."""

from schemas.time import to_datetime
from streams.learning.calibrating import Calibration, Effect
from streams.learning.chance import Chances
from streams.learning.charts import curves, ranges, reliability
from streams.learning.evidence import Ground
from streams.learning.pages import Page


def calibration_page(title: str, found: Calibration) -> Page:
    """Return the report of `found`."""
    gate = found.gate
    page = Page(
        f"What the scores mean, and what the points should be: {title}",
        f"{found.examples:,} decisions on leads of which it is known what became of "
        f"them, {found.won:,} won ({found.won / found.examples:.1%}); {found.open:,} "
        f"still open. Model {found.model}. Points were learnt from {found.learnt:,} "
        f"and judged by {found.held_out:,} others.",
    )
    page.verdict(
        f"The draft {'may be published' if gate.better else 'is refused'}: it is "
        f"{gate.why}. AUC {gate.auc:.3f} against {gate.auc_present:.3f}; difference "
        f"{gate.gained:+.3f}, 95 % {gate.low:+.3f} to {gate.high:+.3f}.",
        good=gate.better,
    )
    _points(page, found)
    page.head("What changes for people: tiers and alerts of the held-out leads")
    page.table(
        ["", "from", "draft", "leads", "draft", "won", "draft", "new", "no more"],
        [_effect(each) for each in found.effects],
    )
    _chances(page, found.chances)
    if found.captured is not None:
        page.head("What the team can reach")
        page.say(
            f"Who works the best {found.capacity:,} leads of each week meets "
            f"{found.captured.value:.1%} of all that are won "
            f"({found.captured.low:.1%} – {found.captured.high:.1%})."
        )
    return page


def _points(page: Page, found: Calibration) -> None:
    page.head("Points, and what speaks for them")
    if found.idle:
        page.say(
            f"These rules do not earn their points: {', '.join(found.idle)}. What they "
            "give is no surer than chance."
        )
    moved = [each for each in found.caps if each[1] != each[2]]
    if moved:
        told = ", ".join(f"{name} {old:g} → {new:g}" for name, old, new in moved)
        page.say(f"Caps give way where they would cut points off: {told}.")
    page.table(
        ["number", "now", "draft", "95 % of the fit", "leads", "won", "lift", ""],
        [_ground(each) for each in found.grounds],
    )
    page.head("Properties that deserve a rule")
    if not found.suggestions:
        page.say("None that no rule reads tells more than chance.")
        return
    page.say(
        "Nobody reads these, and they tell who is won beyond what the draft knows. Of "
        "a hundred, one may be chance."
    )
    page.table(
        ["property", "value", "leads", "won", "expected", "points"],
        [
            [
                s.property,
                s.value,
                f"{s.leads:,}",
                f"{s.won:,}",
                f"{s.expected:,.0f}",
                f"{s.points:+g}",
            ]
            for s in found.suggestions
        ],
    )


def _ground(each: Ground) -> list[str]:
    return [
        each.label,
        f"{each.before:g}",
        f"{each.after:g}",
        f"{each.low:+.1f} to {each.high:+.1f}",
        f"{each.leads:,}",
        f"{each.won:,}",
        f"{each.lift.value:.2f} ({each.lift.low:.2f} – {each.lift.high:.2f})",
        each.worth,
    ]


def _effect(each: Effect) -> list[str]:
    return [
        each.name,
        f"{each.before:g}",
        f"{each.after:g}",
        *(
            f"{count:,}"
            for count in (
                each.leads_before,
                each.leads_after,
                each.won_before,
                each.won_after,
                each.gained,
                each.lost,
            )
        ),
    ]


def _chances(page: Page, found: Chances) -> None:
    page.head("P(won): what the present scores mean")
    page.plot(
        ranges(
            [
                (
                    f"{b.low:g}–{b.high:g}",
                    b.chance.value * 100,
                    b.chance.low * 100,
                    b.chance.high * 100,
                    100 * b.won / max(b.leads, 1),
                )
                for b in found.bands
            ],
            "won, in %",
        ),
        "chance to win by score, with its interval, and what happened",
    )
    page.say("Bars: the isotonic reading and its 95 % interval. Dots: what happened.")
    page.say(
        f"Held out, the log loss is {found.by_score:.4f} by the score alone, "
        f"{found.by_groups:.4f} by its groups, {found.base:.4f} by the base rate. "
        f"Best: {found.best}."
    )
    page.plot(reliability(found.reliability), "foretold chances against what happened")
    for name, segments in found.segments.items():
        page.head(f"By {name.replace('_', ' ')}")
        page.table(
            ["", "leads", "won", "by the score", "odds beyond the score"],
            [
                [
                    s.name,
                    f"{s.leads:,}",
                    f"{s.won:,}",
                    f"{s.expected:,.0f}",
                    f"{s.odds.value:.2f} ({s.odds.low:.2f} – {s.odds.high:.2f})",
                ]
                for s in segments
            ],
        )
    rolling = found.rolling
    if len(rolling.at) > 1:
        page.head("Does it go on meaning that? Tested first, learnt then")
        across = [to_datetime(at) for at in rolling.at]
        page.plot(
            curves(
                {
                    "log loss": (across, rolling.log_loss),
                    "AUC": (across, rolling.auc),
                    "Brier": (across, rolling.brier),
                },
                "",
                "of the last 500",
                percent=False,
            ),
            "figures of predictions made before each outcome was known",
        )
        drifts = ", ".join(f"{to_datetime(at):%Y-%m-%d}" for at in rolling.drifts)
        page.say(
            f"Drift: scores began to mean something else at {drifts}."
            if drifts
            else "No drift was found (ADWIN)."
        )

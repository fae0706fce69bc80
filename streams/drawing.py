"""How scores look in a terminal: bars, sparklines, tier badges, spans of time."""

from collections.abc import Sequence
from typing import Final, Protocol

from rich.console import Console
from rich.text import Text

from schemas.alert import Alert
from schemas.score import Identifiers, Reason
from schemas.time import DAY, HOUR, MINUTE, SECOND, Instant, Millis

_EIGHTHS: Final = " ▏▎▍▌▋▊▉█"
_LEVELS: Final = "▁▂▃▄▅▆▇█"
_TIERS: Final = {
    "gold": ("black", "gold1"),
    "silver": ("black", "grey74"),
    "bronze": ("white", "dark_orange3"),
}
_UNITS: Final = ((DAY, "d"), (HOUR, "h"), (MINUTE, "min"), (SECOND, "s"))


class Scored(Protocol):
    """Anything that tells a lead's score and the reasons for it."""

    @property
    def lead_id(self) -> str:
        """The lead's id."""
        ...

    @property
    def score(self) -> float:
        """The score, 0 to 100."""
        ...

    @property
    def tier(self) -> str:
        """The tier's name."""
        ...

    @property
    def identifiers(self) -> Identifiers:
        """What the lead is known by."""
        ...

    @property
    def reasons(self) -> Sequence[Reason]:
        """For and against, strongest first."""
        ...


def screen() -> Console:
    """Return a console that prints what others wrote as it is: brackets, colons, all.

    Styles come from what is drawn, never from the words of a name or a page.
    """
    return Console(markup=False, emoji=False)


def tier_colour(tier: str) -> str:
    """Return the colour that stands for `tier`."""
    return _TIERS.get(tier, ("", "grey50"))[1]


def tier_badge(tier: str) -> Text:
    """Return the tier's name on its own metal."""
    if tier not in _TIERS:
        return Text(tier if tier != "none" else "–", "dim")
    front, back = _TIERS[tier]
    return Text(f" {tier} ", f"bold {front} on {back}")


def bar(value: float, full: float, width: int, colour: str) -> Text:
    """Return `value` of `full` as a bar `width` cells wide.

    A negative value is drawn in red, to the same scale.

    >>> bar(5, 10, 4, "green").plain, bar(-10, 10, 4, "green").plain
    ('██  ', '████')
    """
    if value < 0:
        value, colour = -value, "red"
    share = min(1.0, value / full) if full > 0 else 0.0
    cells, eighth = divmod(round(share * width * 8), 8)
    drawn = "█" * cells + (_EIGHTHS[eighth] if eighth else "")
    return Text(drawn.ljust(width), colour)


def sparkline(
    points: Sequence[tuple[Instant, float]], until: Instant, width: int
) -> str:
    """Return a score's course until `until` in `width` characters, 0 to 100.

    Scores hold from their instant until the next one, so equal widths are equal
    times.

    >>> sparkline([(0, 0.0), (50, 100.0)], 100, 4)
    '▁▁██'
    """
    if not points:
        return " " * width
    start = points[0][0]
    span = max(1, until - start)
    drawn, at = [], 0
    for column in range(width):
        instant = start + span * column // max(1, width - 1)
        while at + 1 < len(points) and points[at + 1][0] <= instant:
            at += 1
        level = min(len(_LEVELS) - 1, int(points[at][1] / 100 * len(_LEVELS)))
        drawn.append(_LEVELS[level])
    return "".join(drawn)


def span(millis: Millis) -> str:
    """Return a span of time in its largest unit.

    >>> span(36 * HOUR), span(90 * SECOND), span(400)
    ('1 d', '1 min', '0 s')
    """
    for unit, name in _UNITS:
        if millis >= unit:
            return f"{millis // unit} {name}"
    return "0 s"


def ago(at: Instant, now: Instant) -> str:
    """Return how long before `now` it was."""
    return "now" if now - at < SECOND else f"{span(now - at)} ago"


def ahead(at: Instant, now: Instant) -> str:
    """Return how long after `now` it will be."""
    return "now" if at - now < SECOND else f"in {span(at - now)}"


def scored_bar(lead: Scored, width: int) -> Text:
    """Return a score as a figure and a bar in its tier's colour."""
    drawn = Text(f"{lead.score:5.1f} ", "bold")
    return drawn.append_text(bar(lead.score, 100, width, tier_colour(lead.tier)))


def alert_line(alert: Alert) -> tuple[str, str]:
    """Return whom an alert is about, a lead or an account, and why it was told."""
    if alert.account is None:
        return lead_name(alert), because(alert)
    return alert.account.name, ", ".join(
        reason.text for reason in alert.reasons if not reason.points
    )


def lead_name(lead: Scored) -> str:
    """Return what a person calls this lead by: e-mail, user id, anonymous id."""
    known = lead.identifiers
    for values in (known.email, known.user_id, known.anonymous_id):
        if values:
            return values[0]
    return lead.lead_id


def because(lead: Scored) -> str:
    """Return the strongest reasons for and the strongest against, in one line."""
    given = [reason for reason in lead.reasons if reason.points > 0][:2]
    taken = [reason for reason in lead.reasons if reason.points < 0][:1]
    return ", ".join(f"{reason.text} {reason.points:+g}" for reason in (*given, *taken))

"""Random models and random lives, as people and the network could make them.

Models come as the data of a model's text; lives as inputs in the order in which they
are received. Times often fall on whole hours, so that deadlines, steps, windows and
receipts meet in one instant far more often than they would by chance.
"""

from datetime import timedelta
from typing import Any, NamedTuple

from hypothesis import strategies as st

from schemas.event import Event
from schemas.time import DAY, HOUR, MINUTE, Instant, Millis, to_datetime
from scorers.model import Model

START: Instant = 1_767_225_600_000
"""2026-01-01T00:00:00Z."""

NAMES = ("Offer Clicked", "Form Submitted", "Content Clicked", "Content Downloaded")
CHANNELS = ("web", "email", "social", "content")
KEYS = ("x", "y")
INDUSTRIES = ("software", "farming")

_points = st.sampled_from(
    [-20.0, -7.5, -5.0, -3.0, -1.0, 0.5, 1.0, 2.0, 3.0, 4.1, 5.0, 6.0, 8.2, 15.0]
)
_bounds = st.sampled_from([1.0, 3.0, 5.0, 10.0, 12.5, 20.0])
_spans = st.one_of(
    st.sampled_from([HOUR, 6 * HOUR, DAY, 3 * DAY, 7 * DAY, 14 * DAY]),
    st.integers(MINUTE, 20 * DAY),
)


def _text(millis: Millis) -> str:
    return f"{millis}ms"


_durations = _spans.map(_text)


def _steps(spans: list[Millis], shares: list[float]) -> dict[str, Any]:
    ages = sorted(set(spans))
    kept = sorted(shares, reverse=True)
    steps = [
        {"until": _text(age), "keep": keep}
        for age, keep in zip(ages, kept, strict=False)
    ]
    return {"steps": steps, "rest": kept[-1] if len(kept) > len(steps) else 0.0}


decays = st.one_of(
    st.just("none"),
    _durations.map(lambda text: {"half_life": text}),
    _durations.map(lambda text: {"linear": text}),
    _durations.map(lambda text: {"expires": text}),
    st.builds(
        _steps,
        st.lists(_spans, min_size=1, max_size=3),
        st.lists(st.sampled_from([1.0, 0.75, 0.5, 0.2, 0.0]), min_size=3, max_size=4),
    ),
)
half_lives = st.one_of(
    _durations.map(lambda text: {"half_life": text}), st.just("none")
)

_events_matched = st.one_of(
    st.sampled_from(NAMES).map(lambda name: {"event": name}),
    st.sampled_from(CHANNELS).map(lambda channel: {"channel": channel}),
    st.sampled_from(NAMES).map(
        lambda name: {"event": name, "not": {"properties.key": "y"}}
    ),
    st.just({"any": [{"event": NAMES[0]}, {"properties.amount": {"gte": 3}}]}),
    st.just({"type": "page"}),
)

_amounts = st.sampled_from(
    [
        {"of": "properties.amount", "per": 2.0, "points": 3.0, "min": -2.0, "max": 9.0},
        {
            "of": "properties.amount",
            "ladder": [{"at": 1.0, "points": 1.0}, {"at": 3.0, "points": 6.0}],
        },
        {"of": "properties.key", "values": {"x": 4.0, "y": -3.0}, "otherwise": 1.0},
    ]
)


@st.composite
def limits(draw: st.DrawFn) -> dict[str, Any]:
    """Return a limit with a window, a key or both."""
    shape = draw(st.sampled_from(["per", "by", "both"]))
    limit: dict[str, Any] = {"count": draw(st.integers(1, 3))}
    if shape != "by":
        limit["per"] = draw(st.sampled_from(["1h", "1d", "7d", "90061001ms"]))
    if shape != "per":
        limit["by"] = "properties.key"
    if draw(st.booleans()):
        limit["after"] = draw(st.integers(1, 2))
    return limit


def _optional(
    draw: st.DrawFn, into: dict[str, Any], key: str, values: st.SearchStrategy[Any]
) -> None:
    if draw(st.integers(0, 2)) == 0:
        into[key] = draw(values)


@st.composite
def rules(
    draw: st.DrawFn, name: str, fading: st.SearchStrategy[Any], *, plain: bool
) -> dict[str, Any]:
    """Return a rule of any kind; `plain` ones have points that are just a number."""
    kind = draw(
        st.sampled_from(["when", "when", "when", "where", "of", "absence", "silence"])
    )
    rule: dict[str, Any] = {"name": name, "points": draw(_points)}
    _optional(draw, rule, "max", _bounds)
    if kind == "when":
        rule["when"] = draw(_events_matched)
        if not plain and draw(st.integers(0, 3)) == 0:
            rule["points"] = draw(_amounts)
        _optional(draw, rule, "limit", limits())
        _optional(draw, rule, "decay", fading)
    elif kind == "where":
        rule["where"] = draw(
            st.sampled_from(
                [
                    {"traits.industry": "software"},
                    {"traits.employees": {"gte": 10}},
                    {"traits.industry": {"exists": False}},
                ]
            )
        )
    elif kind == "of":
        rule["points"] = {
            "of": "traits.employees",
            "per": 10.0,
            "points": 5.0,
            "max": 10.0,
        }
    elif kind == "absence":
        rule["absence"] = {
            "after": {"event": "Content Clicked"},
            "unless": {"event": "Content Downloaded"},
            "within": draw(st.sampled_from(["30m", "2h", "3d"])),
        }
        _optional(draw, rule["absence"], "same", st.just("properties.key"))
        _optional(draw, rule, "decay", fading)
    else:
        rule["silence"] = {"first": draw(_durations)}
        _optional(draw, rule["silence"], "then", _durations)
        _optional(
            draw,
            rule["silence"],
            "channels",
            st.lists(st.sampled_from(CHANNELS), min_size=1, unique=True),
        )
        if "then" in rule["silence"]:
            rule.setdefault("max", 10.0)
    return rule


@st.composite
def alerts(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Return a hot alert or two, with what ends them."""
    policies: list[dict[str, Any]] = []
    for number in range(draw(st.integers(1, 2))):
        enter = draw(st.sampled_from([4.0, 8.0, 12.3, 20.0, 30.0]))
        hot: dict[str, Any] = {"name": f"hot-{number}", "kind": "hot", "enter": enter}
        _optional(
            draw, hot, "leave", st.just(enter - draw(st.sampled_from([0.0, 1.5])))
        )
        _optional(draw, hot, "dwell", st.sampled_from(["0s", "15m", "1h", "2d"]))
        _optional(draw, hot, "leave_dwell", st.sampled_from(["0s", "15m", "1h", "2d"]))
        _optional(draw, hot, "cooldown", st.sampled_from(["0s", "1h", "24h", "30d"]))
        _optional(draw, hot, "re_rise", st.sampled_from([0.05, 0.2, 1.0]))
        policies.append(hot)
        if draw(st.booleans()):
            policies.append(
                {"name": f"cooled-{number}", "kind": "cooled", "of": hot["name"]}
            )
    return policies


@st.composite
def other_alerts(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Return alerts of the other kinds, some muted or held back."""
    policies: list[dict[str, Any]] = [
        {
            "name": "surge",
            "kind": "surge",
            "rise": draw(st.sampled_from([2.0, 6.0])),
            "within": draw(st.sampled_from(["1h", "3d"])),
        },
        {"name": "stage", "kind": "stage", "stages": ["decision"]},
        {"name": "loud", "kind": "hot", "enter": 10.0, "inhibits": ["surge", "stage"]},
        {
            "name": "unworked",
            "kind": "unworked",
            "of": draw(st.sampled_from(["loud", "stage", "surge"])),
            "after": draw(st.sampled_from(["15m", "2d"])),
        },
    ]
    for policy in policies[:3]:
        _optional(draw, policy, "dwell", st.sampled_from(["15m", "1d"]))
        _optional(draw, policy, "leave_dwell", st.sampled_from(["15m", "1d"]))
        _optional(draw, policy, "cooldown", st.sampled_from(["0s", "1h"]))
        _optional(
            draw, policy, "quiet_hours", st.just({"from": "20:00", "to": "08:00"})
        )
    return policies


@st.composite
def dormancies(draw: st.DrawFn, groups: list[str]) -> list[dict[str, Any]]:
    """Return what silence leaves of groups, each of which is named once at the most."""
    found: list[dict[str, Any]] = []
    free = list(groups)
    for number in range(draw(st.integers(1, 2))):
        if not free:
            break
        named = draw(st.lists(st.sampled_from(free), min_size=1, unique=True))
        free = [group for group in free if group not in named]
        dormancy: dict[str, Any] = {
            "name": f"dormancy-{number}",
            "groups": named,
            "first": draw(_durations),
            "factor": draw(st.sampled_from([0.0, 0.25, 0.5, 0.9])),
        }
        if dormancy["factor"] and draw(st.booleans()):
            dormancy["then"] = draw(_durations)
            dormancy["floor"] = draw(st.sampled_from([0.1, 0.2, 0.25]))
        _optional(
            draw,
            dormancy,
            "channels",
            st.lists(st.sampled_from(CHANNELS), min_size=1, unique=True),
        )
        found.append(dormancy)
    return found


@st.composite
def model_texts(
    draw: st.DrawFn,
    *,
    fading: st.SearchStrategy[Any] = decays,
    plain: bool = False,
    most_rules: int = 4,
    every_alert: bool = False,
) -> dict[str, Any]:
    """Return the data of a model with everything the language has."""
    groups: dict[str, Any] = {}
    for place in range(draw(st.integers(1, 3))):
        group: dict[str, Any] = {"cap": draw(st.sampled_from([0.0, 5.0, 20.0, 40.0]))}
        _optional(draw, group, "floor", st.sampled_from([-25.0, -5.0, 0.0]))
        group["decay"] = draw(fading)
        group["rules"] = [
            draw(rules(f"rule-{place}-{number}", fading, plain=plain))
            for number in range(draw(st.integers(1, most_rules)))
        ]
        groups[f"group-{place}"] = group
    text: dict[str, Any] = {
        "model": "random",
        "version": "1",
        "decimals": draw(st.sampled_from([1, 1, 1, 0, 2])),
        "groups": groups,
        "tiers": [{"name": "gold", "at": 20.0}, {"name": "bronze", "at": 5.0}],
        "grade": {
            "fit": {"groups": ["group-0"], "marks": {"A": 6.0}, "otherwise": "B"},
            "engagement": {"groups": ["group-0"], "marks": {"1": 3}, "otherwise": "2"},
        },
        "alerts": draw(alerts()) + (draw(other_alerts()) if every_alert else []),
    }
    _optional(draw, text, "dormancy", dormancies(list(groups)))
    return text


def models(**shape: Any) -> st.SearchStrategy[Model]:
    """Return random models, checked as a file's would be."""
    return model_texts(**shape).map(Model.model_validate)


class Retraction(NamedTuple):
    """Events that are withdrawn at an instant."""

    ids: tuple[str, ...]
    now: Instant


Input = Event | Retraction


def _offsets(most: Millis) -> st.SearchStrategy[Millis]:
    return st.one_of(
        st.integers(0, most // HOUR).map(lambda hours: hours * HOUR),
        st.integers(0, most),
    )


@st.composite
def events(draw: st.DrawFn, number: int, *, traits: bool = True) -> Event:
    """Return one event of the lead, received at once or later."""
    kind = draw(st.sampled_from(["track", "track", "track", "page", "identify"]))
    at = START + draw(_offsets(40 * DAY))
    delay = draw(st.one_of(st.just(0), st.just(0), _offsets(20 * DAY)))
    properties: dict[str, Any] = {}
    _optional(draw, properties, "key", st.sampled_from(KEYS))
    _optional(draw, properties, "amount", st.sampled_from([0, 1, 2.5, 4, "7", "many"]))
    if draw(st.integers(0, 9)) == 0:
        properties["machine"] = True
    facts: dict[str, Any] = {}
    if kind == "identify" and traits:
        _optional(draw, facts, "industry", st.sampled_from(INDUSTRIES))
        _optional(draw, facts, "employees", st.sampled_from([5, 12, "40", None]))
        stages = st.sampled_from(["decision", "awareness"])
        _optional(draw, facts, "lifecycle_stage", stages)
    return Event(
        id=f"e{number}",
        type=kind,
        name=draw(st.sampled_from(NAMES)) if kind == "track" else "",
        channel=draw(st.sampled_from(CHANNELS)) if kind == "track" else "web",
        occurred_at=to_datetime(at),
        received_at=to_datetime(at) + timedelta(milliseconds=delay),
        user_id="ada",
        email="ada@example.com",
        properties=properties,
        traits=facts,
    )


@st.composite
def lives(
    draw: st.DrawFn,
    *,
    most: int = 12,
    traits: bool = True,
    repeats: bool = True,
    retractions: bool = False,
) -> list[Input]:
    """Return what happens to one lead, in the order of receipt."""
    count = draw(st.integers(1, most))
    happened: list[Event] = [
        draw(events(number, traits=traits)) for number in range(count)
    ]
    if repeats and draw(st.booleans()):
        happened.append(draw(st.sampled_from(happened)))
    received: list[Input] = sorted(happened, key=lambda event: event.now)
    if retractions:
        ids = draw(st.lists(st.sampled_from(happened), min_size=1, max_size=2))
        # From nobody nothing can be withdrawn, so the first event comes first.
        first = min(event.now for event in happened)
        now = max(START + draw(_offsets(60 * DAY)), first)
        place = sum(event.now <= now for event in happened)
        withdrawn = tuple(sorted({event.id for event in ids}))
        received.insert(place, Retraction(withdrawn, now))
    return received


def end_of(life: list[Input]) -> Instant:
    """Return the latest receipt of a life."""
    return max(item.now for item in life)

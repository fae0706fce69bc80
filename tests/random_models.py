"""Random models, as people could write them: everything that the language has.

Plain chance rather than one of Hypothesis's draws for each word: to draw a model took
ten times as long as to hold a law against it. Hypothesis draws a model from a pool
instead (`tests.strategies.models`), whose first ones are the smallest.
"""

from collections.abc import Callable
from random import Random
from typing import Any

from schemas.time import DAY, HOUR, MINUTE, Millis

NAMES = ("Offer Clicked", "Form Submitted", "Content Clicked", "Content Downloaded")
MAIL = (
    "Email Opened",
    "Email Link Clicked",
    "Offer Downloaded",
    "Email Delivered",
    "Unsubscribed",
)
CHANNELS = ("web", "email", "social", "content")

Text = dict[str, Any]
"""The data of a model's text, or of a part of it."""
Fading = Callable[[Random], Any]

_POINTS = (-20.0, -7.5, -5.0, -3.0, -1.0, 0.5, 1.0, 2.0, 3.0, 4.1, 5.0, 6.0, 8.2, 15.0)
_BOUNDS = (1.0, 3.0, 5.0, 10.0, 12.5, 20.0)
_SPANS = (HOUR, 6 * HOUR, DAY, 3 * DAY, 7 * DAY, 14 * DAY)
_KINDS = ("when", "when", "when", "where", "of", "absence", "silence")
_MATCHED: tuple[Text, ...] = (
    *({"event": name} for name in (*NAMES, *MAIL)),
    *({"channel": channel} for channel in CHANNELS),
    *({"event": name, "not": {"properties.key": "y"}} for name in NAMES),
    *[{"any": [{"event": NAMES[0]}, {"properties.amount": {"gte": 3}}]}] * 4,
    *[{"type": "page"}] * 4,
)
_FACTS: tuple[Text, ...] = (
    {"traits.industry": "software"},
    {"traits.employees": {"gte": 10}},
    {"traits.industry": {"exists": False}},
)
_AMOUNTS: tuple[Text, ...] = (
    {"of": "properties.amount", "per": 2.0, "points": 3.0, "min": -2.0, "max": 9.0},
    {
        "of": "properties.amount",
        "ladder": [{"at": 1.0, "points": 1.0}, {"at": 3.0, "points": 6.0}],
    },
    {"of": "properties.key", "values": {"x": 4.0, "y": -3.0}, "otherwise": 1.0},
)


def _now_and_then(dice: Random) -> bool:
    return dice.randrange(3) == 0


def span(dice: Random) -> Millis:
    """Return a span that is often a round one."""
    if dice.randrange(2):
        return dice.choice(_SPANS)
    return dice.randint(MINUTE, 20 * DAY)


def _text(millis: Millis) -> str:
    return f"{millis}ms"


def _duration(dice: Random) -> str:
    return _text(span(dice))


def _steps(dice: Random) -> Text:
    ages = sorted({span(dice) for _ in range(dice.randint(1, 3))})
    shares = [dice.choice([1.0, 0.75, 0.5, 0.2, 0.0]) for _ in range(4)]
    kept = sorted(shares[: dice.randint(3, 4)], reverse=True)
    steps = [
        {"until": _text(age), "keep": keep}
        for age, keep in zip(ages, kept, strict=False)
    ]
    return {"steps": steps, "rest": kept[-1] if len(kept) > len(steps) else 0.0}


def any_decay(dice: Random) -> Any:
    """Return a decay of any kind."""
    kind = dice.choice(["none", "half_life", "linear", "expires", "steps"])
    if kind == "none":
        return kind
    return _steps(dice) if kind == "steps" else {kind: _duration(dice)}


def folding_decay(dice: Random) -> Any:
    """Return a decay whose matches may be folded: a half-life, or none."""
    return {"half_life": _duration(dice)} if dice.randrange(2) else "none"


def _limit(dice: Random) -> Text:
    shape = dice.choice(["per", "by", "both"])
    limit: Text = {"count": dice.randint(1, 3)}
    if shape != "by":
        limit["per"] = dice.choice(["1h", "1d", "7d", "90061001ms"])
    if shape != "per":
        limit["by"] = "properties.key"
    if dice.randrange(2):
        limit["after"] = dice.randint(1, 2)
    return limit


def _channels(dice: Random) -> list[str]:
    return dice.sample(CHANNELS, dice.randint(1, len(CHANNELS)))


def _absence(dice: Random) -> Text:
    absence: Text = {
        "after": {"event": "Content Clicked"},
        "unless": {"event": "Content Downloaded"},
        "within": dice.choice(["30m", "2h", "3d"]),
    }
    if _now_and_then(dice):
        absence["same"] = "properties.key"
    return absence


def _silence(dice: Random) -> Text:
    silence: Text = {"first": _duration(dice)}
    if _now_and_then(dice):
        silence["then"] = _duration(dice)
    if _now_and_then(dice):
        silence["channels"] = _channels(dice)
    return silence


def _rule(dice: Random, name: str, fading: Fading, *, plain: bool) -> Text:
    """Return a rule of any kind; `plain` ones have points that are just a number."""
    kind = dice.choice(_KINDS)
    rule: Text = {"name": name, "points": dice.choice(_POINTS)}
    if _now_and_then(dice):
        rule["max"] = dice.choice(_BOUNDS)
    if kind == "when":
        rule["when"] = dice.choice(_MATCHED)
        if not plain and dice.randrange(4) == 0:
            rule["points"] = dice.choice(_AMOUNTS)
        if _now_and_then(dice):
            rule["limit"] = _limit(dice)
    elif kind == "where":
        rule["where"] = dice.choice(_FACTS)
    elif kind == "of":
        rule["points"] = {
            "of": "traits.employees",
            "per": 10.0,
            "points": 5.0,
            "max": 10.0,
        }
    elif kind == "absence":
        rule["absence"] = _absence(dice)
    else:
        rule["silence"] = _silence(dice)
        if "then" in rule["silence"]:
            rule.setdefault("max", 10.0)
    if kind in {"when", "absence"}:
        rule |= _some(dice, {"decay": [fading(dice)]})
        rule |= dice.choice([{}] * 7 + [{"machine": "counts"}])
    return rule


def _some(dice: Random, choices: dict[str, list[Any]]) -> Text:
    return {
        key: dice.choice(values)
        for key, values in choices.items()
        if _now_and_then(dice)
    }


def _hot_alerts(dice: Random) -> list[Text]:
    """Return a hot alert or two, with what ends them."""
    policies: list[Text] = []
    for number in range(dice.randint(1, 2)):
        enter = dice.choice([4.0, 8.0, 12.3, 20.0, 30.0])
        spans = ["0s", "15m", "1h", "2d"]
        policy = {"name": f"hot-{number}", "kind": "hot", "enter": enter} | _some(
            dice,
            {
                "leave": [enter, enter - 1.5],
                "dwell": spans,
                "leave_dwell": spans,
                "cooldown": ["0s", "1h", "24h", "30d"],
                "re_rise": [0.05, 0.2, 1.0],
            },
        )
        policies.append(policy)
        if dice.randrange(2):
            policies.append(
                {"name": f"cooled-{number}", "kind": "cooled", "of": policy["name"]}
            )
    return policies


def _other_alerts(dice: Random) -> list[Text]:
    """Return alerts of the other kinds, some muted or held back."""
    policies: list[Text] = [
        {
            "name": "surge",
            "kind": "surge",
            "rise": dice.choice([2.0, 6.0]),
            "within": dice.choice(["1h", "3d"]),
        },
        {"name": "stage", "kind": "stage", "stages": ["decision"]},
        {"name": "loud", "kind": "hot", "enter": 10.0, "inhibits": ["surge", "stage"]},
    ]
    held_back = {
        "dwell": ["15m", "1d"],
        "leave_dwell": ["15m", "1d"],
        "cooldown": ["0s", "1h"],
        "quiet_hours": [{"from": "20:00", "to": "08:00"}],
    }
    policies = [policy | _some(dice, held_back) for policy in policies]
    unworked = {
        "name": "unworked",
        "kind": "unworked",
        "of": dice.choice(["loud", "stage", "surge"]),
        "after": dice.choice(["15m", "2d"]),
    }
    return [*policies, unworked]


def _dormancies(dice: Random, groups: list[str]) -> list[Text]:
    """Return what silence leaves of groups, each of which is named once at the most."""
    found: list[Text] = []
    free = list(groups)
    for number in range(dice.randint(1, 2)):
        if not free:
            break
        named = dice.sample(free, dice.randint(1, len(free)))
        free = [group for group in free if group not in named]
        dormancy: Text = {
            "name": f"dormancy-{number}",
            "groups": named,
            "first": _duration(dice),
            "factor": dice.choice([0.0, 0.25, 0.5, 0.9]),
        }
        if dormancy["factor"] and dice.randrange(2):
            dormancy["then"] = _duration(dice)
            dormancy["floor"] = dice.choice([0.1, 0.2, 0.25])
        if _now_and_then(dice):
            dormancy["channels"] = _channels(dice)
        found.append(dormancy)
    return found


def _machine_traffic(dice: Random) -> Text:
    """Return other bounds for what is a machine's, and detectors that do not look."""
    detectors = ["burst", "all-links", "at-delivery", "honeypot", "privacy-proxy"]
    return {
        "off": dice.sample(detectors, dice.choice([0, 0, 1, 2])),
        "burst": _some(
            dice,
            {"least": [2, 3], "within": ["1s", "5s", "1h"], "alike": [True, False]},
        ),
        "all_links": _some(dice, {"least": [2, 3], "within": ["2s", "2h"]}),
        "at_delivery": _some(dice, {"within": ["1ms", "3s"]}),
        "honeypot": _some(dice, {"within": ["1s", "30s"]}),
    }


def model_text(
    dice: Random,
    *,
    fading: Fading = any_decay,
    plain: bool = False,
    every_alert: bool = False,
) -> Text:
    """Return the data of a model with everything the language has."""
    groups: Text = {}
    for place in range(dice.randint(1, 3)):
        group: Text = {"cap": dice.choice([0.0, 5.0, 20.0, 40.0])}
        if _now_and_then(dice):
            group["floor"] = dice.choice([-25.0, -5.0, 0.0])
        group["decay"] = fading(dice)
        group["rules"] = [
            _rule(dice, f"rule-{place}-{number}", fading, plain=plain)
            for number in range(dice.randint(1, 4))
        ]
        groups[f"group-{place}"] = group
    text: Text = {
        "model": "random",
        "version": "1",
        "decimals": dice.choice([1, 1, 1, 0, 2]),
        "groups": groups,
        "tiers": [{"name": "gold", "at": 20.0}, {"name": "bronze", "at": 5.0}],
        "grade": {
            "fit": {"groups": ["group-0"], "marks": {"A": 6.0}, "otherwise": "B"},
            "engagement": {"groups": ["group-0"], "marks": {"1": 3}, "otherwise": "2"},
        },
        "alerts": _hot_alerts(dice) + (_other_alerts(dice) if every_alert else []),
    }
    if _now_and_then(dice):
        text["dormancy"] = _dormancies(dice, list(groups))
    if dice.randrange(2):
        text["consent"] = _consents(dice, list(groups))
    if _now_and_then(dice):
        text["machine_traffic"] = _machine_traffic(dice)
    return text


def _consents(dice: Random, groups: list[str]) -> list[Text]:
    """Return what may be refused: the whole score, groups, one of two channels."""
    whole: Text = {"purpose": "profiling", "required": _now_and_then(dice)}
    part: Text = {
        "purpose": "marketing",
        "groups": dice.sample(groups, dice.randint(1, len(groups))),
        "required": _now_and_then(dice),
    }
    if dice.randrange(2):
        part["channel"] = "email"
    if _now_and_then(dice):
        part["also"] = ["Advertising"]
    return dice.choice([[whole], [part], [part, whole]])

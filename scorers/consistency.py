"""What must fit together in a model: names, bounds and what refers to what.

The checks read plain data and skip whatever is not of the type they expect, so they
also find what is wrong in a model that has other mistakes.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

Path = tuple[str | int, ...]

BEST: Final = 100.0
"""The highest score a model may give."""


class Inconsistency(NamedTuple):
    """Two places of a model that contradict each other; `path` is the later one."""

    path: Path
    message: str
    wanted: str = ""
    """The name that is referred to and that there is not."""
    known: tuple[str, ...] = ()
    """The names there are in its place."""


def inconsistencies(model: Mapping[str, Any]) -> list[Inconsistency]:
    """Return everything in `model` that cannot be true at once."""
    return [
        *_duplicate_rules(model),
        *_dormancies(model),
        *_consents(model),
        *_tiers(model),
        *_grades(model),
        *_duplicate_alerts(model),
        *_alerts(model),
        *_accounts(model),
    ]


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _entries(value: object) -> Iterable[tuple[int, Mapping[str, Any]]]:
    """Return the mappings of a list with their places."""
    if not isinstance(value, list | tuple):
        return
    for index, item in enumerate(value):
        if isinstance(item, Mapping):
            yield index, item


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value)


def _duplicate_rules(model: Mapping[str, Any]) -> Iterator[Inconsistency]:
    seen: dict[str, str] = {}
    for group, body in _mapping(model.get("groups")).items():
        for index, rule in _entries(_mapping(body).get("rules")):
            name = rule.get("name")
            if not isinstance(name, str):
                continue
            if name in seen:
                yield Inconsistency(
                    ("groups", group, "rules", index, "name"),
                    f"there is a rule {name!r} in {seen[name]!r} already: "
                    "its points would be mixed up; give this one another name",
                )
            seen.setdefault(name, group)


def _dormancies(model: Mapping[str, Any]) -> Iterator[Inconsistency]:
    groups = tuple(_mapping(model.get("groups")))
    taken = {
        str(rule.get("name")): f"a rule {rule.get('name')!r} in {group!r}"
        for group, body in _mapping(model.get("groups")).items()
        for _, rule in _entries(_mapping(body).get("rules"))
    }
    multiplied: dict[str, str] = {}
    for index, dormancy in _entries(model.get("dormancy")):
        name = dormancy.get("name")
        if isinstance(name, str):
            if name in taken:
                yield Inconsistency(
                    ("dormancy", index, "name"),
                    f"there is {taken[name]} already: give this one another name",
                )
            taken.setdefault(name, f"a dormancy {name!r}")
        named = dormancy.get("groups")
        for place, group in enumerate(named if isinstance(named, list) else ()):
            if not isinstance(group, str):
                continue
            if group not in groups:
                yield Inconsistency(
                    ("dormancy", index, "groups", place),
                    f"there is no group {group!r}",
                    group,
                    groups,
                )
            elif group in multiplied:
                yield Inconsistency(
                    ("dormancy", index, "groups", place),
                    f"the group {group!r} is in {multiplied[group]!r} already: its "
                    "points would be multiplied twice; name it in one place",
                )
            multiplied.setdefault(group, str(name))


def _consents(model: Mapping[str, Any]) -> Iterator[Inconsistency]:
    groups = tuple(_mapping(model.get("groups")))
    seen: set[tuple[object, object]] = set()
    for index, consent in _entries(model.get("consent")):
        name = (consent.get("purpose"), consent.get("channel"))
        if isinstance(name[0], str) and name in seen:
            yield Inconsistency(
                ("consent", index, "purpose"),
                f"{name[0]!r} stands twice: name what hangs on it in one place, or "
                "give each a channel of its own",
            )
        seen.add((str(name[0]), name[1]))
        named = consent.get("groups")
        for place, group in enumerate(named if isinstance(named, list) else ()):
            if isinstance(group, str) and group not in groups:
                yield Inconsistency(
                    ("consent", index, "groups", place),
                    f"there is no group {group!r}",
                    group,
                    groups,
                )


def _tiers(model: Mapping[str, Any]) -> Iterator[Inconsistency]:
    above: tuple[str, float] | None = None
    names: set[str] = set()
    for index, tier in _entries(model.get("tiers")):
        name, at = tier.get("name"), _number(tier.get("at"))
        if isinstance(name, str):
            if name in names:
                yield Inconsistency(
                    ("tiers", index, "name"), f"there is a tier {name!r} already"
                )
            names.add(name)
        if at is None:
            continue
        if above is not None and at >= above[1]:
            yield Inconsistency(
                ("tiers", index, "at"),
                f"tiers overlap: {name} begins at {at:g}, but {above[0]}, which stands "
                f"above it, begins at {above[1]:g}; order them from the highest down",
            )
        above = (str(name), at)


def _grades(model: Mapping[str, Any]) -> Iterator[Inconsistency]:
    groups = tuple(_mapping(model.get("groups")))
    for scale, body in _mapping(model.get("grade")).items():
        named = _mapping(body).get("groups")
        for index, name in enumerate(named if isinstance(named, list) else ()):
            if isinstance(name, str) and name not in groups:
                yield Inconsistency(
                    ("grade", scale, "groups", index),
                    f"there is no group {name!r}",
                    name,
                    groups,
                )


def _duplicate_alerts(model: Mapping[str, Any]) -> Iterator[Inconsistency]:
    seen: set[str] = set()
    for index, alert in _entries(model.get("alerts")):
        name = alert.get("name")
        if isinstance(name, str) and name in seen:
            yield Inconsistency(
                ("alerts", index, "name"), f"there is an alert {name!r} already"
            )
        if isinstance(name, str):
            seen.add(name)


def _alerts(model: Mapping[str, Any]) -> Iterator[Inconsistency]:
    bounds = {
        str(tier.get("name")): _number(tier.get("at"))
        for _, tier in _entries(model.get("tiers"))
    }
    told = tuple(
        str(alert.get("name"))
        for _, alert in _entries(model.get("alerts"))
        if alert.get("kind") in {"hot", "surge", "stage"}
    )
    for index, alert in _entries(model.get("alerts")):
        place: Path = ("alerts", index)
        of, enter = alert.get("of"), alert.get("enter")
        if isinstance(of, str) and of not in told:
            yield Inconsistency(
                (*place, "of"), f"there is no alert {of!r} to refer to", of, told
            )
        yield from _inhibits(place, alert, told)
        if alert.get("kind") != "hot":
            continue
        if isinstance(enter, str) and enter not in bounds:
            yield Inconsistency(
                (*place, "enter"), f"there is no tier {enter!r}", enter, tuple(bounds)
            )
            continue
        due = bounds[enter] if isinstance(enter, str) else _number(enter)
        if due is None:
            continue
        if not 0 < due <= BEST:
            yield Inconsistency(
                (*place, "enter"), f"must be above 0 and at most 100, not {due:g}"
            )
        yield from _leave(place, alert, due)
        yield from _capacity(place, alert, due)


def _inhibits(
    place: Path, alert: Mapping[str, Any], told: tuple[str, ...]
) -> Iterator[Inconsistency]:
    muted = alert.get("inhibits")
    for index, name in enumerate(muted if isinstance(muted, list) else ()):
        if name == alert.get("name"):
            yield Inconsistency(
                (*place, "inhibits", index), "an alert cannot mute itself"
            )
        elif isinstance(name, str) and name not in told:
            yield Inconsistency(
                (*place, "inhibits", index),
                f"there is no alert {name!r} to mute",
                name,
                told,
            )


def _accounts(model: Mapping[str, Any]) -> Iterator[Inconsistency]:
    accounts = _mapping(model.get("accounts"))
    tiers = tuple(str(tier.get("name")) for _, tier in _entries(model.get("tiers")))
    for part in ("score", "active"):
        tier = _mapping(accounts.get(part)).get("of_tier")
        if isinstance(tier, str) and tier not in tiers:
            yield Inconsistency(
                ("accounts", part, "of_tier"), f"there is no tier {tier!r}", tier, tiers
            )
    seen = {alert.get("name") for _, alert in _entries(model.get("alerts"))}
    for index, alert in _entries(accounts.get("alerts")):
        name = alert.get("name")
        if isinstance(name, str) and name in seen:
            yield Inconsistency(
                ("accounts", "alerts", index, "name"),
                f"there is an alert {name!r} already",
            )
        seen.add(name)


def _capacity(
    place: Path, alert: Mapping[str, Any], due: float
) -> Iterator[Inconsistency]:
    capacity = _mapping(alert.get("capacity"))
    lowest, highest = _number(capacity.get("lowest")), _number(capacity.get("highest"))
    if lowest is not None and not 0 < lowest <= due:
        yield Inconsistency(
            (*place, "capacity", "lowest"),
            f"must be above 0 and at most where the alert begins ({due:g}), not "
            f"{lowest:g}",
        )
    if highest is not None and not due <= highest <= BEST:
        yield Inconsistency(
            (*place, "capacity", "highest"),
            f"must be at least where the alert begins ({due:g}) and at most 100, not "
            f"{highest:g}",
        )


def _leave(
    place: Path, alert: Mapping[str, Any], due: float
) -> Iterator[Inconsistency]:
    leave = _number(alert.get("leave"))
    if leave is not None and leave > due:
        yield Inconsistency(
            (*place, "leave"),
            f"leave ({leave:g}) is above enter ({due:g}): the alert would end before "
            f"it begins; take at most {due:g}, or drop it for 0.85 · enter",
        )
    if leave is not None and leave < 0:
        yield Inconsistency((*place, "leave"), f"must be at least 0, not {leave:g}")

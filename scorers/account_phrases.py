"""What a model says of accounts, as people talk."""

from collections.abc import Iterator

from scorers.account_policy import AccountAlert, Accounts, ActivePeople
from scorers.parts import tell_duration


def account_phrases(accounts: Accounts) -> Iterator[tuple[str, str]]:
    """Yield the parts of `accounts` and what each says, alerts by their names."""
    yield "score", told_score(accounts)
    yield "active", _active(accounts.active)
    for alert in accounts.alerts:
        yield alert.name, _surge(alert)


def told_score(accounts: Accounts) -> str:
    """Return how people's scores make the account's.

    >>> told_score(Accounts())
    "the best person's score"
    """
    score = accounts.score
    match score.kind:
        case "top_mean":
            return f"the mean of the best {score.people}; one that is missing is zero"
        case "breadth":
            who = _who(score.of_tier, score.min_score)
            return f"{score.points:g} for each person {who}, {score.cap:g} at the most"
        case _:
            return "the best person's score"


def _who(tier: str | None, score: float | None) -> str:
    if tier is not None:
        return f"of tier {tier} or higher"
    return "" if score is None else f"with a score of {score:g} or more"


def _active(active: ActivePeople) -> str:
    who = f"people {_who(active.of_tier, active.min_score)}".strip()
    if active.within is not None:
        who += f", heard of within {tell_duration(active.within)}"
    enough = {"any": "one is", "all": "all of them are"}
    told = enough.get(str(active.at_least), f"{active.at_least} are")
    return f"{who}; {told} enough to be qualified"


def _surge(alert: AccountAlert) -> str:
    told = f"when {alert.people} people are active within {tell_duration(alert.within)}"
    each = alert.each
    if each is not None:
        asked = [f"{each.events} events"] if each.events else []
        asked += [f"{each.points:g} points"] if each.points else []
        told += f", each with {' and '.join(asked)}"
    if alert.momentum is not None:
        told += (
            f", and that is {alert.momentum.factor:g} times a usual day of the last "
            f"{tell_duration(alert.momentum.baseline)}"
        )
    if alert.dwell:
        told += f", once it lasts {tell_duration(alert.dwell)}"
    return f"{told}; not again within {tell_duration(alert.cooldown)}"

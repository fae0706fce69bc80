"""Random models and random lives, as people and the network could make them.

Models come from a pool of random ones; lives as inputs in the order in which they are
received. Times often fall on whole hours, so that deadlines, steps, windows and
receipts meet in one instant far more often than they would by chance.
"""

import json
import os
from datetime import timedelta
from functools import cache
from itertools import product
from random import Random
from typing import Any, NamedTuple

from hypothesis import strategies as st

from schemas.event import Event
from schemas.time import DAY, HOUR, SECOND, Instant, Millis, to_datetime
from scorers.compiled import CompiledModel, compile_model
from scorers.model import Model
from tests.random_models import (
    CHANNELS,
    MAIL,
    NAMES,
    Fading,
    Text,
    any_decay,
    folding_decay,
    model_text,
)

START: Instant = 1_767_225_600_000
"""2026-01-01T00:00:00Z."""

SEED = os.environ.get("LEADPULSE_LAWS_SEED", "0")
"""What the pools of random models are made from: the same seed, the same models."""

_POOL = 2_000
"""Random models of a kind from which examples are drawn."""

# ── models ──────────────────────────────────────────────────────────────────────

decays = st.integers(0, 1 << 32).map(Random).map(any_decay)


class Choice:
    """A random model: as text, checked as a file's would be, and compiled."""

    def __init__(self, text: str) -> None:
        """Keep the model's text as JSON."""
        self._text = text

    def __repr__(self) -> str:
        """Return the model's text, to be read when a law breaks."""
        return self._text

    def text(self) -> Text:
        """Return the model's data, new each time."""
        data: Text = json.loads(self._text)
        return data

    @property
    def model(self) -> Model:
        """The model."""
        return _model(self._text)

    @property
    def compiled(self) -> CompiledModel:
        """The model, made ready to run."""
        return _compiled(self._text)


@cache
def _model(text: str) -> Model:
    return Model.model_validate_json(text)


@cache
def _compiled(text: str) -> CompiledModel:
    return compile_model(_model(text))


@cache
def _pool(fading: Fading, *, plain: bool, every_alert: bool) -> tuple[Choice, ...]:
    """Return random models, smallest first: examples shrink to the first of them."""
    dice = Random(f"{SEED} {fading.__name__} {plain} {every_alert}")
    texts = {
        json.dumps(
            model_text(dice, fading=fading, plain=plain, every_alert=every_alert)
        )
        for _ in range(_POOL)
    }
    return tuple(Choice(text) for text in sorted(texts, key=lambda t: (len(t), t)))


def models(
    *, fading: Fading = any_decay, plain: bool = False, every_alert: bool = False
) -> st.SearchStrategy[Choice]:
    """Return random models; `plain` ones have points that are just numbers."""

    def of_pool(number: int) -> Choice:
        pool = _pool(fading, plain=plain, every_alert=every_alert)
        return pool[number % len(pool)]

    # Not `sampled_from`: told when a law breaks, it would tell the whole pool.
    return st.integers(0, _POOL - 1).map(of_pool)


plain_models = models(plain=True, fading=folding_decay)
"""Models whose points and half-lives may all be changed without a replay."""

# ── lives ───────────────────────────────────────────────────────────────────────


class Retraction(NamedTuple):
    """Events that are withdrawn at an instant."""

    ids: tuple[str, ...]
    now: Instant


Input = Event | Retraction


class Happening(NamedTuple):
    """What a lead may do, or what may be learnt of it."""

    type: str
    name: str
    channel: str
    properties: dict[str, Any]
    traits: dict[str, Any]
    context: dict[str, Any] = {}


def _told(**facts: Any) -> dict[str, Any]:
    """Return the facts that are told: those that are not an ellipsis."""
    return {name: value for name, value in facts.items() if value is not ...}


_KEYS = (..., "x", "y", ...)
_AMOUNTS = (..., 1, 2.5, 4, 0, "7", "many", ...)
_MACHINE = (*[...] * 9, True)
_PROPERTIES = tuple(
    _told(key=key, amount=amount, machine=machine)
    for machine, amount, key in product(_MACHINE, _AMOUNTS, _KEYS)
)
_TRACKED = tuple(product(NAMES, CHANNELS))
_TRAITS = tuple(
    _told(industry=industry, employees=employees, lifecycle_stage=stage)
    for stage, employees, industry in product(
        (..., ..., "decision", "awareness"),
        (..., ..., 5, 12, "40", None),
        (..., ..., "software", "farming"),
    )
)


_WORDS: tuple[Any, ...] = (
    False,
    True,
    {"profiling": False},
    {"profiling": True},
    {"marketing": False},
    {"marketing": True},
    {"marketing": {"email": False}},
    {"marketing": {"email": True}},
    {"advertising": False, "profiling": True},
)
"""What lives say of consent."""


def _happenings() -> tuple[Happening, ...]:
    """Return enough of what may happen that one draw tells all of it."""
    dice = Random(SEED)
    found = [Happening("track", name, channel, {}, {}) for name, channel in _TRACKED]
    for _ in range(4_096):
        kind = dice.choice(["track", "track", "track", "page", "identify"])
        name, channel = dice.choice(_TRACKED) if kind == "track" else ("", "web")
        traits = dice.choice(_TRAITS) if kind == "identify" else {}
        found.append(Happening(kind, name, channel, dice.choice(_PROPERTIES), traits))
    found += [
        Happening("identify", "", "web", {}, {"consent": word})
        for word in _WORDS
        for _ in range(150)
    ]
    dice.shuffle(found)
    return tuple(found)


_AGENTS = (..., ..., ..., "Mozilla/5.0", "python-requests/2.3", "GoogleImageProxy")


def _mailed() -> tuple[Happening, ...]:
    """Return what may happen to one of two mails."""
    dice = Random(SEED)

    def told(name: str) -> Happening:
        said = _told(
            email_id=dice.choice(["m1", "m1", "m1", "m2", ...]),
            link_url=dice.choice(["/a", "/b", "/c", ...]),
            links=dice.choice([..., 2, 3]),
            honeypot=dice.choice([*[...] * 15, True]),
            machine=dice.choice([*[...] * 15, True]),
            one_click=dice.choice([..., ..., True]),
        )
        agent = _told(user_agent=dice.choice(_AGENTS))
        return Happening("track", name, "email", said, {}, agent)

    return tuple(told(dice.choice(MAIL)) for _ in range(512))


def _offset(number: int) -> Millis:
    """Return a whole hour, or as often any instant within one, of one number."""
    hour, between = divmod(number, 2)
    return hour * HOUR + between * (number * 2_654_435_761 % HOUR)


def _offsets(most: Millis) -> st.SearchStrategy[Millis]:
    return st.integers(0, 2 * (most // HOUR) - 1).map(_offset)


_HAPPENINGS = _happenings()
_MAILED = _mailed()
_DELAYS = (*[0] * 3 * 960, *(_offset(number) for number in range(960)))
_moments = st.tuples(
    st.integers(0, len(_HAPPENINGS) - 1),
    _offsets(40 * DAY),
    st.integers(0, len(_DELAYS) - 1),
)


_touches = st.lists(
    st.tuples(
        st.integers(0, len(_MAILED) - 1),
        st.integers(0, 10).map(lambda number: number * SECOND // 2),
        st.integers(0, len(_DELAYS) - 1),
    ),
    max_size=5,
)
"""What happens to mails within a few seconds: people, and scanners."""


def _event(number: int, moment: tuple[int, Millis, int]) -> Event:
    happening, offset, delay = moment
    return _happened(number, _HAPPENINGS[happening], offset, delay)


def _happened(number: int, what: Happening, offset: Millis, delay: int) -> Event:
    at = to_datetime(START + offset)
    return Event(
        id=f"e{number}",
        type=what.type,
        name=what.name,
        channel=what.channel,
        occurred_at=at,
        received_at=at + timedelta(milliseconds=_DELAYS[delay]),
        user_id="ada",
        email="ada@example.com",
        properties=dict(what.properties),
        traits=dict(what.traits),
        context=dict(what.context),
    )


@st.composite
def lives(
    draw: st.DrawFn, *, most: int = 12, repeats: bool = True, retractions: bool = False
) -> list[Input]:
    """Return what happens to one lead, in the order of receipt."""
    moments = draw(st.lists(_moments, min_size=1, max_size=most))
    happened = [_event(number, moment) for number, moment in enumerate(moments)]
    mailed_at = moments[0][1]
    happened += [
        _happened(len(moments) + number, _MAILED[what], mailed_at + after, delay)
        for number, (what, after, delay) in enumerate(draw(_touches))
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

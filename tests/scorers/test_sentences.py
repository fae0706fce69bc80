"""What people are told of a lead: golden texts, phrases of number and time, sums."""

import os
import re
from datetime import UTC, datetime
from pathlib import Path
from string import Formatter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.event import Event
from schemas.locale import LOCALES, Locale
from schemas.time import DAY, HOUR, MINUTE, SECOND, Instant, to_datetime, to_instant
from scorers import speech_en, speech_fa
from scorers.compiled import CompiledModel, compile_model
from scorers.explain import SIDE
from scorers.explanation import Explanation, explain_lead
from scorers.loading import load_model
from scorers.model import Model
from scorers.scorer import on_event, read
from scorers.sentences import sections, summary
from scorers.speech import END, LEFT_TO_RIGHT, SPEECH, direction
from scorers.state import LeadState

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "sentences"
MODELS = sorted(
    path
    for path in (ROOT / "deploy" / "models").glob("*.yaml")
    if not path.name.endswith(".test.yaml")
)
T0 = to_instant(datetime(2026, 11, 1, 9, tzinfo=UTC))

Happening = tuple[Instant, str, str, str, dict[str, Any]]

RESEARCHER: tuple[Happening, ...] = (
    (0, "identify", "", "crm", {"industry": "Software", "lifecycle_stage": "intent"}),
    (0, "page", "", "web", {"path": "/pricing"}),
    (2 * DAY, "page", "", "web", {"path": "/pricing"}),
    (5 * DAY, "page", "", "web", {"path": "/pricing"}),
    (5 * DAY, "page", "", "web", {"path": "/careers"}),
    (6 * DAY, "track", "Content Clicked", "content", {"asset_id": "a"}),
    (6 * DAY, "track", "Content Clicked", "content", {"asset_id": "b"}),
    (7 * DAY, "track", "Content Downloaded", "content",
     {"asset_id": "c", "asset_type": "ebook"}),
    (7 * DAY + HOUR, "track", "Unsubscribed", "email", {}),
)  # fmt: skip
READER: tuple[Happening, ...] = (
    (0, "track", "Content Viewed", "content", {}),
    (0, "page", "", "web", {"path": "/blog"}),
)
BUYER: tuple[Happening, ...] = (
    (0, "identify", "", "crm",
     {"employees": 80, "annual_revenue": 2e7, "industry": "technology", "title": "CTO",
      "seniority": "c-level", "budget": 50_000, "lifecycle_stage": "decision"}),
    *((hour * HOUR, "page", "", "web", {"path": "/pricing"}) for hour in range(5)),
    (5 * HOUR, "track", "Demo Requested", "web", {}),
    (6 * HOUR, "track", "Meeting Held", "crm", {}),
    (6 * HOUR, "track", "Email Link Clicked", "email", {"link_url": "/offer"}),
)  # fmt: skip

REFUSER: tuple[Happening, ...] = (
    (0, "page", "", "web", {"path": "/pricing"}),
    (HOUR, "track", "Email Opened", "email", {"email_id": "m", "machine_open": True}),
    (2 * HOUR, "track", "Email Link Clicked", "email", {"email_id": "m"}),
    (2 * HOUR + SECOND, "track", "Email Link Clicked", "email", {"email_id": "m"}),
    (3 * HOUR, "track", "Email Link Clicked", "email", {"email_id": "n"}),
    (2 * DAY, "track", "Unsubscribed", "email", {}),
    (3 * DAY, "identify", "", "crm", {"consent": {"profiling": False}}),
)  # fmt: skip


@pytest.fixture(scope="module")
def model() -> CompiledModel:
    """Return the default model."""
    path = ROOT / "deploy" / "models" / "default.yaml"
    return compile_model(load_model(path.read_text("utf-8"), str(path)))


def lead(model: CompiledModel, happenings: tuple[Happening, ...]) -> LeadState:
    state = None
    for number, (at, kind, name, channel, fields) in enumerate(happenings):
        known = kind == "identify"
        event = Event(
            id=f"e{number}",
            type=kind,  # type: ignore[arg-type]
            channel=channel,  # type: ignore[arg-type]
            name=name,
            user_id="ada",
            email="ada@gmail.com" if happenings is RESEARCHER else None,
            occurred_at=to_datetime(T0 + at),
            properties={} if known else fields,
            traits=fields if known else {},
        )
        state = on_event(model, state, event, event.now).state
    assert state is not None
    return state


def text_of(model: CompiledModel, told: Explanation, locale: Locale) -> str:
    lines = [summary(model, told, locale)]
    for section in sections(model, told, locale):
        lines += ["", section.heading, *(f"  {line}" for line in section.lines)]
    return "\n".join(lines) + "\n"


# ── whole explanations ──────────────────────────────────────────────────────────


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize(
    ("name", "happenings", "at"),
    [
        ("researcher", RESEARCHER, 7 * DAY + 3 * HOUR),
        ("silent", READER, 45 * DAY),
        ("buyer", BUYER, 8 * HOUR),
        ("refuser", REFUSER, 4 * DAY),
    ],
)
def test_a_lead_is_explained_word_for_word(
    model: CompiledModel,
    name: str,
    happenings: tuple[Happening, ...],
    at: Instant,
    locale: Locale,
) -> None:
    """Four lives read as in their golden files, in each language.

    WRITE_GOLDEN=1 writes the files anew: review the difference.
    """
    told = explain_lead(model, lead(model, happenings), T0 + at)
    text = text_of(model, told, locale)
    golden = GOLDEN / f"{name}.{locale}.txt"
    if os.environ.get("WRITE_GOLDEN"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(text, "utf-8")

    assert text == golden.read_text("utf-8")


def test_what_is_unknown_is_named_and_nothing_else(model: CompiledModel) -> None:
    """The traits that rules read and nobody told are named; known ones are not."""
    told = explain_lead(model, lead(model, RESEARCHER), T0 + 8 * DAY)
    (line,) = next(
        section.lines
        for section in sections(model, told, "en")
        if section.name == "unknown"
    )

    assert told.unknown == (
        "employees", "annual_revenue", "seniority", "title", "budget",
    )  # fmt: skip
    assert line.startswith(
        "Company size, yearly revenue, seniority, job title and budget are unknown"
    )


def test_nothing_unknown_is_not_mentioned(model: CompiledModel) -> None:
    """A trait that is told is no longer among the unknown ones."""
    facts = {
        "employees": 1, "annual_revenue": 1, "industry": "x", "seniority": "vp",
        "title": "x", "budget": 1, "lifecycle_stage": "intent", "email_domain": "x.io",
    }  # fmt: skip
    told = explain_lead(model, lead(model, ((0, "identify", "", "crm", facts),)), T0)

    assert told.unknown == ()
    assert "unknown" not in {section.name for section in sections(model, told, "en")}


def test_at_most_five_reasons_stand_on_each_side(model: CompiledModel) -> None:
    """The strongest five for and the strongest five against are given."""
    told = explain_lead(model, lead(model, BUYER), T0 + 8 * HOUR)
    points = [ground.points for ground in told.grounds if ground.points > 0]

    assert len(points) == SIDE
    assert points == sorted(points, reverse=True)


def test_alerts_speak_the_language_of_the_model() -> None:
    """With `locale: fa` reasons and next action of an alert are Persian."""
    text = (ROOT / "deploy" / "models" / "default.yaml").read_text("utf-8")
    persian = compile_model(load_model(f"locale: fa\n{text}", "fa.yaml"))
    alerts = []
    state = None
    for number, (at, kind, name, channel, fields) in enumerate(BUYER):
        event = Event(
            id=f"e{number}", type=kind, channel=channel, name=name, user_id="ada",  # type: ignore[arg-type]
            occurred_at=to_datetime(T0 + at),
            properties={} if kind == "identify" else fields,
            traits=fields if kind == "identify" else {},
        )  # fmt: skip
        step = on_event(persian, state, event, event.now)
        state = step.state
        alerts += step.alerts
    (alert,) = alerts
    texts = {reason.rule: reason.text for reason in alert.reasons}

    assert texts["pricing-page"] == "صفحهٔ قیمت‌ها را دید (۲ بار)"
    assert texts["stage"] == "مرحلهٔ سفر مشتری: تصمیم"
    assert alert.next_action.startswith("همین حالا تماس بگیرید")


# ── the ledger ──────────────────────────────────────────────────────────────────

_LIVES = st.lists(
    st.tuples(
        st.integers(0, 40 * DAY),
        st.sampled_from([each[1:] for each in (*RESEARCHER, *READER, *BUYER)]),
    ),
    min_size=1,
    max_size=25,
)
_FIGURE = re.compile(r"[+−][\d,]+(?:\.\d+)?$")


def figure(text: str) -> float:
    return float(text.replace("−", "-").replace(",", ""))


@given(life=_LIVES, later=st.integers(0, 60 * DAY))
def test_the_printed_ledger_sums_to_the_printed_score(
    model: CompiledModel,
    life: list[tuple[Instant, tuple[Any, ...]]],
    later: Instant,
) -> None:
    """What is printed adds up to the printed score, but for the lines' rounding."""
    life.sort(key=lambda item: item[0])
    happenings = tuple((at, *rest) for at, rest in life)
    state = lead(model, happenings)  # type: ignore[arg-type]
    told = explain_lead(model, state, T0 + life[-1][0] + later)
    *lines, total = next(
        section.lines
        for section in sections(model, told, "en")
        if section.name == "ledger"
    )
    printed = [_FIGURE.search(line) for line in lines]
    found = re.fullmatch(r"Sum: ([\d.]+); the score, rounded: ([\d.]+)", total)

    assert found is not None
    assert all(printed)
    summed = sum(figure(match[0]) for match in printed if match)
    # Each line is rounded to 0.01, and lines below half of that are left out.
    assert summed == pytest.approx(float(found[1]), abs=0.005 * (len(told.ledger) + 2))
    assert float(found[2]) == told.score == read(model, state, told.at).score
    assert float(found[1]) == pytest.approx(told.score, abs=0.0551)


# ── phrases ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("age", "english", "persian"),
    [
        (0, "just now", "همین حالا"),
        (59 * SECOND, "just now", "همین حالا"),
        (MINUTE, "a minute ago", "۱ دقیقه پیش"),
        (2 * MINUTE, "2 minutes ago", "۲ دقیقه پیش"),
        (HOUR - 1, "59 minutes ago", "۵۹ دقیقه پیش"),
        (HOUR, "an hour ago", "۱ ساعت پیش"),
        (23 * HOUR, "23 hours ago", "۲۳ ساعت پیش"),
        (DAY, "a day ago", "۱ روز پیش"),
        (29 * DAY, "29 days ago", "۲۹ روز پیش"),
        (30 * DAY, "on 2 Oct 2026", "در ۱۰ مهر ۱۴۰۵"),
    ],
)
def test_how_long_ago_is_told_in_the_largest_unit(
    age: int, english: str, persian: str
) -> None:
    """One is singular in English; what is a month ago has a date, Jalali in Persian."""
    assert SPEECH["en"].ago(T0 - age, T0) == english
    assert SPEECH["fa"].ago(T0 - age, T0) == persian


@pytest.mark.parametrize(
    ("span", "english", "persian"),
    [
        (SECOND, "1 second", "۱ ثانیه"),
        (90 * SECOND, "90 seconds", "۹۰ ثانیه"),
        (30 * MINUTE, "30 minutes", "۳۰ دقیقه"),
        (DAY, "1 day", "۱ روز"),
        (36 * HOUR, "36 hours", "۳۶ ساعت"),
        (500, "0.5 seconds", "۰٫۵ ثانیه"),
    ],
)
def test_a_span_is_told_in_whole_units(span: int, english: str, persian: str) -> None:
    """The unit is the largest that goes into the span."""
    assert SPEECH["en"].span(span) == english
    assert SPEECH["fa"].span(span) == persian


@pytest.mark.parametrize(
    ("value", "english", "persian"),
    [
        (0, "+0", "+۰"),
        (-0.04, "+0", "+۰"),
        (8.55, "+8.6", "+۸٫۶"),
        (-10, "−10", "−۱۰"),
        (12_345.5, "+12,345.5", "+۱۲٬۳۴۵٫۵"),
    ],
)
def test_points_have_a_sign_and_no_noise(
    value: float, english: str, persian: str
) -> None:
    """Half is rounded up, there is no minus zero, and Persian keeps the sign before."""
    assert SPEECH["en"].signed(value) == english
    assert SPEECH["fa"].signed(value) == f"{LEFT_TO_RIGHT}{persian}{END}"


@pytest.mark.parametrize("value", [1e300, -1e300, float("inf"), float("nan"), 10**400])
@pytest.mark.parametrize("locale", LOCALES)
def test_no_figure_is_too_large_to_be_told(value: float, locale: Locale) -> None:
    """A trait may hold any number: it is told as it is, and nothing breaks."""
    assert SPEECH[locale].value(value)


@pytest.mark.parametrize(
    ("value", "english", "persian"),
    [
        (True, "yes", "بله"),
        (False, "no", "خیر"),
        (50_000, "50,000", "۵۰٬۰۰۰"),
        ("VP Sales", "VP Sales", f"{LEFT_TO_RIGHT}VP Sales{END}"),
        ("تهران", "\u2067تهران\u2069", "تهران"),
        ("", "", ""),
    ],
)
def test_a_value_that_runs_the_other_way_is_isolated(
    value: object, english: str, persian: str
) -> None:
    """A Latin name in a Persian sentence, and the reverse, displaces nothing."""
    assert SPEECH["en"].value(value) == english
    assert SPEECH["fa"].value(value) == persian


@pytest.mark.parametrize(
    ("items", "english", "persian"),
    [
        ([], "", ""),
        (["a"], "a", "a"),
        (["a", "b"], "a and b", "a و b"),
        (["a", "b", "c"], "a, b and c", "a، b و c"),
    ],
)
def test_lists_end_with_and(items: list[str], english: str, persian: str) -> None:
    """The last of several is joined by a word."""
    assert SPEECH["en"].listed(items) == english
    assert SPEECH["fa"].listed(items) == persian


def test_twice_is_twice() -> None:
    """English has a word of its own for two times."""
    assert [SPEECH["en"].times(count) for count in (2, 3)] == ["twice", "3 times"]
    assert SPEECH["fa"].times(2) == "۲ بار"


# ── completeness ────────────────────────────────────────────────────────────────


def blanks(template: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(template) if name}


def test_both_languages_have_every_sentence() -> None:
    """No sentence is missing in Persian, and each has the same blanks as in English."""
    english, persian = speech_en.TEMPLATES, speech_fa.TEMPLATES
    plain = {key for key in english if not re.search(r"\.\d+$", key)}

    assert set(persian) == plain
    assert {key: blanks(english[key]) for key in plain} == {
        key: blanks(template) for key, template in persian.items()
    }
    assert set(speech_en.TRAITS) == set(speech_fa.TRAITS)


def titles(model: Model) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, group in model.groups.items():
        found.append((name, group.title))
        found += [(rule.name, rule.title) for rule in group.rules]
    for stage in model.stages:
        found += [(stage.name, stage.title), (stage.name, stage.next_action)]
    return found


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_shipped_models_speak_both_languages(path: Path) -> None:
    """Every group, rule and stage of a shipped model has an English and a Persian text.

    A Persian text is Persian: it runs from right to left.
    """
    for name, title in titles(load_model(path.read_text("utf-8"), str(path))):
        assert not isinstance(title, str), name
        assert direction(title.en) == LEFT_TO_RIGHT, name
        assert direction(title.fa) == "\u2067", name

"""Every number of the article, and of ours where it names none: a row for each.

Each row is named after its line in the scoring semantics. The default model is the
shipped one, so a figure that is changed there breaks its row here.
"""

from pathlib import Path

import pytest

from scorers.compiled import CompiledModel, compile_model
from scorers.loading import load_model
from scorers.timeline import load_timelines
from scorers.timeline_run import run_timeline

SHIPPED = Path(__file__).parents[2] / "deploy" / "models" / "default.yaml"


@pytest.fixture(scope="module")
def model() -> CompiledModel:
    return compile_model(load_model(SHIPPED.read_text("utf-8"), SHIPPED.name))


def holds(model: CompiledModel, *, events: str, expect: str, lead: str = "{}") -> None:
    text = (
        f"tests:\n  - name: row\n    lead: {lead}\n    events: [{events}]\n"
        f"    expect: [{expect}]\n    tolerance: 0.005\n"
    )
    timelines = load_timelines(text, "row")

    assert run_timeline(model, timelines.tests[0]).misses == ()


TRACKED = [
    # article B
    ("B offer clicked on the site +3", "web", "Offer Clicked", "{offer: a}", 3),
    ("B e-mail opened +1", "email", "Email Opened", "{email_id: a}", 1),
    ("B e-mail link clicked +3", "email", "Email Link Clicked", "{link_url: /a}", 3),
    (
        "B offer downloaded from an e-mail +5",
        "email",
        "Offer Downloaded",
        "{email_id: a}",
        5,
    ),
    (
        "B e-book downloaded +6",
        "content",
        "Content Downloaded",
        "{asset_type: ebook, asset_id: a}",
        6,
    ),
    (
        "B infographic downloaded +4",
        "content",
        "Content Downloaded",
        "{asset_type: infographic, asset_id: a}",
        4,
    ),
    (
        "B checklist downloaded +3",
        "content",
        "Content Downloaded",
        "{asset_type: checklist, asset_id: a}",
        3,
    ),
    # ours, within the article's +1 to +10
    ("ours page liked 1", "social", "Page Liked", "{network: x}", 1),
    ("ours post liked 1", "social", "Post Liked", "{post_id: a}", 1),
    ("ours follow 2", "social", "Followed", "{network: x}", 2),
    ("ours reply 3", "social", "Post Replied", "{post_id: a}", 3),
    ("ours share 4", "social", "Post Shared", "{post_id: a}", 4),
    ("ours social offer download 5", "social", "Offer Downloaded", "{network: x}", 5),
    # ours
    ("ours unsubscribe −10", "email", "Unsubscribed", "{email_id: a}", -10),
    ("ours hard bounce −15", "email", "Email Bounced", "{bounce_type: hard}", -15),
    ("ours spam complaint −25", "email", "Email Marked as Spam", "{}", -25),
    ("ours webinar registered 3", "content", "Webinar Registered", "{asset_id: a}", 3),
    ("ours webinar attended 6", "content", "Webinar Attended", "{asset_id: a}", 6),
    ("ours demo requested 15", "web", "Demo Requested", "{}", 15),
    ("ours information requested 15", "web", "Information Requested", "{}", 15),
    ("ours form sent 5", "web", "Form Submitted", "{form: a}", 5),
]


@pytest.mark.parametrize(
    ("group", "name", "properties", "points"),
    [row[1:] for row in TRACKED],
    ids=[row[0] for row in TRACKED],
)
def test_an_event_gives_its_points_in_its_group(
    model: CompiledModel, group: str, name: str, properties: str, points: float
) -> None:
    """An event gives exactly its figure, to its own group and to no other."""
    groups = dict.fromkeys(
        ("fit", "budget", "stage", "web", "email", "social", "content", "history"), 0.0
    )
    groups[group] = points
    told = ", ".join(f"{key}: {value}" for key, value in groups.items())
    holds(
        model,
        events=f"{{at: 0m, track: {name}, properties: {properties}}}",
        expect=f"{{at: 0m, groups: {{{told}}}, score: {max(points, 0)}}}",
    )


PAGES = [
    ("B pricing page +5", "/pricing", 5),
    ("B pricing page of a language +5", "/de/pricing/teams", 5),
    ("ours product page 2", "/products/crm", 2),
    ("ours careers page −5", "/careers", -5),
    ("ours other pages 1", "/about", 1),
    ("ours the home page is another page", "/", 1),
]


@pytest.mark.parametrize(
    ("path", "points"), [row[1:] for row in PAGES], ids=[row[0] for row in PAGES]
)
def test_a_page_counts_once_as_what_it_is(
    model: CompiledModel, path: str, points: float
) -> None:
    """A page gives the points of its kind, and of one kind only."""
    holds(
        model,
        events=f"{{at: 0m, page: {path}}}",
        expect=f"{{at: 0m, groups: {{web: {points}}}}}",
    )


def test_b_the_pricing_page_keeps_to_its_scale_of_ten(model: CompiledModel) -> None:
    """B: a page is worth 0 to 10, however often it is seen."""
    holds(
        model,
        events="{at: 0m, page: /pricing, times: 10, every: 1s}",
        expect="{at: 1m, groups: {web: {gt: 9.99, lte: 10}}}",
    )


COMPANIES = [
    ("B +5 for ten employees", "employees: 9", 4.5),
    ("B clamped to 10", "employees: 5000", 10),
    ("B nothing below zero", "employees: -50", 0),
    ("B ideal size, ten employees", "employees: 10", 6),
    ("B ideal size, a hundred employees", "employees: 100", 11),
    ("B above the ideal size", "employees: 101", 10),
    ("B ideal revenue, 10 million", "annual_revenue: 10000000", 2),
    ("B ideal revenue, 50 million", "annual_revenue: 50000000", 2),
    ("B below the ideal revenue", "annual_revenue: 9999999", 0),
    ("B above the ideal revenue", "annual_revenue: 50000001", 0),
    ("B target market technology", "industry: Technology", 2),
    ("B another market", "industry: Agriculture", 0),
    (
        "cap company fit 15",
        "employees: 50, annual_revenue: 20000000, industry: SaaS, seniority: owner",
        15,
    ),
]


@pytest.mark.parametrize(
    ("traits", "points"),
    [row[1:] for row in COMPANIES],
    ids=[row[0] for row in COMPANIES],
)
def test_a_company_fits_as_its_traits_say(
    model: CompiledModel, traits: str, points: float
) -> None:
    """The company gives the fit its figure, and an unknown trait gives none."""
    holds(
        model,
        lead=f"{{traits: {{{traits}}}}}",
        events="",
        expect=f"{{at: 0m, groups: {{fit: {points}}}}}",
    )


def test_ours_competitor_by_list(model: CompiledModel) -> None:
    """Ours: a competitor's mail domain sinks the fit."""
    holds(
        model,
        lead="{email: a@rival.example, traits: {employees: 50}}",
        events="",
        expect="{at: 0m, groups: {fit: -4}}",
    )


def test_ours_free_mail_by_list(model: CompiledModel) -> None:
    """Ours: a free mailbox takes a little of the fit."""
    holds(
        model,
        lead="{email: a@gmail.com, traits: {employees: 50}}",
        events="",
        expect="{at: 0m, groups: {fit: 8}}",
    )


SILENCES = [
    ("ours silent for 13 days 0", "13d", 0),
    ("ours silent for 14 days −1", "14d", -1),
    ("ours silent for 20 days −1", "20d", -1),
    ("ours silent for 21 days −2", "21d", -2),
    ("ours silent for 28 days −3", "28d", -3),
    ("ours silent for 76 days −9", "76d", -9),
    ("ours silent for 77 days −10", "77d", -10),
    ("ours floor −10", "1000d", -10),
]


@pytest.mark.parametrize(
    ("at", "points"), [row[1:] for row in SILENCES], ids=[row[0] for row in SILENCES]
)
def test_silence_takes_a_point_after_two_weeks_and_one_more_every_week(
    model: CompiledModel, at: str, points: float
) -> None:
    """B5: stopped activity is negative, by our figures, and never below the floor."""
    holds(
        model,
        events="{at: 0d, page: /about}",
        expect=f"{{at: {at}, groups: {{activity: {points}}}}}",
    )


@pytest.mark.parametrize(
    ("at", "points"),
    [("29d", 0), ("30d", -2), ("900d", -2)],
    ids=["ours 29 days 0", "ours 30 days −2", "ours and no more"],
)
def test_silence_on_social_media_takes_two_points_after_thirty_days(
    model: CompiledModel, at: str, points: float
) -> None:
    """B5: no social activity at all is negative, once, after thirty days."""
    holds(
        model,
        events="{at: 0d, page: /about, times: 40, every: 1d}",
        expect=f"{{at: {at}, groups: {{social: {points}}}}}",
    )


@pytest.mark.parametrize(
    ("at", "points"),
    [("29m", 0), ("30m", -1)],
    ids=["ours within 30 minutes 0", "ours after 30 minutes −1"],
)
def test_content_clicked_and_not_downloaded_takes_a_point(
    model: CompiledModel, at: str, points: float
) -> None:
    """B5: content clicked and not downloaded within 30 minutes is −1."""
    holds(
        model,
        events="{at: 0m, track: Content Clicked, properties: {asset_id: a}}",
        expect=f"{{at: {at}, groups: {{content: {points}}}}}",
    )


def test_the_caps_are_those_of_the_article_and_add_up_to_a_hundred(
    model: CompiledModel,
) -> None:
    """The eight caps are those of the article's dimensions, and sum to 100."""
    caps = {group.name: group.cap for group in model.groups}

    assert caps == {
        "fit": 15,
        "budget": 10,
        "stage": 10,
        "web": 20,
        "email": 10,
        "social": 10,
        "content": 15,
        "history": 10,
        "activity": 0,
    }
    assert sum(caps.values()) == model.ceiling == 100


def test_the_facts_that_sales_states_give_their_caps_at_the_most(
    model: CompiledModel,
) -> None:
    """Cap budget 10 and cap journey stage 10: as much as there is, no more."""
    holds(
        model,
        lead="{traits: {budget: 900000, lifecycle_stage: decision}}",
        events="",
        expect="{at: 0m, groups: {budget: 10, stage: 10}, score: 20}",
    )


@pytest.mark.parametrize(
    ("at", "points"),
    [("29d", 0), ("30d", -2), ("900d", -2)],
    ids=["ours 29 days 0", "ours 30 days −2", "ours and no more"],
)
def test_silence_on_the_pages_takes_two_points_after_thirty_days(
    model: CompiledModel, at: str, points: float
) -> None:
    """B5: inactivity on the pages is negative, once, after thirty days."""
    holds(
        model,
        events="{at: 0d, track: Call Logged, times: 40, every: 1d}",
        expect=f"{{at: {at}, groups: {{web: {points}}}}}",
    )


FLOODS = [
    ("cap web 20", "web", "track: Demo Requested, every: 1d", 20),
    ("cap e-mail 10", "email", "track: Email Opened, every: 1m", 10),
    ("cap social 10", "social", "track: Post Shared, every: 1m", 10),
    ("cap content 15", "content", "track: Webinar Attended, every: 1m", 15),
    ("cap sales history 10", "history", "track: Meeting Held, every: 1m", 10),
]


@pytest.mark.parametrize(
    ("group", "event", "cap"),
    [row[1:] for row in FLOODS],
    ids=[row[0] for row in FLOODS],
)
def test_a_group_gives_its_cap_at_the_most(
    model: CompiledModel, group: str, event: str, cap: float
) -> None:
    """B6: a hundred good signs of one kind give no more than the group's cap."""
    last = "99d" if event.endswith("1d") else "99m"
    holds(
        model,
        events=f"{{at: 0m, times: 100, {event}}}",
        expect=f"{{at: {last}, groups: {{{group}: {cap}}}}}",
    )


@pytest.mark.parametrize(
    ("score", "tier"),
    [
        (0, "none"),
        (9.9, "none"),
        (10, "bronze"),
        (29.9, "bronze"),
        (30, "silver"),
        (59.9, "silver"),
        (60, "gold"),
        (100, "gold"),
    ],
)
def test_gold_from_60_silver_from_30_bronze_from_10(
    model: CompiledModel, score: float, tier: str
) -> None:
    """B1: a lead has the tier that its published score reaches."""
    assert model.tier_of(score) == tier


def test_the_hot_alert_ends_at_85_percent_of_gold(model: CompiledModel) -> None:
    """A lead that became hot at 60 stays hot down to 51."""
    hot = next(alert for alert in model.alerts if alert.kind == "hot")

    assert (hot.enter, hot.leave) == (60, 51)

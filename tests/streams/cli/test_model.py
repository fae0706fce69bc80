"""`leadpulse model`: check, test, explain, compare, as people do it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
MODELS = ROOT / "deploy" / "models"
DEFAULT = MODELS / "default.yaml"
EVENTS = ROOT / "tests" / "golden" / "replay" / "two_leads.ndjson"


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """Return a model with two mistakes."""
    path = tmp_path / "broken.yaml"
    text = DEFAULT.read_text("utf-8")
    path.write_text(
        text.replace("cap: 20", "cap: -20", 1).replace("points: 15", "pionts: 15", 1),
        "utf-8",
    )
    return path


def test_check_tells_what_a_right_model_has(leadpulse: Callable) -> None:
    """A right model is summed up: groups with caps, rules, tiers, alerts."""
    ran = leadpulse("model", "check", DEFAULT)

    assert ran.code == 0
    assert "default.yaml: right" in ran.out
    assert "web 20" in ran.out
    assert "gold from 60" in ran.out
    assert "hot-lead (hot)" in ran.out
    assert ran.err == ""


def test_check_without_a_file_looks_at_the_model_in_force(leadpulse: Callable) -> None:
    """Nobody has to know where the default model is kept."""
    ran = leadpulse("model", "check")

    assert ran.code == 0
    assert "default.yaml: right" in ran.out


def test_check_looks_at_every_model_of_a_folder(leadpulse: Callable) -> None:
    """A folder stands for its models, without their tests."""
    ran = leadpulse("model", "check", MODELS)

    assert ran.code == 0
    assert ran.out.count(": right") == 3


def test_check_tells_every_problem_with_its_line(
    leadpulse: Callable, broken: Path
) -> None:
    """Both mistakes are told with place, line and way out, and it leaves with 1."""
    ran = leadpulse("model", "check", broken, DEFAULT)

    assert ran.code == 1
    assert "must be at least 0, not -20" in ran.err
    assert "did you mean 'points'?" in ran.err
    assert f"{broken}: 2 problems" in ran.err
    assert "default.yaml: right" in ran.out  # the other is looked at all the same


def test_check_advises_and_strict_insists(leadpulse: Callable, tmp_path: Path) -> None:
    """What is right and yet odd is told; with --strict it counts as a problem."""
    odd = tmp_path / "odd.yaml"
    odd.write_text(DEFAULT.read_text("utf-8").replace("cap: 20", "cap: 19", 1), "utf-8")

    assert leadpulse("model", "check", odd).code == 0
    ran = leadpulse("model", "check", odd, "--strict")
    assert ran.code == 1
    assert "the caps add up to 99" in ran.out


@pytest.mark.parametrize("command", ["check", "test", "explain"])
def test_a_file_that_is_not_there_is_one_line(
    leadpulse: Callable, command: str, tmp_path: Path
) -> None:
    """No such file: one line says so, and no stack trace."""
    ran = leadpulse("model", command, tmp_path / "none.yaml")

    assert ran.code == 1
    assert "Traceback" not in ran.err
    assert ran.err.count("\n") <= 2


def test_test_runs_the_timelines_of_a_folder(leadpulse: Callable) -> None:
    """All shipped timelines hold."""
    ran = leadpulse("model", "test", MODELS)

    assert ran.code == 0
    assert "0 failed" in ran.out


def test_test_shows_what_was_expected_and_the_ledger(
    leadpulse: Callable, tmp_path: Path
) -> None:
    """A timeline that does not hold shows expected, got and where the score is from."""
    model = tmp_path / "mine.yaml"
    model.write_text(
        DEFAULT.read_text("utf-8").replace("points: 15", "points: 14", 1), "utf-8"
    )
    (tmp_path / "mine.test.yaml").write_text(
        "tests:\n"
        "  - name: a demo is worth fifteen\n"
        "    events: [{at: 1h, track: Demo Requested}]\n"
        "    expect: [{at: 1h, score: 15}]\n",
        "utf-8",
    )
    ran = leadpulse("model", "test", model)

    assert ran.code == 1
    assert "a demo is worth fifteen" in ran.out
    assert "at 1h: score  expected 15  got 14" in ran.out
    assert "demo-requested" in ran.out
    assert "1 tests, 1 failed" in ran.out


def test_test_can_be_narrowed_by_name(leadpulse: Callable) -> None:
    """--only runs the tests with a word in their name, and -v names them."""
    ran = leadpulse("model", "test", DEFAULT, "--only", "a10 the stage", "-v")

    assert ran.code == 0
    assert "A10 the stage of the journey" in ran.out
    assert "1 tests, 0 failed" in ran.out


def test_test_without_tests_is_no_success(leadpulse: Callable, tmp_path: Path) -> None:
    """A model without tests beside it fails: nothing was shown."""
    alone = tmp_path / "alone.yaml"
    alone.write_text(DEFAULT.read_text("utf-8"), "utf-8")
    ran = leadpulse("model", "test", alone)

    assert ran.code == 1
    assert "alone.test.yaml" in ran.out
    assert "no test was run" in ran.err


def test_schema_is_json(leadpulse: Callable) -> None:
    """The schema is printed as JSON, ready for an editor."""
    ran = leadpulse("model", "schema")

    assert ran.code == 0
    assert json.loads(ran.out)["title"] == "Leadpulse scoring model"


def test_explain_says_it_in_words(leadpulse: Callable) -> None:
    """The model as people talk: what, when, how much, how long, and who is told."""
    ran = leadpulse("model", "explain", DEFAULT)

    assert ran.code == 0
    for words in ("Asked for a demo", "half every", "Company and person", "hot-lead"):
        assert words in ran.out


def test_explain_says_where_the_score_of_a_lead_is_from(leadpulse: Callable) -> None:
    """With events: the lead that is asked for, in sentences, and nobody else."""
    ran = leadpulse("model", "explain", DEFAULT, "--lead", EVENTS, "--only", "ada")

    assert ran.code == 0
    assert "Saw the pricing page twice" in ran.out
    assert "How the score adds up" in ran.out
    assert "visitor" not in ran.out


def test_explain_speaks_persian(leadpulse: Callable) -> None:
    """With --locale fa both the model's titles and the sentences are Persian."""
    model = leadpulse("model", "explain", DEFAULT, "--locale", "fa")
    lead = leadpulse(
        "model", "explain", DEFAULT, "--lead", EVENTS, "--only", "ada", "--locale", "fa"
    )

    assert "درخواست دمو" in model.out
    assert "صفحهٔ قیمت‌ها را دید، ۲ بار" in lead.out


def test_explain_knows_no_stranger(leadpulse: Callable) -> None:
    """A lead that is not in the events is one clear line."""
    ran = leadpulse("model", "explain", DEFAULT, "--lead", EVENTS, "--only", "nobody")

    assert ran.code == 1
    assert "no lead is known as nobody" in ran.err


def test_diff_tells_what_would_be_different(
    leadpulse: Callable, tmp_path: Path
) -> None:
    """Two models over the same events: tiers, alerts and the load."""
    poorer = tmp_path / "poorer.yaml"
    poorer.write_text(
        DEFAULT.read_text("utf-8").replace("points: 15", "points: 1"), "utf-8"
    )
    ran = leadpulse("model", "diff", DEFAULT, poorer, "--events", EVENTS)

    assert ran.code == 0
    assert "change tier" in ran.out
    assert "alerts per hour" in ran.out
    found = json.loads(
        leadpulse("model", "diff", DEFAULT, poorer, "--events", EVENTS, "--json").out
    )
    assert found["before"]["leads"] == found["after"]["leads"] == 2


def test_diff_refuses_bad_lines_and_can_skip_them(
    leadpulse: Callable, tmp_path: Path
) -> None:
    """A bad line is told with its number; --skip-bad goes on without it."""
    events = tmp_path / "events.ndjson"
    events.write_text(EVENTS.read_text("utf-8") + "not json\n", "utf-8")
    ran = leadpulse("model", "diff", DEFAULT, DEFAULT, "--events", events)
    assert ran.code == 1
    assert "bad lines" in ran.err
    ran = leadpulse("model", "diff", DEFAULT, DEFAULT, "--events", events, "--skip-bad")
    assert ran.code == 0
    assert "0 of 2 leads change tier" in ran.out

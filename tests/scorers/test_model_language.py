"""The language of models: its reference runs, and so do the models we ship."""

import json
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema
import pytest
import yaml

from schemas import vocabulary
from scorers import speech_fa
from scorers.account_phrases import account_phrases
from scorers.advice import advice
from scorers.compiled import compile_model
from scorers.document import read_document
from scorers.editor import json_schema
from scorers.loading import ModelError, load_model
from scorers.model import Model
from scorers.phrases import dormancy_phrases, phrases
from scorers.timeline import load_timelines
from scorers.timeline_run import run_timeline

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "model.md"
SHIPPED = sorted(
    path
    for path in (ROOT / "deploy" / "models").glob("*.yaml")
    if not path.name.endswith(".test.yaml")
)
HEADER = 'model: example\nversion: "1"\n'


class Example(NamedTuple):
    """A part of a model on the reference page, and the tests that follow it."""

    line: int
    model: str
    tests: str


def whole_model(kind: str, text: str) -> str:
    """Return the model that a part shown on the page belongs to."""
    if kind == "rule":
        rules = textwrap.indent(text, "      ")
        return f"{HEADER}groups:\n  web:\n    cap: 100\n    rules:\n{rules}"
    return text if text.startswith("model:") else HEADER + text


def examples() -> Iterator[Example]:
    """Yield every example of the reference page."""
    page = REFERENCE.read_text("utf-8")
    model = None
    for block in re.finditer(
        r"^```yaml (\w+)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL
    ):
        kind, text = block.groups()
        line = page.count("\n", 0, block.start()) + 1
        if kind == "test":
            assert model is not None, f"line {line}: a test without a model"
            tests = "tests:\n" + textwrap.indent(text, "  ")
            yield Example(line, whole_model(*model), tests)
            model = None
        else:
            assert model is None, f"line {line}: the example before has no test"
            model = (kind, text)
    assert model is None, "the last example has no test"


@pytest.mark.parametrize(
    "example", list(examples()), ids=lambda example: f"line {example.line}"
)
def test_every_example_of_the_reference_does_what_the_page_says(
    example: Example,
) -> None:
    """An example on the reference page loads, and its timelines hold."""
    source = f"{REFERENCE.name}:{example.line}"
    model = compile_model(load_model(example.model, source))
    timelines = load_timelines(example.tests, source)

    for timeline in timelines.tests:
        assert run_timeline(model, timeline).misses == ()


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_timeline_of_a_shipped_model_holds(path: Path) -> None:
    """A shipped model does what the tests beside it say."""
    model = compile_model(load_model(path.read_text("utf-8"), str(path)))
    beside = path.with_name(f"{path.stem}.test.yaml")
    timelines = load_timelines(beside.read_text("utf-8"), str(beside))

    for timeline in timelines.tests:
        assert run_timeline(model, timeline).misses == ()


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_nothing_in_a_shipped_model_looks_like_an_oversight(path: Path) -> None:
    """A shipped model gives no occasion for advice: its caps add up to 100."""
    assert advice(load_model(path.read_text("utf-8"), str(path))) == []


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_model_fits_its_json_schema(path: Path) -> None:
    """What loading accepts, the editor's schema accepts, too."""
    data = read_document(path.read_text("utf-8")).data

    jsonschema.Draft202012Validator(json_schema()).validate(data)


@pytest.mark.parametrize(
    "example", list(examples()), ids=lambda example: f"line {example.line}"
)
def test_every_example_fits_the_json_schema(example: Example) -> None:
    """An editor underlines nothing in an example of the reference page."""
    data = read_document(example.model).data

    jsonschema.Draft202012Validator(json_schema()).validate(data)


def _undescribed(node: Any, path: str = "") -> Iterator[str]:
    if isinstance(node, dict):
        for key, body in node.get("properties", {}).items():
            if isinstance(body, dict) and not body.get("description"):
                yield f"{path}/{key}"
        for key, body in node.items():
            yield from _undescribed(body, f"{path}/{key}")


def test_every_key_has_a_description_in_the_json_schema() -> None:
    """Whoever hovers over a key in an editor is told what it means."""
    assert list(_undescribed(json_schema())) == []


def test_the_json_schema_is_one() -> None:
    """The schema is valid JSON Schema, and can be written as JSON."""
    schema = json.loads(json.dumps(json_schema()))

    jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize(
    "case",
    [
        "typo",
        "points_as_text",
        "half_life_without_unit",
        "unknown_field",
        "negative_cap",
        "bad_name",
        "unknown_kind_of_alert",
        "rules_as_a_mapping",
    ],
)
def test_an_editor_underlines_what_loading_refuses(case: str) -> None:
    """The mistakes that a schema can see are seen by ours."""
    golden = ROOT / "tests" / "golden" / "model_errors" / f"{case}.yaml"
    data = yaml.safe_load(golden.read_text("utf-8"))

    assert not jsonschema.Draft202012Validator(json_schema()).is_valid(data)


def _keys(kind: type[Any]) -> set[str]:
    return {field.alias or name for name, field in kind.model_fields.items()}


def test_the_reference_speaks_of_every_key() -> None:
    """No key of the language is missing from its reference page."""
    page = REFERENCE.read_text("utf-8")
    defined = json_schema()["$defs"]
    keys = {key for body in defined.values() for key in body.get("properties", {})}
    keys |= _keys(Model)

    assert {key for key in keys if not re.search(rf"\b{key}\b", page)} == set()


MINIMAL = (
    HEADER
    + """\
groups:
  web:
    cap: 100
    rules:
      - name: page
        when: {event: Email Opened}
        points: 5
"""
)


@pytest.mark.parametrize(
    ("before", "after", "advised"),
    [
        ("Email Opened", "Emial Opened", "did you mean 'Email Opened'"),
        ("cap: 100", "cap: 90", "the caps add up to 90"),
        ("cap: 100", "cap: 3", "its group gives 3 at the most"),
        (
            "when: {event: Email Opened}",
            "where: {traits.employes: 5}",
            "did you mean 'employees'",
        ),
        (
            "when: {event: Email Opened}\n        points: 5",
            "silence: {first: 1d, then: 1d}\n        points: -1",
            "give it a `max`",
        ),
    ],
)
def test_what_is_probably_not_meant_is_advised_against(
    before: str, after: str, advised: str
) -> None:
    """A model that is right and yet odd gets a sentence about it."""
    sentences = advice(load_model(MINIMAL.replace(before, after), "model.yaml"))

    assert advised in "; ".join(sentences)


def test_an_event_of_ones_own_is_no_occasion_for_advice() -> None:
    """A name that resembles none of the vocabulary may well be the user's own."""
    text = MINIMAL.replace("Email Opened", "Lamp Rubbed")

    assert advice(load_model(text, "model.yaml")) == []


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_rule_can_be_put_in_words(path: Path) -> None:
    """A model is told in words rule by rule, and no word is Python's."""
    model = load_model(path.read_text("utf-8"), str(path))
    told = list(phrases(model))

    assert len(told) == sum(len(group.rules) for group in model.groups.values())
    for rule in told:
        assert rule.title
        assert rule.when
        assert rule.points
        assert "None" not in f"{rule.when}{rule.points}{rule.most}{rule.fades}"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_rule_can_be_told_in_persian(path: Path) -> None:
    """Latin letters are those of data alone, which stand apart, from left to right."""
    model = load_model(path.read_text("utf-8"), str(path))
    accounts = [] if model.accounts is None else account_phrases(model.accounts, "fa")
    told = [
        *((each.when, each.points, each.fades) for each in phrases(model, "fa")),
        *(
            (each.when, each.factor, each.floor)
            for each in dormancy_phrases(model, "fa")
        ),
        *((says,) for _, says in accounts),
    ]

    for text in (text for texts in told for text in texts):
        own = re.sub("[\u2066\u2067].*?\u2069", "", text)
        assert not re.search("[A-Za-z]", own), text


def test_every_event_has_a_name_in_persian() -> None:
    """What adapters send is called by what people call it."""
    known = {name for names in vocabulary.NAMES.values() for name in names}

    assert known - set(speech_fa.EVENTS) == set()


def test_the_vocabulary_of_the_default_model_is_the_adapters_own() -> None:
    """Each event that the default model waits for is one that adapters send."""
    known = {name for names in vocabulary.NAMES.values() for name in names}
    text = (ROOT / "deploy" / "models" / "default.yaml").read_text("utf-8")
    waited_for = set(re.findall(r"\bevent: ([A-Z][A-Za-z -]+?)\s*[,}\n]", text))

    assert waited_for - known == set()
    assert len(waited_for) > 20


def test_a_timeline_that_does_not_hold_says_what_it_got() -> None:
    """A miss names what was expected, what there was, and the ledger of the score."""
    model = compile_model(load_model(MINIMAL, "model.yaml"))
    timelines = load_timelines(
        """\
tests:
  - name: wrong in every way
    events: [{at: 1h, track: Email Opened}]
    expect:
      - at: 1h
        score: 6
        tier: gold
        grade: A1
        stage: decision
        groups: {web: {gt: 5}}
        because: [nothing]
        not_because: [page]
        alert: hot-lead
      - {at: 2h, reason: cooldown}
""",
        "model.test.yaml",
    )
    misses = run_timeline(model, timelines.tests[0]).misses

    assert [(miss.what, miss.expected, miss.got) for miss in misses] == [
        ("score", "6", "5"),
        ("groups.web", "gt 5.0", "5"),
        ("tier", "gold", "none"),
        ("grade", "A1", "none"),
        ("stage", "decision", "none"),
        ("because", "nothing", "page"),
        ("not_because", "not page", "page"),
        ("alert", "hot-lead", "none"),
        ("reason", "cooldown", "none"),
    ]
    assert [(line.rule, line.points) for line in misses[0].ledger] == [("page", 5.0)]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("tests: []", "must not be empty"),
        ("tests: [{name: a, expect: []}]", "must not be empty"),
        ("tests: [{name: a, expect: [{at: 1d}]}]", "expects nothing"),
        ("tests: [{name: a, expect: [{at: 1, score: 1}]}]", "did you mean '1d'"),
        ("tests: [{name: a, expect: [{at: 1d, scor: 1}]}]", "did you mean 'score'"),
        (
            "tests: [{name: a, events: [{at: 1d}], expect: [{at: 1d, score: 1}]}]",
            "exactly one of page, track, identify",
        ),
        (
            (
                "tests: [{name: a, events: [{at: 1d, page: /, times: 3}],"
                " expect: [{at: 1d, score: 1}]}]"
            ),
            "times needs `every`",
        ),
        (
            "tests: [{name: a, leads: {x: {}}, expect: [{at: 1d, who: y, score: 1}]}]",
            "there is no lead 'y'",
        ),
        (
            "tests: [{name: a, expect: [{at: 1d, next_action: x}]}]",
            "say which `alert`",
        ),
        (
            "tests: [{name: a, expect: [{at: 1d, members: 2}]}]",
            "`members` is an account's: say which `account`",
        ),
        (
            "tests: [{name: a, expect: [{at: 1d, account: a.example, grade: A1}]}]",
            "an account has no `grade`",
        ),
        (
            (
                "tests: [{name: a, events: [{at: 1d, withdraw: x}],"
                " expect: [{at: 1d, score: 1}]}]"
            ),
            "no event has the id 'x'",
        ),
        (
            (
                "tests: [{name: a, events: [{at: 1d, page: /, id: x}, {at: 2d,"
                " track: A, id: x}], expect: [{at: 1d, score: 1}]}]"
            ),
            "two events have the id 'x'",
        ),
        (
            (
                "tests: [{name: a, events: [{at: 1d, page: /, id: x}, {at: 2d,"
                " withdraw: x, times: 2, every: 1d}], expect: [{at: 1d, score: 1}]}]"
            ),
            "has no `every` of its own",
        ),
    ],
)
def test_a_wrong_test_file_is_told_like_a_wrong_model(text: str, told: str) -> None:
    """Mistakes in a file of tests have a place and a way out, too."""
    with pytest.raises(ModelError, match=re.escape(told)):
        load_timelines(text, "model.test.yaml")


def test_a_timeline_that_is_wrong_about_alerts_and_ranks_says_so() -> None:
    """An alert told against the wish, for another reason, and a wrong ranking."""
    text = MINIMAL + (
        "tiers: [{name: gold, at: 5}]\n"
        "alerts: [{name: hot-lead, kind: hot, enter: gold}]\n"
    )
    timelines = load_timelines(
        """\
tests:
  - name: wrong about alerts
    leads: {ada: {}, bob: {}}
    events: [{at: 1h, who: ada, track: Email Opened}]
    expect:
      - {at: 1h, who: ada, no_alert: true, alert: hot-lead, reason: cooldown}
      - {at: 1h, who: ada, no_alert: hot-lead, alert: hot-lead, next_action: Call}
      - {at: 1h, ranking: [bob, ada]}
""",
        "model.test.yaml",
    )
    model = compile_model(load_model(text, "model.yaml"))
    misses = run_timeline(model, timelines.tests[0]).misses

    assert [(miss.what, miss.expected, miss.got) for miss in misses] == [
        ("no_alert", "none", "hot-lead (crossed-threshold)"),
        ("reason", "cooldown", "crossed-threshold"),
        ("no_alert", "no hot-lead", "hot-lead (crossed-threshold)"),
        ("next_action", "Call", "none"),
        ("ranking", "bob > ada", "bob 0, ada 5"),
    ]


def test_a_timeline_that_is_wrong_about_an_account_says_so() -> None:
    """A miss of an account lists its people; one that is not there is told, too."""
    accounts = "accounts: {score: {kind: top_mean, people: 2}}\n"
    timelines = load_timelines(
        """\
tests:
  - name: wrong about accounts
    leads: {ada: {email: ada@acme.example}, bob: {email: bob@acme.example}}
    events: [{at: 1h, who: ada, track: Email Opened}]
    expect:
      - at: 1h
        account: ACME.example
        score: 5
        members: {gt: 2}
        active: 1
        trend: 0
        tier: gold
        qualified: false
        alert: buying-group
      - {at: 1h, account: acme.com, score: 0}
""",
        "model.test.yaml",
    )
    (timeline,) = timelines.tests
    with_accounts = compile_model(load_model(MINIMAL + accounts, "model.yaml"))
    misses = run_timeline(with_accounts, timeline).misses

    assert [(miss.what, miss.expected, miss.got) for miss in misses] == [
        ("score", "5", "2.5"),
        ("members", "gt 2.0", "2"),
        ("active", "1", "2"),
        ("trend", "0", "2.5"),
        ("tier", "gold", "none"),
        ("qualified", "false", "true"),
        ("alert", "buying-group", "none"),
        ("account", "acme.com", "none"),
    ]
    people = [(line.rule, line.points) for line in misses[0].ledger]
    assert people == [("ada", 5.0), ("bob", 0.0)]
    without = compile_model(load_model(MINIMAL, "model.yaml"))
    assert run_timeline(without, timeline).misses[0].got == "the model has no accounts"

"""Files of sinks: what is right, and how a mistake is told."""

from pathlib import Path

import jsonschema
import msgspec
import pytest
import yaml
from typer.testing import CliRunner

from schemas.examples import SCORE_UPDATE
from schemas.score import Identifiers, Reason
from streams.cli.sinks import app
from streams.settings import SettingsError, load_settings
from streams.sinks.connecting import SinkSecretError, connect
from streams.sinks.files import SinkFileError, find_sink, json_schema, read_sink
from streams.sinks.language import Scalar
from streams.sinks.missing import MissingClientError, needs
from streams.sinks.rows import Rows, differences, written_text

SHIPPED = sorted((Path(__file__).parents[3] / "deploy" / "sinks").glob("*.yaml"))
GOOD = """\
sink: crm
kind: hubspot
match: {field: email}
fields:
  lp_lead: lead_id
  lp_sequence: sequence
  lp_score: score
"""
WEBHOOK = "sink: w\nkind: webhook\nurl: http://x\n"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_shipped_sinks_are_right(path: Path) -> None:
    """Each can be read, and editors agree with it."""
    sink = read_sink(path)

    assert sink.sink == path.stem
    jsonschema.validate(yaml.safe_load(path.read_text("utf-8")), json_schema())


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (GOOD.replace("kind:", "knd:"), "did you mean 'kind'"),
        (GOOD.replace("hubspot", "hubsport"), "did you mean 'hubspot'"),
        (GOOD.replace(": score", ": scroe"), "did you mean 'score'"),
        (GOOD.replace("  lp_lead: lead_id\n", ""), "erased person is found by it"),
        (GOOD.replace("  lp_sequence: sequence\n", ""), "older score is told"),
        (GOOD.replace("match: {field: email}\n", ""), "needs `match`"),
        (GOOD.replace("hubspot", "salesforce"), "needs `url`"),
        (GOOD + "rate: often\n", "is no rate"),
        (GOOD + "url: https://me:pw@x.example\n", "LEADPULSE_SINK_SECRETS"),
        (GOOD + "url: nowhere\n", "must be an address"),
        (GOOD + "  lp_x: {value: score, group: web}\n", "one of them"),
        (
            "sink: w\nkind: webhook\nurl: http://x\nmatch: {field: a}\n",
            "has no `match`",
        ),
    ],
    ids=[
        "key",
        "kind",
        "value",
        "no-lead",
        "no-sequence",
        "no-match",
        "no-url",
        "rate",
        "password",
        "url",
        "two-values",
        "webhook",
    ],
)
def test_a_mistake_is_told_with_its_place(
    wrong: str, told: str, tmp_path: Path
) -> None:
    """`check` says the file, the line, what is wrong, and leaves with 1."""
    path = tmp_path / "crm.yaml"
    path.write_text(wrong, "utf-8")

    shown = CliRunner().invoke(app, ["check", str(path)])

    assert shown.exit_code == 1
    assert told in shown.output
    assert f"{path}:" in shown.output


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    """A wrong name, two of one name, a missing secret or folder: one clear line."""
    (tmp_path / "a.yaml").write_text(GOOD, "utf-8")
    settings = load_settings({"LEADPULSE_SINKS_DIR": str(tmp_path)})
    with pytest.raises(SinkFileError, match="there is crm"):
        find_sink("cmr", settings)
    with pytest.raises(SinkSecretError, match="LEADPULSE_SINK_SECRETS=crm="):
        connect(find_sink("crm", settings), settings)
    (tmp_path / "b.yaml").write_text(GOOD, "utf-8")
    with pytest.raises(SinkFileError, match="both called 'crm'"):
        find_sink("crm", settings)
    with pytest.raises(SinkFileError, match="no folder"):
        find_sink("crm", load_settings({"LEADPULSE_SINKS_DIR": "/nowhere"}))
    with pytest.raises(SettingsError, match="sink=secret"):
        load_settings({"LEADPULSE_SINK_SECRETS": "hubspot"})
    with (
        pytest.raises(MissingClientError, match=r"pip install 'leadpulse\[hubspot\]'"),
        needs("hubspot", "hubspot-api-client"),
    ):
        raise ModuleNotFoundError


def test_values_are_made_as_the_file_says(tmp_path: Path) -> None:
    """Tables, groups, constants, whole numbers, times, and as many reasons as fit."""
    path = tmp_path / "crm.yaml"
    path.write_text(
        GOOD + "  stars: {value: tier, table: {gold: 5, silver: 3}, otherwise: 0}\n"
        "  web: {group: web, whole: true}\n"
        "  by: {constant: Leadpulse}\n"
        "  day: {value: as_of, time: date}\n"
        "  odoo: {value: as_of, time: plain}\n"
        "  stamp: {value: as_of, time: milliseconds}\n"
        "  why: {value: reasons, longest: 20}\n"
        "  against: reasons_against\n"
        "  mail: {value: do_not_email, table: {'true': stop}, otherwise: ''}\n",
        "utf-8",
    )
    row = Rows(read_sink(path)).row(SCORE_UPDATE, b"")

    assert row.key == "ada@example.com"
    assert row.fields == {
        "lp_lead": SCORE_UPDATE.lead_id,
        "lp_sequence": 7,
        "lp_score": 64.5,
        "stars": 5,
        "web": 20,
        "by": "Leadpulse",
        "day": "2026-11-21",
        "odoo": "2026-11-21 10:09:00",
        "stamp": 1_795_255_740_412,
        "why": "Asked for a demo",
        "against": "",
        "mail": "",
    }


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("ada@example.com", "ada@example.com"),
        ("=1+1@example.com", None),
        ("<b>@example.com", None),
        ("nobody", None),
        ("a b@example.com", None),
        ("\u202eada@example.com", None),
    ],
    ids=["good", "formula", "markup", "none", "blank", "turned"],
)
def test_an_address_identifies_only_if_it_is_plain(
    address: str, key: str | None, tmp_path: Path
) -> None:
    """What could be a formula or markup is nobody's key."""
    path = tmp_path / "crm.yaml"
    path.write_text(GOOD, "utf-8")
    known = Identifiers(email=(address,))
    update = msgspec.structs.replace(SCORE_UPDATE, identifiers=known)

    assert Rows(read_sink(path)).row(update, b"").key == key


@pytest.mark.parametrize(
    ("ours", "theirs", "same"),
    [
        (64.5, "64.5", True),
        (64.5, 64.6, False),
        (None, "", True),
        ("", False, True),
        (False, "false", True),
        (0, None, False),
        ("gold", " gold ", True),
        ("2026-11-21T10:09:00.412Z", "2026-11-21T10:09:00.000+0000", True),
        ("2026-11-21T10:09:00.412Z", "2026-11-21T10:10:00Z", False),
    ],
    ids=[
        "text-of-number",
        "other-number",
        "empty",
        "odoo-empty",
        "boolean",
        "nothing",
        "blanks",
        "seconds",
        "minute",
    ],
)
def test_a_crm_says_the_same_in_its_own_way(
    ours: Scalar,
    theirs: object,
    same: bool,  # noqa: FBT001 - a row of the table
) -> None:
    """Only what really differs is written again."""
    assert (differences({"f": ours}, {"f": theirs}) == []) is same


def test_long_texts_are_cut_and_reasons_stay_whole() -> None:
    """A field's size is kept to."""
    assert written_text("x" * 300, 10) == "x" * 9 + "…"
    assert written_text("  a\n\tb ") == "a b"
    assert written_text("سلام\u200cدنیا") == "سلام\u200cدنیا"
    assert Reason(rule="r", group="g", points=1, text="t").text == "t"

"""`leadpulse replay`: a file in, the live system's scores out."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from scorers.identity import lead_id_of
from streams import event_files

GOLDEN = Path(__file__).parents[2] / "golden" / "replay" / "two_leads.ndjson"
ADA = lead_id_of("user_id", "ada")
VISITOR = lead_id_of("anonymous_id", "visitor")


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_writes_scores_updates_and_alerts(leadpulse: Callable, tmp_path: Path) -> None:
    """A lead gets hot by what it does, cools by silence, and every step is told."""
    scores, updates, alerts = (tmp_path / name for name in ("s", "u", "a"))
    ran = leadpulse(
        "replay", GOLDEN, "--at", "2026-11-25T00:00:00Z",
        "--scores", scores, "--updates", updates, "--alerts", alerts,
    )  # fmt: skip

    assert ran.code == 0
    assert ran.out == ""
    assert "8 events scored, 1 duplicates, 2 leads" in ran.err
    assert [list(line) for line in lines(scores)] == 2 * [
        [
            "lead_id", "score", "tier", "grade", "groups", "reasons",
            "identifiers", "as_of", "next_change_at",
        ]
    ]  # fmt: skip
    assert [(line["lead_id"], line["tier"]) for line in lines(scores)] == [
        (ADA, "silver"),
        (VISITOR, "none"),
    ]
    assert lines(scores)[0]["identifiers"] == {
        "email": ["ada@acme.example"],
        "user_id": ["ada"],
        "anonymous_id": [],
    }
    assert [(alert["kind"], alert["reason"]) for alert in lines(alerts)] == [
        ("hot", "crossed-threshold"),
        ("cooled", "fell-below"),
    ]
    told = lines(updates)
    for lead_id in (ADA, VISITOR):
        mine = [line for line in told if line["lead_id"] == lead_id]
        assert [line["sequence"] for line in mine] == list(range(1, len(mine) + 1))
        final = next(line for line in lines(scores) if line["lead_id"] == lead_id)
        assert mine[-1]["score"] == final["score"]


def test_writes_the_scores_of_accounts(leadpulse: Callable, tmp_path: Path) -> None:
    """What people add up to is written as a worker publishes it, decay and all."""
    accounts = tmp_path / "a"
    ran = leadpulse(
        "replay", GOLDEN, "--at", "2026-11-25T00:00:00Z", "--accounts", accounts
    )
    told = lines(accounts)

    assert "2 leads, 1 accounts" in ran.err
    assert [line["sequence"] for line in told] == list(range(1, len(told) + 1))
    assert {line["domain"] for line in told} == {"acme.example"}
    scores = leadpulse("replay", GOLDEN, "--at", "2026-11-25T00:00:00Z").out
    best = json.loads(scores.splitlines()[0])["score"]
    assert told[-1]["top"][0]["score"] == best
    assert told[-1]["score"] == pytest.approx(best / 3, abs=0.05)


def test_scores_alone_are_the_same_without_waking_anybody(
    leadpulse: Callable, tmp_path: Path
) -> None:
    """Leaving the updates out changes no score and no alert (wake-ups are hints)."""
    at = ("--at", "2026-11-25T00:00:00Z")
    quick = leadpulse("replay", GOLDEN, *at)
    leadpulse(
        "replay", GOLDEN, *at, "--scores", tmp_path / "s", "--updates", tmp_path / "u"
    )

    assert quick.out == (tmp_path / "s").read_text()
    assert "alerts: 1 cooled, 1 hot" in quick.err


def test_ends_with_the_last_receipt(leadpulse: Callable) -> None:
    """Without an instant the scores are as of the last receipt; later ones count not.

    An earlier instant leaves out what was received after it.
    """
    last = [json.loads(line) for line in leadpulse("replay", GOLDEN).out.splitlines()]
    early = leadpulse("replay", GOLDEN, "--at", "2026-11-01T09:10:00").out

    assert {line["as_of"] for line in last} == {"2026-11-02T09:00:00Z"}
    assert [json.loads(line)["score"] for line in early.splitlines()] == [30.0]


def test_order_in_the_file_does_not_matter(leadpulse: Callable, tmp_path: Path) -> None:
    """Events count in the order of their receipt, wherever they stand."""
    shuffled = tmp_path / "shuffled.ndjson"
    shuffled.write_text("\n".join(reversed(GOLDEN.read_text().splitlines())))

    assert leadpulse("replay", shuffled).out == leadpulse("replay", GOLDEN).out


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("piped", [False, True], ids=["file", "stdin"])
def test_reads_plain_and_gzip_from_file_and_pipe(
    leadpulse: Callable, tmp_path: Path, *, packed: bool, piped: bool
) -> None:
    """However the lines arrive, byte order mark and blank lines too, they count."""
    text = b"\xef\xbb\xbf" + GOLDEN.read_bytes().replace(b"\n", b"\r\n\n")
    data = gzip.compress(text) if packed else text
    path = tmp_path / "with spaces.ndjson"
    path.write_bytes(data)
    ran = leadpulse("replay", "-", stdin=data) if piped else leadpulse("replay", path)

    assert (ran.code, ran.out) == (0, leadpulse("replay", GOLDEN).out)


VISIT = next(line for line in GOLDEN.read_bytes().splitlines() if b"visitor" in line)
BAD = {
    "no JSON": (b"{", "truncated"),
    "no object": (b"[1]", "Expected `object`"),
    "nobody": (
        VISIT.replace(b"visitor", b"null"),
        "no legal identifier",
    ),
    "no time zone": (
        VISIT.replace(b"00Z", b"00"),
        "timezone",
    ),
    "too deep": (b'{"properties":' + b'{"a":' * 9999, "recursion"),
    "no UTF-8": (b'{"id":"\xff"}', "utf-8"),
}


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_line_is_told_by_its_number(
    leadpulse: Callable, tmp_path: Path, bad: str
) -> None:
    """A bad line stops everything before anything is written, unless skipped."""
    line, problem = BAD[bad]
    path, out = tmp_path / "bad.ndjson", tmp_path / "scores"
    path.write_bytes(b"\n" + line + b"\n" + GOLDEN.read_bytes())

    stopped = leadpulse("replay", path, "--scores", out)
    assert stopped.code == 1
    assert stopped.err.startswith("leadpulse: line 2: ")
    assert problem.casefold() in stopped.err.casefold()
    assert not out.exists()

    skipped = leadpulse("replay", path, "--skip-bad")
    assert skipped.code == 0
    assert skipped.err.startswith("leadpulse: line 2: ")
    assert skipped.out == leadpulse("replay", GOLDEN).out


def test_an_empty_file_has_no_leads(leadpulse: Callable, tmp_path: Path) -> None:
    """Nothing in, nothing out, nothing wrong."""
    (tmp_path / "empty").touch()
    ran = leadpulse("replay", tmp_path / "empty")

    assert (ran.code, ran.out) == (0, "")
    assert "0 leads" in ran.err


@pytest.mark.parametrize(
    ("argv", "code", "told"),
    [
        (("nowhere.ndjson",), 1, "cannot read nowhere.ndjson: No such file"),
        ((GOLDEN, "--model", "nowhere.yaml"), 1, "nowhere.yaml: No such file"),
        ((GOLDEN, "--model", GOLDEN), 1, "two_leads.ndjson"),
        ((GOLDEN, "--at", "yesterday"), 2, "2026-11-21T10:00:00Z"),
        ((GOLDEN, "--scores", "/nowhere/x"), 1, "cannot write /nowhere/x"),
        ((), 2, "Missing argument"),
    ],
    ids=["no file", "no model", "bad model", "no instant", "no folder", "no argument"],
)
def test_mistakes_are_one_clear_line(
    leadpulse: Callable, argv: tuple[object, ...], code: int, told: str
) -> None:
    """A mistake says what is wrong, with 1 for a failure and 2 for wrong usage."""
    ran = leadpulse("replay", *argv)

    assert ran.code == code
    assert told in ran.err
    assert "Traceback" not in ran.err


def test_memory_is_by_the_line_not_by_the_byte(tmp_path: Path) -> None:
    """A checked file is held as two numbers a line, whatever the lines hold."""
    path = tmp_path / "many.ndjson"
    path.write_bytes(GOLDEN.read_bytes() * 200)
    with event_files.EventFile.open(str(path)) as source:
        source.check()
        held = source._offsets.buffer_info()[1] + source._receipts.buffer_info()[1]

    assert held == 2 * 9 * 200


def visit(number: int, **who: str) -> str:
    """Return a line of somebody who asks for a demo."""
    at = f"2026-11-21T10:0{number}:00Z"
    deed = {"type": "track", "name": "Demo Requested", "channel": "web"}
    return json.dumps({"id": f"e{number}", "occurred_at": at, **deed, **who})


def test_one_person_is_one_lead(leadpulse: Callable, tmp_path: Path) -> None:
    """What a cookie did is the person's who logs in; taken apart, it is not."""
    events, scores = tmp_path / "events.ndjson", tmp_path / "scores"
    visits = [
        visit(1, anonymous_id="visitor"),
        visit(2, anonymous_id="visitor", user_id="ada"),
        visit(3, anonymous_id="visitor"),
    ]
    events.write_text("\n".join(visits))
    ran = leadpulse("replay", events, "--scores", scores)

    assert "3 events scored, 0 duplicates, 1 leads" in ran.err
    (ada,) = lines(scores)
    assert ada["lead_id"] == ADA
    assert ada["identifiers"] == {
        "email": [],
        "user_id": ["ada"],
        "anonymous_id": ["visitor"],
    }

    unlinked = tmp_path / "unlinked.txt"
    unlinked.write_text("# a kiosk\n\nvisitor\n")
    ran = leadpulse("replay", events, "--scores", scores, "--unlinked", unlinked)
    assert {line["lead_id"] for line in lines(scores)} == {ADA, VISITOR}

    ran = leadpulse("replay", events, "--unlinked", tmp_path / "none")
    assert ran.code != 0
    assert "cannot read the identifiers that never link" in ran.err


def test_tags_may_be_ignored(
    leadpulse: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a deployment ignores what follows a plus, so does a replay."""
    events = tmp_path / "events.ndjson"
    events.write_text(
        "\n".join([visit(1, email="a+b@example.com"), visit(2, email="a@example.com")])
    )
    assert "2 leads" in leadpulse("replay", events).err
    monkeypatch.setenv("LEADPULSE_IGNORE_PLUS_TAGS", "true")
    assert "1 leads" in leadpulse("replay", events).err

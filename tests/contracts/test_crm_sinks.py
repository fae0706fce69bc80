"""What must hold of every sink, against servers that answer as the vendors document."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog
from prometheus_client import REGISTRY, generate_latest

from schemas.score import Identifiers, Reason, ScoreUpdate, Withheld
from scorers.identity import lead_id_of
from streams.sending_policy import Refuse, Retry, Sender, SendingPolicy
from streams.settings import load_settings
from streams.sinks.answers import Answer, Answers, Writer
from streams.sinks.batches import Batches
from streams.sinks.connecting import connect
from streams.sinks.files import read_sink
from streams.sinks.reading import FOREVER
from streams.sinks.rows import Row, Rows
from streams.sinks.waiting import Waiting, WaitingRows
from tests.contracts.crm.server import SECRET, TOKEN, CrmServer, Fault
from tests.contracts.crm.vendors import SECRETS, VENDORS, WEBHOOK_SECRET
from tests.streams.view.records import update

CRMS = [kind for kind in VENDORS if kind != "webhook"]
"""Those that know records; a webhook only tells of them."""
QUICK = SendingPolicy(
    first_wait_seconds=0.001, longest_wait_seconds=0.002, failures_to_open=1_000
)


class Bench:
    """A CRM, and a sink that writes into it."""

    def __init__(
        self, kind: str, folder: Path, *, create: bool = False, timeout: str = "20s"
    ) -> None:
        self.crm: CrmServer = VENDORS[kind]()
        path = folder / "crm.yaml"
        path.write_text(self.crm.yaml(create=create, timeout=timeout), encoding="utf-8")
        self.sink = read_sink(path)
        self.rows = Rows(self.sink)
        self.settings = load_settings({"LEADPULSE_SINK_SECRETS": SECRETS[kind]})
        self.writer: Writer = connect(self.sink, self.settings)

    def row(self, change: ScoreUpdate) -> Row:
        return self.rows.row(change, msgspec.json.encode(change))

    def write(self, *changes: ScoreUpdate) -> Answers:
        return self.writer.write([self.row(each) for each in changes])

    def one(self, change: ScoreUpdate) -> Answer:
        told = self.write(change)
        return told[0] if isinstance(told, list) else told

    def value(self, name: str, source: Any) -> Any:
        return self.crm.value(f"{name}@example.com", source)

    def add(self, *names: str) -> None:
        """Put records there; who takes webhooks makes them."""
        for name in names if self.crm.kind != "webhook" else ():
            self.crm.add(**{self.crm.match: f"{name}@example.com"})


def score_of(name: str, **given: Any) -> ScoreUpdate:
    known = Identifiers(email=(f"{name}@example.com",), user_id=(name,))
    given.setdefault("score", 64.5)
    return update(lead_id=lead_id_of("user_id", name), identifiers=known, **given)


@pytest.fixture(params=list(VENDORS))
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """Every kind of sink."""
    bench = Bench(request.param, tmp_path)
    yield bench
    bench.crm.close()


@pytest.fixture(params=CRMS)
def crm(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """Every kind that knows records."""
    bench = Bench(request.param, tmp_path)
    yield bench
    bench.crm.close()


@pytest.fixture(params=CRMS)
def creating(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """Every kind that makes records, told to make them."""
    bench = Bench(request.param, tmp_path, create=True)
    yield bench
    bench.crm.close()


def test_a_score_stands_in_the_record(bench: Bench) -> None:
    """Score, tier, reasons and the number of the update are what the topic has."""
    bench.add("ada")

    assert bench.one(score_of("ada", sequence=7, tier="gold")) == "written"

    assert float(bench.value("ada", "score")) == 64.5
    assert int(bench.value("ada", "sequence")) == 7
    assert bench.value("ada", "tier") == "gold"
    assert bench.value("ada", "reasons") == "Saw the prices"


def test_what_stands_there_is_not_written_again(crm: Bench) -> None:
    """A repetition costs a look and no write."""
    crm.add("ada")
    crm.one(score_of("ada"))
    crm.crm.asked.clear()

    assert crm.one(score_of("ada")) == "same"
    assert not [each for each in crm.crm.asked if each.method == "PATCH"]


def test_an_older_score_is_never_written_over_a_newer(bench: Bench) -> None:
    """Whatever order updates come in, the largest sequence stays."""
    bench.add("ada")
    bench.one(score_of("ada", sequence=7, score=70.0))

    assert bench.one(score_of("ada", sequence=6, score=10.0)) in {"older", "written"}
    assert float(bench.value("ada", "score")) == 70.0


def test_who_the_crm_does_not_know_is_not_made(crm: Bench) -> None:
    """Without `create` a sink makes no records."""
    assert crm.one(score_of("nobody")) == "unknown"
    assert crm.crm.records == {}


def test_a_record_is_made_once(creating: Bench) -> None:
    """With `create` a lead gets a record, and keeps it."""
    assert creating.write(score_of("ada"), score_of("bob")) == ["created", "created"]
    assert creating.one(score_of("ada", sequence=2, score=20.0)) == "written"

    assert len(creating.crm.records) == 2
    assert float(creating.value("ada", "score")) == 20.0


@pytest.mark.parametrize("kind", [kind for kind in CRMS if kind != "hubspot"])
def test_several_records_of_one_key_are_left_alone(kind: str, tmp_path: Path) -> None:
    """Nobody can say which of two contacts is the person (HubSpot has one only)."""
    bench = Bench(kind, tmp_path)
    try:
        bench.add("ada", "ada")

        assert isinstance(bench.one(score_of("ada")), Refuse)
        assert bench.value("ada", "score") is None
    finally:
        bench.crm.close()


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault(429, {"Retry-After": "7"}), ("rate-limited", 7.0)),
        (Fault(500), ("server-error", None)),
        (Fault(503, {"Retry-After": "120"}, "<html>busy"), ("server-error", 120.0)),
        (Fault(302, {"Location": "http://127.0.0.1:9/"}), None),
        (Fault(drop=True), ("unreachable", None)),
        (Fault(200, {}, "<html>maintenance"), None),
    ],
    ids=["429", "500", "503", "redirect", "dropped", "nonsense"],
)
def test_trouble_is_a_reason_to_try_later(
    bench: Bench, fault: Fault, expected: tuple[str, float | None] | None
) -> None:
    """Nothing raises, `Retry-After` is told on, and the next attempt goes well."""
    bench.add("ada")
    bench.one(score_of("ada"))  # connected, with a token
    bench.crm.faults.append(fault)

    answer = bench.one(score_of("ada", sequence=2, score=20.0))

    if expected is not None:
        assert isinstance(answer, Retry)
        assert (answer.reason, answer.after) == expected
    assert bench.one(score_of("ada", sequence=2, score=20.0)) in {"written", "same"}
    assert float(bench.value("ada", "score")) == 20.0


@pytest.mark.parametrize("kind", list(VENDORS))
def test_a_crm_that_says_nothing_is_not_waited_for(kind: str, tmp_path: Path) -> None:
    """After its time-out a request is given up, for now."""
    bench = Bench(kind, tmp_path, timeout="200ms")
    try:
        bench.add("ada")
        bench.crm.faults.extend([Fault(silent=True)] * 5)

        assert bench.one(score_of("ada")) in (
            Retry("timeout", detail=name)
            for name in ("ReadTimeoutError", "ReadTimeout", "TimeoutError")
        )
    finally:
        bench.crm.close()


def test_an_expired_token_is_got_anew(crm: Bench) -> None:
    """OAuth apps go on at once; a kept secret is tried again later."""
    crm.add("ada")
    crm.one(score_of("ada"))
    crm.crm.tokens.append("another")

    answer = crm.one(score_of("ada", sequence=2, score=20.0))

    if crm.crm.expires:
        assert answer == "written"
        return
    assert isinstance(answer, Retry)
    assert answer.reason == "credentials"
    crm.crm.tokens.append(TOKEN)  # somebody set it right
    assert crm.one(score_of("ada", sequence=2, score=20.0)) == "written"


def test_one_bad_record_spoils_no_other(crm: Bench) -> None:
    """Of a batch that is refused, in whole or in part, the good ones are written."""
    names = [f"n{number}" for number in range(5)]
    crm.add(*names)
    long = Reason(rule="r", group="web", points=1.0, text="far too long " * 40)
    changes = [score_of(name) for name in names]
    changes[3] = msgspec.structs.replace(changes[3], reasons=(long,))
    waiting = WaitingRows(len(names), 0.0)
    for offset, change in enumerate(changes):
        waiting.put(Waiting(crm.row(change), 0, offset, 0, 0.0))
    refused = {"sink": "crm", "result": "refused"}
    before = REGISTRY.get_sample_value("leadpulse_sink_records_total", refused) or 0

    sender = Sender("bad", QUICK, threading.Event())
    Batches("crm", waiting, crm.writer, sender).send(waiting.take(1.0, 0.0))

    written = [name for name in names if crm.value(name, "score") is not None]
    assert written == ["n0", "n1", "n2", "n4"]
    assert waiting.settled() == {0: 5}
    after = REGISTRY.get_sample_value("leadpulse_sink_records_total", refused)
    assert after == before + 1


def test_a_field_that_is_missing_is_the_files_fault(crm: Bench) -> None:
    """Nothing is lost for it: it is named, and tried again until it is there."""
    crm.add("ada")
    source, name = "grade", crm.crm.names["grade"]
    crm.crm.names = {k: v for k, v in crm.crm.names.items() if k != source}

    answer = crm.one(score_of("ada"))

    assert isinstance(answer, Retry)
    assert answer.reason == "misconfigured"
    assert name in answer.detail
    crm.crm.names = {**crm.crm.names, "grade": name}
    assert crm.one(score_of("ada")) == "written"


@pytest.mark.parametrize("why", ["erased", "merged", "no-consent"])
def test_nothing_of_who_is_no_more_stays(bench: Bench, why: str) -> None:
    """Erased, merged or refusing to be scored: the fields are emptied, once."""
    bench.add("ada", "bob")
    change = score_of("ada", sequence=3)
    bench.write(change, score_of("bob"))
    lead = change.lead_id
    if why == "merged":
        gone = bench.row(score_of("ada", sequence=4, merged_into="ld_other"))
    elif why == "no-consent":
        refused = Withheld(purpose="profiling", count=1, text="No", everything=True)
        gone = bench.row(score_of("ada", sequence=4, withheld=(refused,)))
    else:
        gone = bench.rows.gone(lead, FOREVER, "erased")

    assert bench.writer.write([gone]) == ["cleared"]

    record = bench.crm.record("ada@example.com")
    assert record is not None
    left = {source: record.get(name) for source, name in bench.crm.names.items()}
    assert not any(left.values()), left
    assert float(bench.value("bob", "score")) == 64.5
    if bench.crm.kind != "webhook":
        assert bench.writer.write([gone]) == ["unknown"]


def test_what_visitors_call_themselves_is_text(crm: Bench) -> None:
    """A formula or markup in a name is read by nobody's spreadsheet or page."""
    crm.add("ada")
    evil = '=HYPERLINK("http://x")<img src=x onerror=alert(1)>\u202e\x07'
    said = Reason(rule="r", group="web", points=1.0, text=evil)
    change = msgspec.structs.replace(score_of("ada"), reasons=(said,))

    assert crm.one(change) == "written"

    told = crm.value("ada", "reasons")
    assert told.startswith("'=HYPERLINK")
    assert not set("<>\u202e\x07") & set(told)


def test_secrets_are_told_to_nobody(
    bench: Bench, capfd: pytest.CaptureFixture[str]
) -> None:
    """Neither logs, nor answers, nor metrics hold a secret or an address."""
    bench.add("ada")
    faults = [
        Fault(401, {}, f'{{"error": "{SECRET} {TOKEN} ada@example.com"}}'),
        Fault(400, {}, f'[{{"message": "{SECRET} {TOKEN} ada@example.com"}}]'),
        Fault(403, {}, f'{{"message": "{SECRET} {TOKEN} ada@example.com"}}'),
        Fault(500, {}, f"{SECRET} {TOKEN} ada@example.com"),
        Fault(drop=True),
    ]
    answers: list[Any] = []
    with structlog.testing.capture_logs() as logs:
        for fault in faults:
            bench.crm.faults.append(fault)
            answers.append(bench.one(score_of("ada")))
            bench.crm.faults.clear()
        rows = WaitingRows(1, 0.0)
        rows.put(Waiting(bench.row(score_of("ada")), 0, 0, 0, 0.0))
        bench.crm.faults.extend(faults)
        stop = threading.Event()
        sender = Sender("secrets", QUICK, stop)
        Batches("crm", rows, bench.writer, sender).send(rows.take(1.0, 0.0))

    said = capfd.readouterr()
    told = f"{answers} {logs} {said.out} {said.err} {generate_latest().decode()}"
    for secret in (SECRET, TOKEN, WEBHOOK_SECRET, WEBHOOK_SECRET[6:], "ada@example"):
        assert secret not in told
    assert repr(bench.settings).count(SECRET) == 0

"""`leadpulse leads explain`: a lead explained from the workers' own changelog."""

import json
from collections.abc import Callable

import msgspec
import pytest

from schemas.event import Event
from schemas.time import DAY, EARLIEST, HOUR, to_datetime
from schemas.topics import LEAD_STATE, MODEL_VERSIONS
from scorers.compiled import compile_model
from scorers.identity import lead_id_of
from scorers.loading import load_model
from scorers.scorer import on_event, read
from scorers.state import LeadState, encode_state
from streams.clock import SystemClock
from streams.lead_states import ChangelogLeadStates
from streams.model_files import read_model, read_model_text
from streams.model_log import version_of
from streams.partitioner import partition_of
from streams.processes import free_port
from streams.settings import Settings
from streams.state_records import (
    OWNER_KEY,
    VERSION,
    Ownership,
    Stored,
    encode_ownership,
)
from streams.view import connect_view
from tests.streams.view.records import change, update
from tests.worker_harness import put_raw

MODEL = read_model(None)
ADA = lead_id_of("user_id", "ada")


def state_of(user: str, pages: int, *, days_ago: int = 2) -> LeadState:
    """A lead that saw the pricing page so often."""
    state = None
    now = SystemClock().now()
    for number in range(pages):
        event = Event(
            id=f"{user}-{number}",
            type="page",
            channel="web",
            user_id=user,
            properties={"path": "/pricing"},
            occurred_at=to_datetime(now - days_ago * DAY + number * HOUR),
        )
        state = on_event(MODEL, state, event, event.now).state
    assert state is not None
    return state


def store(
    settings: Settings, state: LeadState, *, term: int = 1, owner: int = 0
) -> None:
    """Put a state on the changelog as a worker does."""
    stored = Stored(VERSION, term, owner, {}, encode_state(state), state.wake_at)
    key = state.lead_id.encode()
    partition = partition_of(key, settings.partitions)
    put_raw(
        settings,
        LEAD_STATE,
        msgspec.msgpack.encode(stored),
        key=key,
        partition=partition,
    )


@pytest.fixture
def deployment(topics: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Fresh topics with the states of two leads, found by the command."""
    for name, value in topics.environ().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COLUMNS", "160")
    for partition in range(topics.partitions):
        claim = encode_ownership(Ownership(VERSION, 1, "claim", "w"))
        put_raw(topics, LEAD_STATE, claim, key=OWNER_KEY, partition=partition)
    store(topics, state_of("ada", 1))
    store(topics, state_of("bob", 1))
    store(topics, state_of("ada", 2))
    return topics


@pytest.mark.usefixtures("deployment")
def test_the_latest_state_is_explained(leadpulse: Callable) -> None:
    """Reasons, what is unknown, changes, the way up and the ledger are told."""
    ran = leadpulse("leads", "explain", ADA)

    assert ran.code == 0
    for told in (
        "Saw the pricing page twice, last a day ago", "of 10", "Company size",
        "What changed since yesterday", "gold begins at 60", "“Asked for a demo”",
        "Sum: ",
    ):  # fmt: skip
        assert told in ran.out


@pytest.mark.usefixtures("deployment")
def test_it_is_told_in_persian(leadpulse: Callable) -> None:
    """With --locale fa the sentences, figures and dates are Persian."""
    ran = leadpulse("leads", "explain", ADA, "--locale", "fa")

    assert ran.code == 0
    assert "صفحهٔ قیمت‌ها را دید، ۲ بار، آخرین بار ۱ روز پیش" in ran.out
    assert "What" not in ran.out


def test_programs_get_exact_figures(leadpulse: Callable, deployment: Settings) -> None:
    """The ledger's lines sum to the exact score, which is the published one rounded."""
    ran = leadpulse("leads", "explain", ADA, "--json")
    told = json.loads(ran.out)
    state = ChangelogLeadStates(deployment).get(ADA)
    assert state is not None
    score = read(MODEL, state, SystemClock().now()).score

    assert told["score"] == pytest.approx(score, abs=0.1)
    assert sum(line["points"] for line in told["ledger"]) == pytest.approx(told["sum"])
    assert told["sum"] == pytest.approx(told["score"], abs=0.05)
    assert told["reasons"][0]["count"] == 2
    assert told["reasons"][0]["before_decay"] == 10
    assert "employees" in told["unknown"]
    assert told["model"]["name"] == "default"


def test_it_is_told_by_the_model_in_force(
    leadpulse: Callable, deployment: Settings
) -> None:
    """What was published counts, not the file, and a moved threshold is said."""
    text = read_model_text(None)[0].replace("Saw the pricing page", "Eyed the prices")
    now = SystemClock().now()
    model = compile_model(load_model(text, "default.yaml"))
    for version in (
        version_of(model, text, now=now - DAY, at=EARLIEST),
        version_of(model, "", now=now, at=now - 1, thresholds={"hot-lead": 71.0}),
    ):
        value = msgspec.json.encode(version)
        put_raw(deployment, MODEL_VERSIONS, value, key=b"v", partition=0)

    ran = leadpulse("leads", "explain", ADA)

    assert "Eyed the prices twice" in ran.out
    assert "hot-lead begins at 71 points now, not at 60" in ran.out


def test_what_a_former_owner_wrote_late_does_not_count(deployment: Settings) -> None:
    """Of two states the later owner's is told, as a worker would recover it."""
    store(deployment, state_of("eve", 2), term=3, owner=9)
    store(deployment, state_of("eve", 1), term=2, owner=5)
    state = ChangelogLeadStates(deployment).get(lead_id_of("user_id", "eve"))

    assert state is not None
    assert len(state.rules["pricing-page"].entries) == 2


@pytest.mark.usefixtures("deployment")
def test_an_address_is_looked_up_in_the_view(
    leadpulse: Callable,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
    topics: Settings,
) -> None:
    """A lead is found by what it is known by, and `show --locale` explains it, too."""
    monkeypatch.setenv("LEADPULSE_REDIS_URL", redis_url)
    view = connect_view(redis_url, prefix=topics.topic_prefix)
    assert view.write(view.build(), [change(update(at=SystemClock().now()))], {})

    explained = leadpulse("leads", "explain", "ada")
    shown = leadpulse("leads", "show", "ada", "--locale", "en")
    plain = leadpulse("leads", "show", "ada")
    data = json.loads(leadpulse("leads", "show", "ada", "--locale", "fa", "--json").out)

    assert "Saw the pricing page twice" in explained.out
    assert "How the score adds up" in shown.out
    assert "How the score adds up" not in plain.out
    assert data["explanation"]["locale"] == "fa"


@pytest.mark.usefixtures("deployment")
def test_a_stranger_is_one_line(leadpulse: Callable) -> None:
    """A lead without a state is told as such."""
    ran = leadpulse("leads", "explain", lead_id_of("user_id", "nobody"))

    assert ran.code == 1
    assert "no lead is known as ld_" in ran.err
    assert ran.err.count("\n") == 1


def test_a_state_of_another_version_is_one_line(
    leadpulse: Callable, deployment: Settings
) -> None:
    """What this version cannot read is said, not guessed."""
    partition = partition_of(ADA.encode(), deployment.partitions)
    put_raw(deployment, LEAD_STATE, b"\xc1", key=ADA.encode(), partition=partition)
    ran = leadpulse("leads", "explain", ADA)

    assert ran.code == 1
    assert "cannot read the state of" in ran.err
    assert ran.err.count("\n") == 1


def test_no_broker_is_one_line(
    leadpulse: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker that is away is named by its address."""
    address = f"127.0.0.1:{free_port()}"
    monkeypatch.setenv("LEADPULSE_BOOTSTRAP", address)
    ran = leadpulse("leads", "explain", ADA)

    assert ran.code == 1
    assert f"no broker answers at {address}" in ran.err
    assert ran.err.count("\n") == 1

"""Which account a lead belongs to, and what it tells that account."""

from datetime import timedelta
from typing import Any

import pytest

from schemas.account import MemberUpdate
from schemas.event import Event
from schemas.time import DAY, HOUR, MINUTE, Instant, to_datetime
from scorers.belonging import account_id_of, leave
from scorers.compiled import CompiledModel, compile_model
from scorers.free_mail import FREE_MAIL, company_domain
from scorers.loading import ModelError, load_model
from scorers.memory import born
from scorers.scorer import on_event, on_retract, on_wakeup
from scorers.state import LeadState, decode_state, encode_state
from scorers.step import Step

START: Instant = 20_458 * DAY + 9 * HOUR

TEXT = """\
model: test
version: "1"
groups:
  web:
    cap: 20
    decay: {half_life: 14d}
    rules: [{name: page, when: {type: page}, points: 5}]
tiers: [{name: bronze, at: 10}]
"""
ACCOUNTS = """\
accounts:
  alerts:
    - {name: group, kind: account-surge, people: 3, within: 1h, each: {points: 5}}
"""
PLAIN = compile_model(load_model(TEXT, "plain.yaml"))
MODEL = compile_model(load_model(TEXT + ACCOUNTS, "accounts.yaml"))


class Lead:
    """A lead to which things happen, a minute apart unless said otherwise."""

    def __init__(self, model: CompiledModel = MODEL) -> None:
        self.model = model
        self.state: LeadState | None = None
        self.now = START
        self.count = 0

    def do(self, kind: str = "page", at: Instant | None = None, **more: Any) -> Step:
        self.count += 1
        self.now += MINUTE
        happened = self.now if at is None else at
        event = Event(
            id=more.pop("id", f"e-{self.count}"),
            type=kind,  # type: ignore[arg-type]
            channel="web" if kind in {"page", "track"} else "crm",
            occurred_at=to_datetime(happened),
            received_at=to_datetime(self.now),
            **{"user_id": "u-1", **more},
        )
        step = on_event(self.model, self.state, event, event.now)
        self.state = step.state
        return step


def at_company(lead: Lead, email: str = "ada@example.com") -> Step:
    return lead.do("identify", email=email)


@pytest.mark.parametrize(
    ("traits", "email", "known_by"),
    [
        # what the CRM says comes first
        ({"account_id": "crm-1"}, "ada@example.com", ("account", "crm-1")),
        ({"account_id": 7}, None, ("account", "7")),
        # what broken trackers send is no account
        ({"account_id": "null"}, "ada@example.com", ("domain", "example.com")),
        # then the company's domain, however it is written
        ({}, "Ada@EXAMPLE.com", ("domain", "example.com")),
        # a free mailbox says nothing of a company
        ({}, "ada@gmail.com", None),
        ({"account_id": "crm-1"}, "ada@gmail.com", ("account", "crm-1")),
        ({}, "ada@localhost", None),
        ({}, None, None),
    ],
)
def test_which_account_a_lead_belongs_to(
    traits: dict[str, Any], email: str | None, known_by: tuple[str, str] | None
) -> None:
    """The account that is named counts, else the company's mail domain."""
    (update,) = Lead().do("identify", traits=traits, email=email).updates

    assert update.account_id == (None if known_by is None else account_id_of(*known_by))


def test_an_account_id_is_stable_and_hides_what_it_is_made_of() -> None:
    """The id is the same everywhere, for ever: it is the key on the topics."""
    assert account_id_of("domain", "example.com") == (
        "ac_7c0cac0702fdb7c5f44e9cb6ad822f61"
    )
    assert account_id_of("account", "example.com") != account_id_of(
        "domain", "example.com"
    )


def test_the_company_address_counts_even_if_the_private_one_is_later() -> None:
    """A person who writes from home still belongs to the company."""
    lead = Lead()
    (before,) = at_company(lead).members
    at_company(lead, "ada@gmail.com")

    assert lead.state is not None
    assert lead.state.account_id == before.account_id


def test_free_mail_is_known_in_small_letters() -> None:
    """The list holds what everybody uses, and none of it as a company."""
    assert {"gmail.com", "yahoo.co.uk", "gmx.de", "qq.com", "hey.com"} <= FREE_MAIL
    assert all(domain == domain.casefold() for domain in FREE_MAIL)
    assert all(company_domain(domain.upper()) is None for domain in FREE_MAIL)


def test_a_model_names_further_domains_that_are_no_company() -> None:
    """Local providers, and the company's own people, make no account."""
    further = ACCOUNTS + "  free_mail: ['@Post.Example']\n"
    staff = "machine_traffic: {staff: {domains: [corp.example]}}\n"
    model = compile_model(load_model(TEXT + further + staff, "further.yaml"))

    def account(email: str) -> str | None:
        return at_company(Lead(model), email).state.account_id

    assert account("ada@post.example") is None
    assert account("ada@box.post.example") is None
    assert account("ada@mail.corp.example") is None
    assert account("ada@compost.example") == account_id_of("domain", "compost.example")
    for wrong in ("ada@post.example", "localhost", "a b.example"):
        with pytest.raises(ModelError, match="as it stands behind the @"):
            load_model(f"{TEXT}{ACCOUNTS}  free_mail: ['{wrong}']\n", "wrong.yaml")


def test_a_lead_tells_its_account_where_it_stands() -> None:
    """A change of the score goes to the account with all that it needs to know."""
    lead = Lead()
    at_company(lead)
    step = lead.do(properties={"path": "/pricing"})

    (told,) = step.members
    assert told.account_id == account_id_of("domain", "example.com")
    assert (told.lead_id, told.sequence) == (step.state.lead_id, 2)
    assert (told.score, told.domain, told.name) == (5, "example.com", "example.com")
    assert told.as_of == to_datetime(lead.now)
    assert [(sign.at, sign.points) for sign in told.signs] == [
        (to_datetime(lead.now), 5)
    ]
    assert told.active_at == to_datetime(lead.now)
    assert told.active_days == 1
    assert told.last_event is not None
    assert told.last_event.detail == "/pricing"


def test_activity_is_told_even_if_the_score_stays() -> None:
    """At its cap a score moves no more, but the person is still active."""
    lead = Lead()
    at_company(lead)
    for _ in range(5):
        step = lead.do(properties={"path": "/"}, at=START)

    assert step.updates == ()
    assert [len(each.signs) for each in step.members] == [5]


def test_a_lead_without_an_account_tells_nobody() -> None:
    """An anonymous visitor is in no account, and tells none."""
    assert Lead().do().members == ()


def test_without_accounts_in_the_model_nobody_is_told() -> None:
    """Where nothing is added up, nothing is said."""
    lead = Lead(PLAIN)
    at_company(lead)

    assert lead.do().members == ()
    assert lead.state is not None
    assert lead.state.account_id == account_id_of("domain", "example.com")


def test_a_repeated_event_tells_nothing() -> None:
    """A duplicate changes nothing, so there is nothing to tell."""
    lead = Lead()
    at_company(lead)
    lead.do(id="once")

    assert lead.do(id="once").members == ()


def test_a_lead_that_moves_leaves_its_old_account() -> None:
    """The old account hears of the leaving in the step in which the new one hears."""
    lead = Lead()
    at_company(lead)
    step = lead.do("group", traits={"account_id": "crm-1"})

    left, joined = step.members
    assert (left.account_id, left.left) == (
        account_id_of("domain", "example.com"),
        True,
    )
    assert (joined.account_id, joined.left) == (
        account_id_of("account", "crm-1"),
        False,
    )
    assert left.sequence < joined.sequence
    assert [each.account_id for each in step.updates] == [joined.account_id]


def test_a_lead_that_is_erased_can_take_its_leave() -> None:
    """Whoever removes a lead sends one last word in its name."""
    lead = Lead()
    at_company(lead)
    assert lead.state is not None
    assert lead.state.account_id is not None

    last = leave(lead.state, lead.state.account_id, lead.now)

    assert (last.left, last.sequence) == (True, 2)


def test_time_is_told_too() -> None:
    """When decay moves the score, the account hears of it."""
    lead = Lead()
    at_company(lead)
    lead.do()
    assert lead.state is not None
    assert lead.state.wake_at is not None
    step = on_wakeup(MODEL, lead.state, lead.state.wake_at)

    assert [each.score for each in step.members] == [step.updates[-1].score]


def test_withdrawn_events_are_no_signs_of_life() -> None:
    """After a retraction the account hears that it follows one, and what is left."""
    lead = Lead()
    at_company(lead)
    lead.do(id="human")
    lead.do(id="machine")
    assert lead.state is not None
    (told,) = on_retract(MODEL, lead.state, ["machine"], lead.now).members

    assert told.withdrawn
    assert len(told.signs) == 1
    assert told.score == 5


def test_machine_traffic_is_no_sign_of_life() -> None:
    """What a scanner does makes no person active."""
    lead = Lead()
    at_company(lead)
    lead.do(properties={"machine": True})

    assert lead.state is not None
    assert lead.state.signs == ()
    assert lead.state.days == (0, 0)


def test_old_signs_are_forgotten_and_late_ones_not_taken() -> None:
    """Signs of life are kept as long as a surge may ask for them, by event time."""
    lead = Lead()
    at_company(lead)
    lead.do()
    lead.now += 2 * HOUR
    lead.do(at=lead.now - 90 * MINUTE)
    step = lead.do()

    (told,) = step.members
    assert [sign.at for sign in told.signs] == [to_datetime(lead.now)]


def test_days_of_activity_do_not_hang_on_the_order() -> None:
    """Days are told by event time: the same bits in whatever order they came."""
    days = [0, 3, 1, 3, 60, 58]

    def bits(order: list[int]) -> MemberUpdate:
        lead = Lead()
        lead.now = START + 61 * DAY
        at_company(lead)
        for day in order:
            (told,) = lead.do(at=START + day * DAY).members
        return told

    assert bits(days).active_days == bits(sorted(days)).active_days == 0b101
    assert bits(days[:4]).active_days == 0b1101
    assert bits(days[:4]).active_at == to_datetime(START) + timedelta(days=3)


def test_a_stored_lead_remembers_its_account() -> None:
    """The new fields survive the store; a state from before them still decodes."""
    lead = Lead()
    at_company(lead)
    lead.do()
    assert lead.state is not None
    assert decode_state(encode_state(lead.state)) == lead.state

    fresh = born(
        Event(
            id="e",
            type="page",
            channel="web",
            occurred_at=to_datetime(START),
            user_id="u",
        )
    )
    assert fresh.account_id is None

"""The delivery file: mistakes with their place, and what routes decide."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from schemas.alert import Alert
from schemas.time import HOUR, to_instant
from scorers.document import read_document
from scorers.identity import lead_id_of
from scorers.loading import ModelError
from streams.cli.delivery import app
from streams.delivery.files import json_schema, load_delivery, shipped_file
from streams.delivery.language import Digest
from streams.delivery.routing import Router, next_digest
from tests.streams.delivery.alerts import T0, alert

WRONG = """\
zone: Europe/Berln
links: {lead: "https://x.example/{lead}"}
people:
  dana: {emial: d@x.example}
targets:
  s: {kind: slak, channel: C1}
  m: {kind: email, host: h, sender: a@b.example, to: [dan]}
  t: {kind: slack, chanel: C123}
routes:
  - name: a
    when: {kind: [hott]}
    to: [m, s]
  - name: a
    to: mm
"""
RIGHT = """\
people:
  dana:
    email: dana@sales.example
    owns: [dana, "0055"]
    team: dach
    quiet_hours: {from: "20:00", to: "08:00", zone: Europe/Berlin}
  reza: {email: reza@sales.example, team: iran, language: fa, zone: Asia/Tehran}
targets:
  chat: {kind: slack, channel: C024BE91L}
  mail: {kind: email, host: smtp.example, sender: bot@sales.example}
  boss: {kind: email, host: smtp.example, sender: bot@sales.example, to: [dana, reza]}
  calm: {kind: terminal, digest: {at: "08:30", zone: Europe/Berlin}}
routes:
  - {name: late, when: {kind: unworked}, to: [boss], last: false}
  - {name: tests, when: {workspace: playground}, to: []}
  - {name: dach, when: {traits: {country: [de, at]}, tier: gold}, to: [chat, mail]}
  - {name: iran, when: {team: iran}, to: mail}
  - {name: acme, when: {account: acme.example}, to: calm}
  - {name: ours, when: {owner: none, stage: decision}, to: boss}
  - {name: asked, when: {route: vip, alert: hot-lead}, to: boss}
"""


def test_every_mistake_is_told_with_its_place_and_a_way_out() -> None:
    """File, line, path and what was probably meant, all at once."""
    with pytest.raises(ModelError) as caught:
        load_delivery(WRONG, "delivery.yaml")

    told = str(caught.value)
    for line in (
        "delivery.yaml:1:7: zone: there is no time zone 'Europe/Berln'",
        "delivery.yaml:2:15: links.lead: there is no {lead} here",
        "people.dana.emial: there is no key 'emial' here: did you mean 'email'?",
        "targets.s.kind: must be one of slack, email",
        "did you mean 'slack'?",
        "targets.m.to[0]: there is nobody called 'dan' among the people: did you mean",
        "targets.t.chanel: there is no key 'chanel' here: did you mean 'channel'?",
        "routes[0].when.kind[0]: must be one of hot",
        "routes[1].name: there is another route called 'a'",
        "routes[1].to: there is no target 'mm': did you mean 'm'?",
    ):
        assert line in told


def test_the_shipped_file_and_the_schema_agree() -> None:
    """What is shipped loads, and editors find nothing wrong with it either."""
    text = shipped_file().read_text("utf-8")
    schema = json_schema()

    load_delivery(text, "shipped")
    Draft202012Validator.check_schema(schema)
    assert not [*Draft202012Validator(schema).iter_errors(read_document(text).data)]
    assert [*Draft202012Validator(schema).iter_errors(read_document(WRONG).data)]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, {"chat": "dach", "mail": "dach"}),
        ({"tier": "silver"}, {}),
        ({"kind": "unworked"}, {"boss": "late", "chat": "dach", "mail": "dach"}),
        ({"traits": {}, "owner": "reza"}, {"mail": "iran"}),
        ({"traits": {}, "owner": "REZA "}, {"mail": "iran"}),
        ({"traits": {"company": "Acme.example"}}, {"calm": "acme"}),
        ({"traits": {}, "owner": None, "stage": "Decision"}, {"boss": "ours"}),
        ({"traits": {}, "route": "vip"}, {"boss": "asked"}),
        ({"lead_id": lead_id_of("user_id", "ada", "playground")}, {}),
    ],
    ids=[
        "territory",
        "tier",
        "kind-and-on",
        "team",
        "owner-any-case",
        "account",
        "nobody-s",
        "route-of-the-policy",
        "workspace",
    ],
)
def test_the_first_route_that_fits_decides(
    given: dict[str, Any], told: dict[str, str]
) -> None:
    """An alert goes to the targets of its route; routes may let others look too."""
    router = Router(load_delivery(RIGHT, "delivery.yaml"))

    assert router.targets(alert(**given)) == told


def _at(text: str) -> int:
    return to_instant(datetime.fromisoformat(text).replace(tzinfo=UTC))


def test_quiet_hours_are_of_the_person_in_their_place() -> None:
    """A mail waits for the morning where its reader is; a channel does not."""
    router = Router(load_delivery(RIGHT, "delivery.yaml"))
    targets = router.file.targets
    night, one = _at("2026-11-21T22:00"), alert(owner="0055")
    people = router.people(targets["mail"], one)

    assert people == ("dana",)
    mail = router.plan(targets["mail"], one, people, night)
    chat = router.plan(targets["chat"], one, people, night)
    assert (mail.due_at, mail.why) == (_at("2026-11-22T07:00"), "quiet-hours")
    assert (chat.due_at, chat.why) == (night, "")


def test_a_digest_comes_at_its_hours_on_its_days() -> None:
    """Friday evening's comes on Monday; only what may wait waits."""
    router = Router(load_delivery(RIGHT, "delivery.yaml"))
    calm = router.file.targets["calm"]
    friday = _at("2026-11-20T18:00")
    may_wait: Alert = alert(digest=True)

    plan = router.plan(calm, may_wait, (), friday)
    assert (plan.due_at, plan.digest) == (_at("2026-11-23T07:30"), True)
    assert not router.plan(calm, alert(), (), friday).digest
    twice = Digest.model_validate({"at": ["16:00", "09:00"], "days": ["sat"]})
    assert next_digest(twice, "UTC", T0) == T0 + 6 * HOUR


def test_the_command_checks_a_file_and_its_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """0 for a right file, 1 and every line for a wrong one; secrets are not shown."""
    right, wrong = tmp_path / "right.yaml", tmp_path / "wrong.yaml"
    right.write_text(RIGHT, "utf-8")
    wrong.write_text(WRONG, "utf-8")
    run = CliRunner().invoke

    refused = run(app, ["check", str(wrong)])
    assert refused.exit_code == 1
    assert "did you mean 'slack'?" in refused.output
    secretless = run(app, ["check", str(right)])
    assert secretless.exit_code == 1
    assert "chat needs the bot's token" in secretless.output
    monkeypatch.setenv("LEADPULSE_DELIVERY_SECRETS", "chat=xoxb-secret\nnobody=x")
    assert "there is no target 'nobody'" in run(app, ["check", str(right)]).output
    monkeypatch.setenv("LEADPULSE_DELIVERY_SECRETS", "chat=xoxb-secret")
    fine = run(app, ["check", str(right)])
    assert fine.exit_code == 0, fine.output
    assert "4 targets, 7 routes, 2 people" in fine.output
    assert "xoxb" not in fine.output

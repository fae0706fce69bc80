"""Funnels: tables of leads become events, and tell no outcome before its time."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from schemas.time import DAY, to_instant
from streams.learning.contenders import (
    NAIVE_BAYES,
    NAIVE_BAYES_BY_AGE,
    Known,
    contenders,
)
from streams.learning.design import design_of
from streams.learning.evaluating import decided, folds_of
from streams.learning.funnels import (
    FunnelError,
    find_funnel,
    funnel_events,
    shipped_funnels,
)
from streams.learning.measuring import difference
from streams.learning.sources import source_of
from tests.shared_data import shared_data

OUTCOMES = {"Deal Won", "Deal Lost"}


def test_shipped_funnels_are_right() -> None:
    """Each has a table, a mapping and a model that can be used; others are told so."""
    assert shipped_funnels() == ["maven-pipeline", "uci-bank", "x-education"]
    for name in shipped_funnels():
        assert find_funnel(name).funnel.funnel == name
    with pytest.raises(FunnelError, match="there is no funnel 'acme'; there is maven"):
        find_funnel("acme")


def test_a_missing_table_is_told(tmp_path: Path) -> None:
    """Whoever names the wrong folder reads which file was looked for."""
    with pytest.raises(FunnelError, match=r"cannot read .*x_education_leads.csv"):
        funnel_events(find_funnel("x-education"), tmp_path)


def test_opportunities_become_events_and_outcomes() -> None:
    """Joined tables say who the company is; outcomes come later, with amounts."""
    data = shared_data("leads", "maven_crm")

    events = funnel_events(find_funnel("maven-pipeline"), data)

    names = Counter(event.name or event.type for event in events)
    assert names == {"identify": 8300, "Deal Won": 4238, "Deal Lost": 2473}
    began = {event.user_id: event for event in events if event.type == "identify"}
    for event in events:
        if event.name in OUTCOMES:
            assert event.now > began[event.user_id].now
        else:
            assert not {"amount", "close_value", "deal_stage"} & set(event.traits)
    pro = next(e for e in began.values() if e.traits["product"] == "GTXPro")
    assert pro.traits["deal_value"] == 4821  # spelt otherwise in its own table
    won = [event.properties["amount"] for event in events if event.name == "Deal Won"]
    assert round(sum(won)) == 10_005_534


def a_small_funnel(folder: Path, *lines: str) -> Path:
    """Write a funnel of 240 deals, one begun every day, whose end tells its age.

    Half of them are lost within ten days, and the other half is won after five weeks.
    What sales note of the end stands in the table, too.
    """
    (folder / "funnel.yaml").write_text(
        "\n".join(["funnel: small", "file: deals.csv", "decide_after: 1h", *lines]),
        "utf-8",
    )
    (folder / "mapping.yaml").write_text(
        """mapping: small
common:
  user_id: deal
  occurred_at: began
events:
  - {when: began, type: identify, channel: crm, traits: {size: size}}
  - {when: end == 'won', name: Deal Won, occurred_at: ended}
  - {when: end == 'lost', name: Deal Lost, occurred_at: ended}
  - {when: end, type: identify, occurred_at: ended, traits: {planted: end}}
""",
        "utf-8",
    )
    (folder / "model.yaml").write_text(
        """model: small
version: "1"
groups:
  fit:
    cap: 60
    rules:
      - {name: size, where: {traits.size: large}, points: 10}
      - {name: planted, where: {traits.planted: won}, points: 40}
  age:
    cap: 40
    rules:
      - name: old
        absence: {after: {type: identify}, unless: {event: Deal Won}, within: 14d}
        points: 5
tiers: [{name: gold, at: 20}]
""",
        "utf-8",
    )
    rows = ["deal,began,size,end,ended"]
    began = datetime(2026, 1, 1, tzinfo=UTC)
    for number in range(240):
        lasts, end = ((2 + number % 9, "lost"), (35, "won"))[number % 2]
        first = began + timedelta(days=number)
        last = first + timedelta(days=lasts, hours=5)
        size = ("large", "small")[number // 2 % 2]
        rows.append(f"d{number},{first.isoformat()},{size},{end},{last.isoformat()}")
    (folder / "deals.csv").write_text("\n".join(rows), "utf-8")
    return folder


def test_open_deals_are_judged_again_and_again(tmp_path: Path) -> None:
    """A deal is looked at while it is open, by what was known then and how long it is.

    What is written with the outcome is seen at none of the instants, and instants at
    which the table misses those that had ended, or have not, are left out.
    """
    folder = a_small_funnel(tmp_path, "decide_every: 7d")

    source = source_of(
        str(folder), model=None, data=folder, instants=None, horizon=None, split=None
    )

    whys = Counter(each.snapshot.why for each in source.examples)
    assert whys["scheduled"] > whys["first"] > 100
    first = to_instant(datetime(2026, 1, 3, 5, tzinfo=UTC))  # the first was lost then
    for each in source.examples:
        shot, verdict = each.snapshot, each.verdict
        assert verdict is not None
        assert shot.at < verdict.at
        assert "planted" not in shot.known
        assert "planted" not in shot.points
        assert ("old" in shot.points) == (shot.known["days known"] >= 14)
        assert first <= shot.at <= source.until - 20 * DAY
    once = source_of(
        str(folder),
        model=None,
        data=folder,
        instants=None,
        every=0,
        horizon=None,
        split=None,
    )
    assert Counter(each.snapshot.why for each in once.examples) == {"first": 240}
    assert not any("days known" in each.snapshot.known for each in once.examples)


def test_odoos_naive_bayes_does_not_know_how_long_a_deal_is_open(
    tmp_path: Path,
) -> None:
    """A second one does, and ranks by it; no deal is learnt from and judged by."""
    folder = a_small_funnel(tmp_path, "decide_every: 7d")
    source = source_of(
        str(folder), model=None, data=folder, instants=None, horizon=None, split=None
    )
    design = design_of(source.model, decided(source.examples))
    ways = dict(contenders(Known(source.examples), design.won))

    for learn, judge in folds_of(design, "cross-validated"):
        assert not {*design.leads[learn]} & {*design.leads[judge]}
        ageless = ways[NAIVE_BAYES](learn, judge)
        assert len(np.unique(ageless)) == 2  # large and small
        by_age = ways[NAIVE_BAYES_BY_AGE](learn, judge)
        assert difference(by_age, ageless, design.won[judge], draws=20).low > 0.1


def test_an_interval_of_looking_must_be_a_duration(tmp_path: Path) -> None:
    """Who writes nonsense reads what is wrong and where."""
    folder = a_small_funnel(tmp_path, "decide_every: now and then")

    with pytest.raises(FunnelError, match=r"funnel.yaml:4:.*decide_every"):
        find_funnel(str(folder))

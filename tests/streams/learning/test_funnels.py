"""Funnels: tables of leads become events, and tell no outcome before its time."""

from collections import Counter
from pathlib import Path

import pytest

from streams.learning.funnels import (
    FunnelError,
    find_funnel,
    funnel_events,
    shipped_funnels,
)
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

"""A rule's own maximum and dormancy count when points are learnt."""

import numpy as np

from schemas.time import DAY
from scorers.compiled import compile_model
from scorers.loading import load_model
from scorers.outcomes import Verdict
from scorers.snapshots import Example, Snapshot
from streams.learning.contenders import Known
from streams.learning.design import design_of
from streams.learning.points import recalibrate
from streams.learning.proposals import propose

TEXT = """\
model: limits
version: "1"
decimals: 0
groups:
  web:
    cap: 60
    rules:
      - {name: page, when: {event: Page}, points: 5, max: 10}
      - {name: demo, when: {event: Demo}, points: 20}
  fit:
    cap: 40
    rules:
      - {name: lead, where: {traits.lead: true}, points: 20}
dormancy:
  - {name: asleep, groups: [web], first: 30d, factor: 0.5}
tiers:
  - {name: gold, at: 30}
"""
MODEL = compile_model(load_model(TEXT, "limits"))


def leads(count: int) -> list[Example]:
    """Return leads who saw pages, half of them asleep, the awake won more often."""
    chosen = np.random.default_rng(5)
    found = []
    for place in range(count):
        pages, demo = 5.0 * chosen.integers(0, 3), 20.0 * (chosen.random() < 0.4)
        kept = 0.5 if place % 2 else 1.0
        web = (pages + demo) * kept
        odds = -2 + web / 8
        at = place * DAY
        found.append(
            Example(
                snapshot=Snapshot(
                    lead_id=f"ld_{place}",
                    at=at,
                    why="first",
                    score=20 + web,
                    tier="gold",
                    groups={"web": web, "fit": 20.0},
                    points={"page": pages, "demo": demo, "lead": 20.0},
                    model=MODEL.digest,
                ),
                verdict=Verdict(
                    won=bool(chosen.random() < 1 / (1 + np.exp(-odds))), at=at + 1
                ),
            )
        )
    return found


def test_what_is_reckoned_is_what_the_core_said() -> None:
    """With the points as they are the matrix gives every lead the score it had."""
    design = design_of(MODEL, leads(200))

    assert set(design.kept[:, 0].tolist()) == {0.5, 1.0}
    assert np.allclose(design.scored(design.points), design.score)


def test_a_maximum_moves_with_its_points() -> None:
    """A draft lets a rule count as often as before, whatever its points become."""
    design = design_of(MODEL, leads(1_500))
    found = recalibrate(design, strength=1.0)

    page = propose(TEXT, design, found).model.source.groups["web"].rules[0]

    assert page.points != 5
    assert page.max == 2 * float(found.points[0])


def test_a_log_without_properties_is_judged_by_its_rules() -> None:
    """Where nothing else was kept, others see what each rule gave."""
    known = Known(leads(20))

    assert known.rules == {"demo", "lead", "page"}
    assert list(known.numbers) == ["demo", "lead", "page"]

"""What the studio knows of a draft: right or wrong, its effect, its tests."""

from pathlib import Path

import pytest

from schemas.time import DAY
from scorers.compiled import compile_model
from scorers.loading import ModelError, load_model
from streams.learning.gate import write_draft
from streams.learning_gate import Gate, RefusedError, gate_of
from streams.model_files import shipped_model
from streams.web.reading.drafts import (
    adjusted,
    check,
    effect,
    life_of,
    run_timelines,
)
from streams.web.reading.model_words import model_words
from streams.web.reading.shadows import Shadow, ShadowMove, held_against
from tests.streams.web.seeding import browsed

TEXT = shipped_model().read_text("utf-8")
NOW = 1_795_255_200_000


def test_a_wrong_draft_names_every_problem_and_its_line() -> None:
    """Each with a line to go to, and what was probably meant."""
    wrong = TEXT.replace("half_life:", "halflife:", 1).replace(
        "\ntiers:", "\nteirs:", 1
    )
    found = check(wrong)
    assert not found.valid
    meant = {each.suggestion: each.line for each in found.problems}
    assert meant["tiers"] == wrong[: wrong.index("\nteirs:")].count("\n") + 2
    assert check("").problems
    assert check("a: [").problems


def test_a_right_draft_says_whether_it_is_in_force() -> None:
    """The digest is of the meaning: another comment is the same model."""
    found = check(TEXT)
    assert (found.valid, found.rules > 40, found.same) == (True, True, False)
    assert check(f"# a remark\n{TEXT}", found.digest).same


def test_other_points_leave_the_rest_as_it_was_written() -> None:
    """Comments stay; a rule that is unknown or has no single number stays, too."""
    changed = adjusted(TEXT, {"pricing-page": 8.0, "company-size": 3.0, "nobody": 1.0})
    before, after = TEXT.splitlines(), changed.splitlines()
    other = [pair for pair in zip(before, after, strict=True) if pair[0] != pair[1]]
    assert len(other) == 1
    assert "8" in other[0][1]
    words = model_words(load_model(changed, "x"), "fa")
    rules = {rule.name: rule for group in words.groups for rule in group.rules}
    assert rules["pricing-page"].number == 8
    assert rules["company-size"].number is None
    with pytest.raises(ModelError):
        adjusted("nothing: here", {})


def test_the_effect_says_who_moves_and_how_many_are_told() -> None:
    """Dearer prices move leads up; the same model moves nobody."""
    events = [event for _, _, event in browsed(25, NOW)]
    present = compile_model(load_model(TEXT, "x"))
    dearer = compile_model(load_model(adjusted(TEXT, {"pricing-page": 20.0}), "x"))
    before = life_of(present, events)
    same = effect(before, life_of(present, events), len(events))
    assert (same.changed, same.gained, same.lost) == (0, 0, 0)
    found = effect(before, life_of(dearer, events), len(events))
    assert found.changed == sum(each.leads for each in found.moves) > 0
    assert all(each.score_after > each.score_before for each in found.examples)
    assert sum(found.after.tiers.values()) == found.leads
    assert found.days * DAY > 0


def test_timelines_hold_or_say_what_was_expected() -> None:
    """A test that fails names the instant, and a wrong file its lines."""
    tests = """
tests:
  - name: a demo is worth something
    events: [{at: 0s, track: Demo Requested}]
    expect: [{at: 1s, score: {gte: 10}}, {at: 2s, score: 99}]
"""
    model = compile_model(load_model(TEXT, "x"))
    found = run_timelines(model, tests, "tests")
    assert (found.run, found.failed) == (1, 1)
    (miss,) = found.outcomes[0].misses
    assert (miss.what, miss.expected) == ("score", "99")
    broken = run_timelines(model, "tests: 5", "tests")
    assert broken.problems
    assert broken.run == 0


def test_a_draft_that_was_judged_worse_is_refused(tmp_path: Path) -> None:
    """By its digest, wherever it lies; a person's own draft is nobody's to refuse."""
    model = compile_model(load_model(TEXT, "x"))
    gate = Gate(
        digest=model.digest, against="x", better=False, why="worse", examples=100
    )
    assert gate_of(model, (tmp_path,)) is None
    write_draft(tmp_path / "draft.yaml", TEXT, gate)
    (tmp_path / "other.gate.json").write_text("no gate", "utf-8")
    with pytest.raises(RefusedError, match="this draft is refused"):
        gate_of(model, (tmp_path,))


def test_a_shadow_is_held_against_leads_that_both_scored() -> None:
    """The furthest apart first; who is in the same tier is only counted."""

    def move(name: str, score: float, tier: str) -> ShadowMove:
        return ShadowMove(
            lead_id=name, score=0, shadow_score=score, tier="", shadow_tier=tier
        )

    moves = (move("a", 70, "gold"), move("b", 20, "none"), move("c", 5, "none"))
    shadow = Shadow(
        slot="s", version="2", digest="d", since=0, leads=0, changed=0, moves=moves
    )
    found = held_against(shadow, {"a": (50.0, "silver"), "b": (21.0, "none")})
    assert (found.leads, found.changed) == (2, 1)
    assert [(each.lead_id, each.score) for each in found.moves] == [("a", 50.0)]

"""Points that outcomes ask for: recovered, rounded, written, judged and refused."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import astuple, replace

from bench.simulated_funnel import Truth, design, examples, model_of, text_of
from schemas.time import WEEK
from scorers.compiled import compile_model
from scorers.loading import load_model
from streams.cli.main import main
from streams.learning.calibrating import calibrate
from streams.learning.chance import captured, reliability_of, segments_of
from streams.learning.design import design_of
from streams.learning.draft import redrafted
from streams.learning.evidence import grounds, idle_rules
from streams.learning.gate import judge, write_draft
from streams.learning.measuring import difference, quality
from streams.learning.points import recalibrate
from streams.learning.proposals import propose
from streams.learning_gate import RefusedError, check_gate

TRUTH = Truth(weights=(1.5, 0.7, 0.0, -1.0), shares=(0.3, 0.5, 0.4, 0.3))
GUESS = (2.0, 10.0, 6.0, -3.0)


def test_true_points_are_found_and_a_useless_rule_is_named() -> None:
    """What people's outcomes were drawn from comes back, within three errors."""
    text, model = model_of(GUESS)
    simulated = design(model, TRUTH, 6_000, seed=3)

    found = recalibrate(simulated, strength=1.0)

    per_logit = found.per_logit
    for place, weight in enumerate(TRUTH.weights, start=1):
        middle = (found.low[place] + found.high[place]) / 2
        wide = found.high[place] - found.low[place]  # four standard errors
        assert abs(weight * per_logit - middle) < 0.75 * wide
    assert idle_rules(grounds(simulated, found)) == ["rule-2"]
    proposal = propose(text, simulated, found)
    assert proposal.model.ref.version == "1-draft"
    assert (proposal.scores >= dict(proposal.model.tiers)["gold"]).mean() == (
        pytest.approx((simulated.score >= 40).mean(), abs=0.1)
    )


def test_no_rule_changes_its_sign() -> None:
    """A rule that gives points never comes to take them, whatever outcomes say."""
    _, model = model_of((5.0, 5.0, 5.0, 5.0))

    found = recalibrate(design(model, TRUTH, 3_000, seed=5), strength=1.0)

    assert (found.points >= 0).all()
    assert found.points[4] == 0


def test_the_gate_lets_better_points_pass_and_refuses_others() -> None:
    """Held-out leads must be ranked better, surely; the same ranking is not better."""
    text, model = model_of(GUESS)
    learnt, rest = (design(model, TRUTH, 2_000, seed) for seed in (1, 2))
    proposal = propose(text, learnt, recalibrate(learnt))
    drafted = rest.scored(proposal.recalibrated.points, proposal.recalibrated.bounds)

    def gate(scores: np.ndarray) -> bool:
        return judge(
            proposal.model, model, scores, rest.score, rest.won, draws=100
        ).better

    assert gate(drafted)
    assert not gate(rest.score)
    assert not gate(100 - drafted)


def test_a_refused_draft_cannot_be_published(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`model publish` says why and asks no broker; an edited text is a person's own."""
    text, model = model_of(GUESS)
    simulated = design(model, TRUTH, 1_000, seed=1)
    path = tmp_path / "draft.yaml"
    gate = judge(
        model, model, simulated.score, simulated.score, simulated.won, draws=50
    )
    write_draft(path, text, gate)

    with pytest.raises(SystemExit) as left:
        main(["model", "publish", str(path)])

    assert left.value.code == 1
    assert "is refused: on 1,000 leads" in capsys.readouterr().err
    edited = compile_model(load_model(text.replace("points: 2}", "points: 3}"), "own"))
    assert "was changed since it was judged" in check_gate(path, edited)
    (tmp_path / "draft.yaml.gate.json").write_text("{")
    with pytest.raises(RefusedError, match="cannot read"):
        check_gate(path, model)
    assert check_gate(tmp_path / "own.yaml", model) == ""


def test_a_draft_keeps_what_people_wrote() -> None:
    """Comments, order and quotes stay; only the numbers change."""
    text = "# ours\na:\n  - {name: x, points: 2}  # [article]\n  - points: -3.5\n"

    assert redrafted(
        text, {("a", 0, "points"): 5.0, ("a", 1, "points"): -0.5, ("b",): 1.0}
    ) == ("# ours\na:\n  - {name: x, points: 5}  # [article]\n  - points: -0.5\n")


def test_the_matrix_says_what_the_rules_gave() -> None:
    """Examples of a training log come to the same design as simulated leads."""
    _, model = model_of(GUESS)

    made = design_of(model, examples(model, TRUTH, 300, seed=4))
    expected = design(model, TRUTH, 300, seed=4)

    assert np.array_equal(made.units, expected.units)
    assert np.array_equal(np.round(made.scored(made.points)), made.score)
    assert np.array_equal(made.won, expected.won)


def test_figures_are_those_of_scikit_learn() -> None:
    """AUC, Brier and log loss agree with their definitions; intervals hold them."""
    from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

    chosen = np.random.default_rng(1)
    chance = np.round(chosen.random(800), 2)
    won = chosen.random(800) < chance
    clipped = np.clip(chance, 1e-6, 1 - 1e-6)

    found = quality(chance, chance, won, draws=60)

    assert found.auc.value == pytest.approx(roc_auc_score(won, chance))
    assert found.brier.value == pytest.approx(brier_score_loss(won, chance), abs=1e-5)
    assert found.log_loss.value == pytest.approx(log_loss(won, clipped))
    top = np.sort(chance)[-80:]
    assert found.lift_10.value == pytest.approx(
        won[chance > top[0]].sum() / 80 / won.mean(), rel=0.1
    )
    assert found.auc.low < found.auc.value < found.auc.high
    same = difference(chance, chance, won, draws=20)
    assert (same.value, same.low, same.high) == (0, 0, 0)


def test_calibration_says_what_scores_mean() -> None:
    """Bands never fall, the draft is better, drift is found where the truth turns."""
    text, model = model_of(GUESS)
    known = examples(model, TRUTH, 900, seed=8)
    turned = Truth(
        weights=tuple(-w for w in TRUTH.weights), shares=TRUTH.shares, base=2
    )
    later = examples(model, turned, 900, seed=9)
    shifted = [
        type(each)(
            snapshot=type(each.snapshot)(
                **{
                    name: getattr(each.snapshot, name)
                    for name in each.snapshot.__struct_fields__
                }
                | {"lead_id": f"b{place}", "at": each.snapshot.at + 10**10}
            ),
            verdict=type(each.verdict)(
                won=bool(each.verdict and each.verdict.won),
                at=each.snapshot.at + 10**10 + 1,
            ),
        )
        for place, each in enumerate(later)
    ]

    found, _ = calibrate(
        "steady", text, model, known, split="cross-validated", capacity=20, strength=3.0
    )
    drifting, _ = calibrate(
        "drift", text, model, [*known, *shifted], split="cross-validated", strength=3.0
    )

    chances = [band.chance.value for band in found.chances.bands]
    assert chances == sorted(chances)
    assert found.gate.better
    assert found.chances.rolling.drifts == ()
    assert drifting.chances.rolling.drifts
    assert found.captured is not None
    assert 0 < found.captured.value < 1


def test_simulated_text_is_a_model() -> None:
    """What the simulation writes is what `leadpulse model check` accepts."""
    assert load_model(text_of(GUESS), "simulated").model == "simulated"


def test_folds_of_time_are_judged_apart() -> None:
    """That all are won in one year and none in the next ranks nobody."""
    chosen = np.random.default_rng(5)
    folds = np.repeat([0, 1], 500)
    won = chosen.random(1_000) < np.where(folds == 0, 0.9, 0.1)
    chance = np.where(folds == 0, 0.8, 0.2) + chosen.random(1_000) / 100
    useful = chance + won / 10

    pooled = quality(chance, chance, won, draws=20)
    apart = quality(chance, chance, won, folds=folds, draws=20)
    gain = difference(useful, chance, won, folds=folds, draws=20)

    assert pooled.auc.value > 0.85
    assert apart.auc.low < 0.5 < apart.auc.high
    assert apart.brier.value == pytest.approx(pooled.brier.value, rel=1e-2)
    assert gain.value == pytest.approx(1 - apart.auc.value)


def test_a_lead_decided_about_twice_tells_no_more() -> None:
    """What scores mean, and what a team meets, is counted in leads, not in looks."""
    _, model = model_of(GUESS)
    told = [
        replace(each, snapshot=replace(each.snapshot, known={"owner": "ab"[row % 2]}))
        for row, each in enumerate(examples(model, TRUTH, 1_000, 3))
    ]
    once = design_of(model, told)
    twice = once.only(np.tile(np.arange(len(once)), 2))

    assert captured(twice, 20, WEEK) == captured(once, 20, WEEK)
    for many, few in zip(
        segments_of(twice, told * 2, "owner"),
        segments_of(once, told, "owner"),
        strict=True,
    ):
        assert (many.name, many.leads, many.won) == (few.name, few.leads, few.won)
        assert many.expected == pytest.approx(few.expected)
        assert astuple(many.odds) == pytest.approx(astuple(few.odds), rel=1e-3)
    chance = np.random.default_rng(1).random(len(once))
    for many, few in zip(
        reliability_of(np.tile(chance, 2), twice.won, twice.leads),
        reliability_of(chance, once.won, once.leads),
        strict=True,
    ):
        assert many == pytest.approx(few)


def test_who_is_among_the_best_once_is_met() -> None:
    """A lead takes one place a week, and a place in one of its weeks is enough."""
    _, model = model_of(GUESS)
    five = design(model, TRUTH, 5, seed=1)
    weeks = dataclasses.replace(
        five,
        leads=np.array(["a", "a", "b", "b", "c"]),
        at=np.array([0, 1, 2, WEEK, WEEK]),
        score=np.array([90.0, 80.0, 70.0, 60.0, 50.0]),
        won=np.array([True, True, True, True, True]),
    )

    assert captured(weeks, 1, WEEK).value == pytest.approx(2 / 3)
    assert captured(weeks, 2, WEEK).value == 1


def test_a_segment_differs_as_its_leads_do_from_their_scores() -> None:
    """Who is won as often as scores say has odds of one, others those they have."""
    _, model = model_of(GUESS)
    chosen = np.random.default_rng(2)
    told = []
    for each in examples(model, TRUTH, 4_000, 4):
        assert each.verdict is not None
        owner = str(chosen.choice(["ada", "bob", "cy"], p=[0.7, 0.2, 0.1]))
        won = each.verdict.won and not (owner == "bob" and chosen.random() < 0.6)
        won = won or (owner == "cy" and chosen.random() < 0.5)
        told.append(
            replace(
                each,
                snapshot=replace(each.snapshot, known={"owner": owner}),
                verdict=replace(each.verdict, won=won),
            )
        )

    ada, bob, cy = segments_of(design_of(model, told), told, "owner")

    assert (ada.name, bob.name, cy.name) == ("ada", "bob", "cy")
    assert ada.odds.value == pytest.approx(1.1, abs=0.1)
    assert bob.odds.high < 0.6
    assert cy.odds.low > 1.5
    for each in (ada, bob, cy):
        assert (each.odds.value > 1) == (each.won > each.expected)

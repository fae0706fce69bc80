"""What learning can do where the truth is known, and what it costs.

    python -m bench.learning gate --simulations 500
    python -m bench.learning coverage --simulations 200
    python -m bench.learning drift --simulations 200
    python -m bench.learning forecast --simulations 200
    python -m bench.learning size --outcomes 1000000

`gate`: the present points are the truth, so no draft can be better: how many pass? And
how many where some of the points are wrong.
`coverage`: how often 95 % intervals hold the truth: of a number's points, of a rule's
rate, of P(won) by band; and how often a rule that tells nothing is named.
`drift`: how often an alarm comes where nothing changed, and how late where it did.
`forecast`: how often 80 % intervals of pipelines hold what then happens.
`size`: CPU seconds and memory of a recalibration, its gate and the chances.
"""

import argparse
import resource
import time
from collections.abc import Callable

import numpy as np

from bench.simulated_funnel import (
    Truth,
    chance_of,
    design,
    drifting,
    kinds,
    model_of,
)
from bench.simulated_pipeline import Sales, known_at, pipeline
from schemas.time import DAY
from streams.learning.back_testing import back_test
from streams.learning.chance import bands_of, rolling_of
from streams.learning.evidence import grounds, idle_rules, wilson
from streams.learning.forecasting import forecast, months_after
from streams.learning.foretold import Figure
from streams.learning.gate import judge
from streams.learning.measuring import quality
from streams.learning.points import recalibrate
from streams.learning.proposals import propose

PER_LOGIT = 10.0
WEIGHTS = (1.5, 0.5, 0.8, -1.0, 0.3)
SHARES = (0.2, 0.5, 0.3, 0.25, 0.4)
TRUE = tuple(weight * PER_LOGIT for weight in WEIGHTS)
PRESENT = {
    "the points are the truth": TRUE,
    "one of five is a third of the truth": (5.0, *TRUE[1:]),
    "all are alike": (7.0, 7.0, 7.0, -7.0, 7.0),
    "two have the wrong size by far": (3.0, 15.0, *TRUE[2:]),
}


def passes(points: tuple[float, ...], judged: int, seed: int) -> bool:
    """Return whether the gate lets a draft pass, when `points` stand in the model."""
    truth = Truth(WEIGHTS, SHARES)
    text, model = model_of(points)
    learnt = design(model, truth, judged * 7 // 3, 2 * seed)
    rest = design(model, truth, judged, 2 * seed + 1)
    found = recalibrate(learnt, strength=3.0)
    proposal = propose(text, learnt, found)
    drafted = np.round(rest.scored(found.points, found.bounds))
    told = judge(proposal.model, model, drafted, rest.score, rest.won, seed=seed)
    return told.better


def gate(simulations: int) -> None:
    """Print how many drafts pass, where none can be better and where many are."""
    for what, points in PRESENT.items():
        for judged in (400, 1_200):
            passed = sum(passes(points, judged, seed) for seed in range(simulations))
            share = wilson(passed, simulations)
            print(
                f"{what}, judged by {judged:,}: {passed} of {simulations} drafts "
                f"pass, {share.value:.1%} ({share.low:.1%} – {share.high:.1%})",
                flush=True,
            )


def coverage(simulations: int) -> None:
    """Print how often intervals hold the truth, and rules that tell nothing are found.

    The last rule of the funnel tells nothing.
    """
    weights = (*WEIGHTS, 0.0)
    truth = Truth(weights, (*SHARES, 0.3))
    _, model = model_of((5.0, 5.0, 5.0, -5.0, 5.0, 5.0))  # a guess, not the truth
    given = np.array([5.0, 5.0, 5.0, -5.0, 5.0, 5.0])
    everybody = kinds(truth)
    scores = {kind: max(20 + float(np.dot(kind.has, given)), 0) for kind in everybody}
    rates = [
        chance_of(kind for kind in everybody if kind.has[place])
        for place in range(len(weights))
    ]
    for strength in (1.0, 3.0, 10.0):
        points, rules, bands = [], [], []
        named = wrongly = 0
        for seed in range(simulations):
            simulated = design(model, truth, 2_000, seed)
            found = recalibrate(simulated, strength=strength)
            true = np.array(weights) * found.per_logit
            points += ((found.low[1:] <= true) & (true <= found.high[1:])).tolist()
            rows = grounds(simulated, found)
            rules += [
                _holds(row.rate, rate)
                for row, rate in zip(rows[1:], rates, strict=True)
            ]
            bands += [
                _holds(
                    band.chance,
                    chance_of(
                        kind
                        for kind, score in scores.items()
                        if band.low <= score < band.high
                    ),
                )
                for band in bands_of(simulated)
            ]
            idle = set(idle_rules(rows))
            named += "rule-5" in idle
            wrongly += len(idle - {"rule-5"})
        print(
            f"strength {strength:g}: 95 % intervals of points hold in "
            f"{_share(sum(points), len(points))}, of rules' rates in "
            f"{_share(sum(rules), len(rules))}, of P(won) in "
            f"{_share(sum(bands), len(bands))}; the useless rule is named in "
            f"{_share(named, simulations)}, useful ones in "
            f"{_share(wrongly, simulations * len(WEIGHTS))}",
            flush=True,
        )


def _holds(figure: Figure, true: float) -> bool:
    return figure.low <= true <= figure.high


def _share(some: int, of: int) -> str:
    share = wilson(some, of)
    return f"{share.value:.1%} ({share.low:.1%} – {share.high:.1%})"


def drift(simulations: int) -> None:
    """Print how often drift is told where nothing changed, and how late if it did."""
    for what, after in (
        ("nothing changes", WEIGHTS),
        ("the best rule stops telling", (0.0, *WEIGHTS[1:])),
        ("all rules turn round", tuple(-weight for weight in WEIGHTS)),
        ("half as many are won", WEIGHTS),
    ):
        alarms, delays = 0, []
        base = -2.0 if what == "half as many are won" else -1.0
        for seed in range(simulations):
            _, model = model_of(TRUE)
            before = Truth(WEIGHTS, SHARES)
            simulated, examples = drifting(
                model, before, Truth(after, SHARES, base), 4_000, seed
            )
            told = rolling_of(simulated, examples).drifts
            late = [at for at in told if at > simulated.ended[2_000]]
            alarms += len(told) - len(late)
            if late:
                delays.append(int(np.searchsorted(simulated.ended, late[0])) - 2_000)
        usual = f", after {np.median(delays):,.0f} leads as a rule" if delays else ""
        print(
            f"{what}: told in {_share(len(delays), simulations)}{usual}; "
            f"{alarms} false alarms in {simulations * 2_000:,} leads before",
            flush=True,
        )


def foretell(simulations: int) -> None:
    """Print how often intervals hold what happens after the last day that is known."""
    for what, sales in (
        ("months differ", Sales()),
        ("quarters show", Sales(months_apart=0.2, quarter=0.8)),
        ("months are alike", Sales(months_apart=0.0, quarter=0.0)),
        ("more, and longer known", Sales(deals_a_day=8.0, days=540)),
    ):
        held: dict[str, list[bool]] = {}
        told = facts = 0.0
        for seed in range(simulations):
            deals = pipeline(sales, seed)
            until = sales.days * DAY - seed % 30 * DAY
            known = known_at(deals, until)
            _, tracks = back_test(known, until, every=3 * DAY)
            found = forecast(known, until, runs=400, tracks=tracks)
            ends = [until, *months_after(until, 3)]
            for place, month in enumerate(found.months):
                fact = deals.fact(until, ends[place], ends[place + 1])
                held.setdefault(f"month {place + 1}", []).append(
                    _holds(month.value, fact)
                )
            fact = deals.fact(until, until, ends[-1])
            held.setdefault("all three", []).append(_holds(found.total, fact))
            told, facts = told + found.total.value, facts + fact
        shares = ", ".join(
            f"{name} {_share(sum(each), len(each))}" for name, each in held.items()
        )
        print(f"{what}: held {shares}; bias {told / facts - 1:+.1%}", flush=True)


def size(outcomes: int) -> None:
    """Print what many outcomes cost."""
    truth = Truth(WEIGHTS * 4, SHARES * 4, base=-2.0)
    _, model = model_of((5.0, 5.0, 5.0, -5.0, 5.0) * 4)
    simulated = design(model, truth, outcomes, 1)
    began = time.process_time()
    found = recalibrate(simulated, strength=3.0)
    fitted = time.process_time()
    scores = np.round(simulated.scored(found.points, found.bounds))
    told = quality(scores, scores / 100, simulated.won, draws=100)
    judged = time.process_time()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{outcomes:,} outcomes, {len(simulated.numbers)} numbers: points in "
        f"{fitted - began:.1f} CPU s, figures with intervals in {judged - fitted:.1f}, "
        f"{peak:,.0f} MB at most; AUC {told.auc}"
    )


WHAT: dict[str, Callable[[int], None]] = {
    "gate": gate,
    "coverage": coverage,
    "drift": drift,
    "forecast": foretell,
}


def main() -> None:
    """Run one of the measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=(*WHAT, "size"))
    parser.add_argument("--simulations", type=int, default=500)
    parser.add_argument("--outcomes", type=int, default=1_000_000)
    given = parser.parse_args()
    if given.what == "size":
        size(given.outcomes)
    else:
        WHAT[given.what](given.simulations)


if __name__ == "__main__":
    main()

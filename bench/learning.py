"""What learning can do where the truth is known, and what it costs.

    python -m bench.learning gate --simulations 500
    python -m bench.learning coverage --simulations 200
    python -m bench.learning size --outcomes 1000000

`gate`: the present points are the truth, so no draft can be better; how many pass?
`coverage`: how often the 95 % interval of a number's points holds the true points.
`size`: CPU seconds and memory of a recalibration, its gate and the chances.
"""

import argparse
import resource
import time

import numpy as np

from bench.simulated_funnel import Truth, design, model_of
from streams.learning.gate import judge
from streams.learning.measuring import quality
from streams.learning.points import recalibrate
from streams.learning.proposals import propose

PER_LOGIT = 10.0
WEIGHTS = (1.5, 0.5, 0.8, -1.0, 0.3)
SHARES = (0.2, 0.5, 0.3, 0.25, 0.4)


def gate(simulations: int) -> None:
    """Print how many drafts pass that cannot be better."""
    truth = Truth(WEIGHTS, SHARES)
    text, model = model_of(tuple(weight * PER_LOGIT for weight in WEIGHTS))
    passed = 0
    for seed in range(simulations):
        learnt = design(model, truth, 600, 2 * seed)
        rest = design(model, truth, 400, 2 * seed + 1)
        found = recalibrate(learnt, strength=3.0)
        proposal = propose(text, learnt, found)
        drafted = np.round(rest.scored(found.points, found.bounds))
        told = judge(
            proposal.model, model, drafted, rest.score, rest.won, draws=100, seed=seed
        )
        passed += told.better
        if (seed + 1) % 50 == 0:
            print(f"{passed} of {seed + 1} passed that are not better", flush=True)


def coverage(simulations: int) -> None:
    """Print how often intervals hold the truth, by how firm the prior is."""
    truth = Truth(WEIGHTS, SHARES)
    _, model = model_of((5.0, 5.0, 5.0, -5.0, 5.0))  # a guess, and not the truth
    for strength in (1.0, 10.0):
        held = 0
        for seed in range(simulations):
            found = recalibrate(design(model, truth, 2_000, seed), strength=strength)
            true = np.array(WEIGHTS) * found.per_logit
            held += int(((found.low[1:] <= true) & (true <= found.high[1:])).sum())
        share = held / (simulations * len(WEIGHTS))
        print(f"strength {strength:g}: {share:.1%} of 95 % intervals hold", flush=True)


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


def main() -> None:
    """Run one of the measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("gate", "coverage", "size"))
    parser.add_argument("--simulations", type=int, default=500)
    parser.add_argument("--outcomes", type=int, default=1_000_000)
    given = parser.parse_args()
    if given.what == "size":
        size(given.outcomes)
    else:
        {"gate": gate, "coverage": coverage}[given.what](given.simulations)


if __name__ == "__main__":
    main()

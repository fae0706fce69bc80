"""The report of an evaluation."""

from streams.learning.charts import bars, curves, gains
from streams.learning.design import Flags
from streams.learning.evaluating import Evaluation, Held
from streams.learning.pages import Page


def evaluation_page(title: str, found: Evaluation, held: Held, won: Flags) -> Page:
    """Return the report of `found`."""
    page = Page(
        f"Does the ranking work? {title}",
        f"{found.examples:,} decisions on leads of which it is known what became of "
        f"them, {found.won:,} won ({found.won / found.examples:.1%}); {found.open:,} "
        f"still open. Model {found.model}. {found.split.capitalize()}: everybody is "
        "judged by what was learnt from others.",
    )
    better = found.over_naive_bayes.low > 0
    page.verdict(
        f"Recalibrated points reach {found.share_of_ceiling:.3f} of the AUC of "
        f"gradient boosting; they {'beat' if better else 'do not surely beat'} naive "
        f"Bayes ({found.over_naive_bayes.value:+.3f}, 95 % "
        f"{found.over_naive_bayes.low:+.3f} to {found.over_naive_bayes.high:+.3f}).",
        good=better,
    )
    page.head("AUC: how often a lead that is won was ranked above one that is not")
    page.plot(
        bars(
            {name: each.auc for name, each in found.qualities.items()}, "AUC", even=0.5
        ),
        "AUC of each way with its 95 % interval",
    )
    page.table(
        ["", "AUC", "Brier", "log loss", "lift at 10 %", "lift at 20 %"],
        [
            [name, q.auc, q.brier, q.log_loss, q.lift_10, q.lift_20]
            for name, q in found.qualities.items()
        ],
    )
    told = "In brackets: 95 % intervals over 400 resamples of the leads."
    if held.folds is not None:
        told += " Leads are ranked among those of the same fold of time."
    page.say(told)
    if (by_age := found.over_naive_bayes_by_age) is not None:
        page.say(
            "Odoo's naive Bayes does not know for how long a lead has been known; over "
            f"one that does, recalibrated points have {by_age.value:+.3f} (95 % "
            f"{by_age.low:+.3f} to {by_age.high:+.3f})."
        )
    page.head("Which share of the won one meets by following the ranking")
    page.plot(
        curves(
            {name: gains(held.standing(name), won) for name in held.chance},
            "leads followed up, best first",
            "of all that are won",
            diagonal=True,
        ),
        "cumulative gains of each way",
    )
    return page

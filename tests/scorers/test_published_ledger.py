"""The ledger as an update carries it: compact, and it sums to the score."""

import pytest

from scorers.explain import LedgerLine, published_ledger


@pytest.mark.parametrize(
    ("lines", "score", "told"),
    [
        pytest.param((), 0.0, {}, id="nothing gives points"),
        pytest.param(
            (
                LedgerLine("web", "page", 8.0),
                LedgerLine("web", "page", -3.0, "rule maximum"),
            ),
            5.0,
            {"web": {"page": 5.0}},
            id="a rule counts within its own maximum",
        ),
        pytest.param(
            (
                LedgerLine("web", "page", 25.0),
                LedgerLine("web", "", -5.0, "group cap"),
                LedgerLine("email", "spam", -30.0),
                LedgerLine("", "", 10.0, "lowest score"),
            ),
            0.0,
            {
                "web": {"page": 25.0, "/group-cap": -5.0},
                "email": {"spam": -30.0},
                "": {"/lowest-score": 10.0},
            },
            id="each clip is a line of its own",
        ),
        pytest.param(
            (LedgerLine("web", "page", 2 / 3), LedgerLine("web", "like", 0.00004)),
            0.7,
            {"web": {"page": 0.6667}, "": {"/rounding": 0.0333}},
            id="what is too little to be told is in the rounding",
        ),
        pytest.param(
            (
                LedgerLine("web", "page", 4.0),
                LedgerLine("web", "", -2.0, "any other note"),
            ),
            2.0,
            {"web": {"page": 4.0, "/any-other-note": -2.0}},
            id="a note that is not known yet is a line as any other",
        ),
    ],
)
def test_lines(
    lines: tuple[LedgerLine, ...], score: float, told: dict[str, dict[str, float]]
) -> None:
    """The lines are told by group and rule, and sum to the score."""
    found = published_ledger(lines, score)

    assert found == told
    summed = sum(points for group in found.values() for points in group.values())
    assert summed == pytest.approx(score, abs=1e-9)

"""The gate: a draft may be published when it ranks better, surely, than what there is.

What it says lies beside the draft and holds for that very text. `leadpulse model
publish` looks there.
"""

from pathlib import Path
from typing import Final

import msgspec

from scorers.compiled import CompiledModel
from streams.errors import UserError
from streams.learning.design import Flags, Floats
from streams.learning.measuring import DRAWS, Cells, Names, difference
from streams.learning_gate import SUFFIX, Gate

_LEAST: Final = 20


def judge(
    draft: CompiledModel,
    against: CompiledModel,
    drafted: Floats,
    present: Floats,
    won: Flags,
    *,
    leads: Names | None = None,
    draws: int = DRAWS,
    seed: int = 7,
) -> Gate:
    """Return whether the draft's scores rank better than the present ones.

    It does if the whole 95 % interval of the difference is above zero, on leads from
    which the draft has not learnt.
    """
    wins = int(won.sum())
    if min(wins, len(won) - wins) < _LEAST:
        return _gate(draft, against, len(won), better=False, why="too few outcomes")
    gained = difference(drafted, present, won, leads=leads, draws=draws, seed=seed)
    cells = Cells(drafted, drafted, won), Cells(present, present, won)
    better = gained.low > 0
    return Gate(
        digest=draft.digest,
        against=against.digest,
        better=better,
        why="better" if better else "not surely better than the present points",
        examples=len(won),
        auc=cells[0].auc(cells[0].weights()),
        auc_present=cells[1].auc(cells[1].weights()),
        gained=gained.value,
        low=gained.low,
        high=gained.high,
    )


def _gate(
    draft: CompiledModel,
    against: CompiledModel,
    examples: int,
    *,
    better: bool,
    why: str,
) -> Gate:
    return Gate(
        digest=draft.digest,
        against=against.digest,
        better=better,
        why=why,
        examples=examples,
    )


def write_draft(path: Path, text: str, gate: Gate) -> None:
    """Write a draft model to `path`, and what the gate says beside it.

    Raises
    ------
    UserError
        When they cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # First what may refuse it: a draft alone would be nobody's.
        path.with_name(path.name + SUFFIX).write_bytes(
            msgspec.json.format(msgspec.json.encode(gate), indent=2) + b"\n"
        )
        path.write_text(text, "utf-8")
    except OSError as error:
        msg = f"cannot write {path}: {error.strerror}"
        raise UserError(msg) from None

"""What held-out leads said of a draft model, as it lies beside the draft.

Whoever publishes needs only this, and none of the libraries that learning needs.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from scorers.compiled import CompiledModel
from streams.errors import UserError

SUFFIX: Final = ".gate.json"


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a draft may be published, and why."""

    digest: str
    """The draft that was judged."""
    against: str
    """The model that it was held against."""
    better: bool
    why: str
    examples: int
    auc: float = 0.5
    auc_present: float = 0.5
    gained: float = 0.0
    low: float = 0.0
    high: float = 0.0


class RefusedError(UserError):
    """A draft is not to be published."""


def check_gate(path: Path, model: CompiledModel) -> str:
    """Return what to tell whoever publishes the model at `path`; empty for nothing.

    A model without a gate beside it is a person's own, and nobody's to refuse.

    Raises
    ------
    RefusedError
        When the draft did not rank better, or it cannot be known whether it did.
    """
    beside = path.with_name(path.name + SUFFIX)
    try:
        gate = msgspec.json.decode(beside.read_bytes(), type=Gate)
    except FileNotFoundError:
        return ""
    except (OSError, msgspec.DecodeError) as error:
        msg = f"cannot read {beside}, which says whether it may be published: {error}"
        raise RefusedError(msg) from None
    if gate.digest != model.digest:
        return (
            f"{path} was changed since it was judged: {beside.name} is about another "
            "text"
        )
    _check(gate, str(path))
    return ""


def gate_of(model: CompiledModel, folders: Iterable[Path]) -> Gate | None:
    """Return what was said of this very draft, wherever it lies in `folders`.

    Raises
    ------
    RefusedError
        When the draft did not rank better.
    """
    for folder in folders:
        for beside in sorted(folder.glob(f"*{SUFFIX}")):
            try:
                gate = msgspec.json.decode(beside.read_bytes(), type=Gate)
            except (OSError, msgspec.DecodeError):
                continue  # it may be about anything; whose it is, it would say
            if gate.digest == model.digest:
                _check(gate, "this draft")
                return gate
    return None


def _check(gate: Gate, what: str) -> None:
    if not gate.better:
        msg = (
            f"{what} is refused: on {gate.examples:,} leads that it has not seen "
            f"it is {gate.why} (AUC {gate.auc:.3f} against {gate.auc_present:.3f}, "
            f"difference {gate.low:+.3f} to {gate.high:+.3f})"
        )
        raise RefusedError(msg)

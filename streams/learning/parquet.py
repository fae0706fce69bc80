"""The training log as Parquet: a row for each decision, with what came of it."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from schemas.time import Instant, to_datetime, to_instant
from scorers.outcomes import Verdict
from scorers.snapshots import Example, Snapshot
from streams.errors import UserError

_UNTIL: Final = b"leadpulse.known_until"


def write_examples(path: Path, examples: Sequence[Example], until: Instant) -> None:
    """Write `examples` to a Parquet file, whole or not at all.

    Raises
    ------
    UserError
        When it cannot be written.
    """
    import pyarrow as pa  # noqa: PLC0415 - heavy
    import pyarrow.parquet as pq  # noqa: PLC0415 - heavy

    instant = pa.timestamp("ms", tz="UTC")
    numbers = pa.map_(pa.string(), pa.float64())
    schema = pa.schema(
        [
            ("lead_id", pa.string()),
            ("at", instant),
            ("why", pa.string()),
            ("score", pa.float64()),
            ("tier", pa.string()),
            ("model", pa.string()),
            ("groups", numbers),
            ("points", numbers),
            ("known", pa.map_(pa.string(), pa.string())),
            ("known_numbers", numbers),
            ("won", pa.bool_()),
            ("ended_at", instant),
            ("amount", pa.float64()),
            ("currency", pa.string()),
            ("reason", pa.string()),
        ],
        metadata={_UNTIL: str(until)},
    )
    rows = pa.Table.from_pylist([_row(each) for each in examples], schema=schema)
    scratch = path.with_name(f".{path.name}.new")
    try:
        pq.write_table(rows, scratch, compression="zstd")
        scratch.replace(path)
    except OSError as error:
        msg = f"cannot write {path}: {error.strerror or error}"
        raise UserError(msg) from None


def _row(example: Example) -> dict[str, Any]:
    shot, verdict = example.snapshot, example.verdict
    known = list(shot.known.items())
    row = {
        "lead_id": shot.lead_id,
        "at": to_datetime(shot.at),
        "why": shot.why,
        "score": shot.score,
        "tier": shot.tier,
        "model": shot.model,
        "groups": list(shot.groups.items()),
        "points": list(shot.points.items()),
        "known": [each for each in known if isinstance(each[1], str)],
        "known_numbers": [each for each in known if isinstance(each[1], float)],
    }
    if verdict is not None:
        row |= {
            "won": verdict.won,
            "ended_at": to_datetime(verdict.at),
            "amount": verdict.amount,
            "currency": verdict.currency,
            "reason": verdict.reason,
        }
    return row


def read_examples(path: Path) -> tuple[list[Example], Instant]:
    """Return what `write_examples` wrote, and until when outcomes were known.

    Raises
    ------
    UserError
        When the file is none of ours.
    """
    import pyarrow as pa  # noqa: PLC0415 - heavy
    import pyarrow.parquet as pq  # noqa: PLC0415 - heavy

    try:
        table = pq.read_table(path)
        until = int((table.schema.metadata or {})[_UNTIL])
        return list(_examples(table.to_pylist())), until
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        msg = f"{path} is no training log of Leadpulse's: {error}"
        raise UserError(msg) from None


def _examples(rows: Iterable[dict[str, Any]]) -> Iterable[Example]:
    for row in rows:
        verdict = None
        if row["won"] is not None:
            verdict = Verdict(
                won=row["won"],
                at=to_instant(row["ended_at"]),
                amount=row["amount"],
                currency=row["currency"] or "",
                reason=row["reason"] or "",
            )
        yield Example(
            snapshot=Snapshot(
                lead_id=row["lead_id"],
                at=to_instant(row["at"]),
                why=row["why"],
                score=row["score"],
                tier=row["tier"],
                groups=dict(row["groups"] or ()),
                points=dict(row["points"] or ()),
                # Files from before there was either have neither.
                known=dict(row.get("known") or ())
                | dict(row.get("known_numbers") or ()),
                model=row["model"],
            ),
            verdict=verdict,
        )

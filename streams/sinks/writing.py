"""How rows are written into any CRM: find the records, pass over what is newer, write.

What a vendor's interface looks like is in a module of its own; what must hold for
all of them is here, once.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from streams.sending_policy import Refuse, Retry
from streams.sinks.answers import Answer, Answers, Crm, Found, Records
from streams.sinks.language import Match, Sink
from streams.sinks.rows import Fields, Row, differences

_T = TypeVar("_T")

AMBIGUOUS: Final = Refuse("invalid", "several records have this key")


class CrmWriter:
    """Writes rows into a CRM: never an older score over a newer one."""

    def __init__(self, sink: Sink, crm: Crm) -> None:
        """Write through `crm` what `sink` maps."""
        assert sink.match is not None  # noqa: S101 - the language sees to it
        self._match: Match = sink.match
        self._lead = sink.lead_field
        self._sequence = sink.sequence_field
        self._wanted = sorted({*sink.fields, sink.match.field})
        self._crm = crm

    def write(self, rows: Sequence[Row]) -> Answers:
        """Write `rows`, each of another record; answer for each."""
        answers: dict[str, Answer] = {}
        for wanted, write in (
            ([row for row in rows if row.clear], self._clear),
            ([row for row in rows if not row.clear], self._upsert),
        ):
            if not wanted:
                continue
            told = write(wanted)
            if not isinstance(told, list):
                if not answers:
                    return told
                told = [told] * len(wanted)
            answers.update(zip((row.lead_id for row in wanted), told, strict=True))
        return [answers[row.lead_id] for row in rows]

    def find(self, rows: Sequence[Row]) -> Records:
        """Return the records of rows by what they are found by, in small letters."""
        keys = [row.key for row in rows if row.key is not None]
        return self._find(self._match.field, keys)

    def find_leads(self, rows: Sequence[Row]) -> Records:
        """Return the records that hold what is left of leads that are no more."""
        return self._find(self._lead, [row.lead_id for row in rows if row.clear])

    def _find(self, field: str, values: Sequence[str]) -> Records:
        if not values:
            return {}
        found = self._crm.find(field, values, self._wanted)
        if not isinstance(found, list):
            return found
        by_key: dict[str, list[Found]] = {}
        for record in found:
            key = str(record.fields.get(field, "")).casefold()
            by_key.setdefault(key, []).append(record)
        return by_key

    def _upsert(self, rows: Sequence[Row]) -> Answers:
        found = self.find(rows)
        if not isinstance(found, Mapping):
            return found
        answers: dict[str, Answer] = {}
        changes: list[tuple[Row, str]] = []
        fresh: list[Row] = []
        for row in rows:
            records = found.get((row.key or "").casefold(), []) if row.key else []
            match records:
                case []:
                    if row.create is None or row.key is None:
                        answers[row.lead_id] = "unknown"
                    else:
                        fresh.append(row)
                case [record]:
                    if (known := self._known(row, record.fields)) is not None:
                        answers[row.lead_id] = known
                    else:
                        changes.append((row, record.id))
                case _:
                    answers[row.lead_id] = AMBIGUOUS
        _note(
            answers,
            [row for row, _ in changes],
            _apart(self._crm.update, [(each, row.fields) for row, each in changes]),
        )
        _note(
            answers,
            fresh,
            _apart(self._crm.create, [self._record(row) for row in fresh]),
        )
        return [answers[row.lead_id] for row in rows]

    def _known(self, row: Row, fields: Mapping[str, Any]) -> Answer | None:
        """Return why a record need not be written; None if it must be."""
        if self._newer(row, fields):
            return "older"
        return None if differences(row.fields, fields) else "same"

    def _newer(self, row: Row, fields: Mapping[str, Any]) -> bool:
        """Say whether a record holds a later update of the same lead."""
        if fields.get(self._lead) != row.lead_id:
            return False
        try:
            return int(float(str(fields.get(self._sequence)))) > row.sequence
        except ValueError:
            return False

    def _record(self, row: Row) -> Fields:
        """Return all fields of a record that is made for a row."""
        return {self._match.field: row.key, **(row.create or {}), **row.fields}

    def _clear(self, rows: Sequence[Row]) -> Answers:
        """Empty the fields of leads that are no more, wherever they stand."""
        found = self.find_leads(rows)
        if not isinstance(found, Mapping):
            return found
        answers: dict[str, Answer] = {}
        changes: list[tuple[Row, str]] = []
        for row in rows:
            records = found.get(row.lead_id.casefold(), [])
            current = [each for each in records if not self._newer(row, each.fields)]
            changes += [(row, record.id) for record in current]
            if not current:
                answers[row.lead_id] = "older" if records else "unknown"
        empty = [(record, self._emptied(row)) for row, record in changes]
        told = _apart(self._crm.update, empty)
        _note(answers, [row for row, _ in changes], told)
        told = [answers[row.lead_id] for row in rows]
        return ["cleared" if each == "written" else each for each in told]

    def _emptied(self, row: Row) -> Fields:
        """Return the fields to empty; what a record is found by stays the CRM's."""
        return {
            name: value
            for name, value in row.fields.items()
            if name != self._match.field or self._match.by == "lead_id"
        }


def _apart(
    write: Callable[[Sequence[_T]], Answers], items: Sequence[_T]
) -> list[Answer]:
    """Return an answer for each item; what is refused in whole is tried in halves.

    Some CRMs refuse a batch for the sake of one record, and do not say which.
    """
    if not items:
        return []
    told = write(items)
    if isinstance(told, list):
        return told
    if isinstance(told, Retry) or len(items) == 1:
        return [told] * len(items)
    middle = len(items) // 2
    answers = _apart(write, items[:middle])
    if isinstance(answers[-1], Retry):  # no use to ask on
        return [*answers, *[answers[-1]] * (len(items) - middle)]
    return [*answers, *_apart(write, items[middle:])]


def _note(answers: dict[str, Answer], rows: Sequence[Row], told: list[Answer]) -> None:
    """Put down what was told of each row; of several records the worst counts."""
    for row, answer in zip(rows, told, strict=True):
        known = answers.get(row.lead_id)
        if known is None or isinstance(known, str):
            answers[row.lead_id] = answer

"""What is to be written of a lead: a score update as the fields of a CRM's record."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec

from schemas.score import Reason, ScoreUpdate
from schemas.time import to_instant, to_iso
from streams.sinks.language import Reading, Scalar, Sink, Source, Values, reading

Fields = dict[str, Scalar]

_LONGEST_KEY: Final = 255
_EMAIL: Final = re.compile(r"[^\s@<>\"]+@[^\s@<>\"]+\.[^\s@<>\"]+")
_FORMULA: Final = "=+-@\uff1d\uff0b\uff0d\uff20"
"""A cell that begins so is a formula to a spreadsheet, where CRMs are exported to."""
_UNSEEN: Final = dict.fromkeys(
    [
        *range(0x20),
        0x7F,
        *range(0x80, 0xA0),
        *range(0x202A, 0x202F),
        *range(0x2066, 0x206A),
    ]
)
"""Control characters, and those that turn the direction of what follows."""
_MARKUP: Final = {ord("<"): "\u2039", ord(">"): "\u203a"}
_HARDLY: Final = 1e-6
"""Figures that differ by less are the same."""
_BLANKS: Final = re.compile(r"\s+")


class Row(msgspec.Struct, frozen=True):
    """What a lead's record must say: its fields, or that they are to be emptied."""

    lead_id: str
    sequence: int
    key: str | None = None
    """What its record is found by; None where the lead has nothing of the kind."""
    fields: Fields = {}
    create: Fields | None = None
    """More fields of a record that is made for it; None if none may be."""
    clear: bool = False
    """The lead is no more, or may not be scored: its fields are to be emptied."""
    why: str = ""
    """Why they are: erased, merged, no-consent."""
    update: bytes = b""
    """The update itself, for those that take it whole."""


def written_text(text: str, longest: int = 255) -> str:
    """Return `text` as a person may see it anywhere: no formula, no markup.

    Whatever visitors call themselves ends in a CRM, in its exports, in mails made
    of it. What would be read as a formula begins with an apostrophe, angle brackets
    become quotation marks, control characters are gone.

    >>> written_text("=HYPERLINK(1)")
    "'=HYPERLINK(1)"
    """
    plain = _BLANKS.sub(" ", text).translate(_UNSEEN).translate(_MARKUP).strip()
    if plain.startswith(tuple(_FORMULA)):
        plain = f"'{plain}"
    return plain if len(plain) <= longest else plain[: longest - 1] + "…"


class Rows:
    """Makes rows of updates, as a sink's file says."""

    def __init__(self, sink: Sink) -> None:
        """Write what `sink` maps."""
        self._fields = _readings(sink.fields)
        self._create = None if sink.create is None else _readings(sink.create)
        self._by = None if sink.match is None else sink.match.by

    def row(self, update: ScoreUpdate, raw: bytes) -> Row:
        """Return what the record of the update's lead must say."""
        if update.merged_into is not None:
            return self.gone(update.lead_id, update.sequence, "merged", raw)
        if any(each.everything for each in update.withheld):
            return self.gone(update.lead_id, update.sequence, "no-consent", raw)
        return Row(
            update.lead_id,
            update.sequence,
            self._key(update),
            {name: _value(each, update) for name, each in self._fields.items()},
            None
            if self._create is None
            else {name: _value(each, update) for name, each in self._create.items()},
            update=raw,
        )

    def gone(self, lead_id: str, sequence: int, why: str, raw: bytes = b"") -> Row:
        """Return that nothing of a lead may stand in the CRM any more."""
        empty = dict.fromkeys(self._fields)
        return Row(lead_id, sequence, None, empty, clear=True, why=why, update=raw)

    def _key(self, update: ScoreUpdate) -> str | None:
        match self._by:
            case None:
                return None
            case "lead_id":
                return update.lead_id
            case "email":
                known = [
                    each for each in update.identifiers.email if _EMAIL.fullmatch(each)
                ]
            case "user_id":
                known = list(update.identifiers.user_id)
        usable = (each for each in known if _is_key(each))
        return next(usable, None)


def _is_key(text: str) -> bool:
    """Say whether a text may identify a record; what could be a formula may not."""
    return len(text) <= _LONGEST_KEY and written_text(text) == text


def _readings(values: Values) -> dict[str, Reading]:
    return {name: reading(value) for name, value in values.items()}


def _value(how: Reading, update: ScoreUpdate) -> Scalar:
    if how.group is not None:
        found: Scalar | datetime = update.groups.get(how.group, 0.0)
    elif how.value is None:
        return how.constant
    else:
        found = _found(how.value, update, how)
    if how.table is not None:
        name = str(found).lower() if isinstance(found, bool) else str(found)
        other = how.otherwise if "otherwise" in how.model_fields_set else found
        found = how.table.get(name, other)
        if name in how.table:
            return found if not isinstance(found, datetime) else None
    if isinstance(found, float) and how.whole:
        return round(found)
    if isinstance(found, datetime):
        return _instant(found, how.time)
    if isinstance(found, str):
        return written_text(found, how.longest)
    return found


def _found(source: Source, update: ScoreUpdate, how: Reading) -> Scalar | datetime:
    match source:
        case "reasons" | "reasons_against":
            wanted = source == "reasons"
            told = [each for each in update.reasons if (each.points > 0) is wanted]
            return _joined(told[: how.most], how)
        case "cause":
            return update.cause.kind
        case "email":
            return next(iter(update.identifiers.email), None)
        case "user_id":
            return next(iter(update.identifiers.user_id), None)
        case "model":
            return f"{update.model.name} {update.model.version}"
        case _:
            value: Scalar | datetime = getattr(update, source)
            return value


def _joined(reasons: list[Reason], how: Reading) -> str:
    """Return as many whole sentences as the field holds."""
    text = ""
    for reason in reasons:
        longer = f"{text}{how.separator}{reason.text}" if text else reason.text
        if len(written_text(longer, how.longest + 1)) > how.longest:
            break
        text = longer
    return text or next((reason.text for reason in reasons), "")


def _instant(moment: datetime, how: str) -> Scalar:
    instant = to_instant(moment)
    match how:
        case "seconds":
            return instant // 1000
        case "milliseconds":
            return instant
        case "date":
            return to_iso(instant)[:10]
        case "plain":
            return to_iso(instant)[:19].replace("T", " ")
        case _:
            return to_iso(instant)


def differences(ours: Mapping[str, Scalar], theirs: Mapping[str, object]) -> list[str]:
    """Return the fields in which a CRM's record says something else, by name."""
    return [name for name, value in ours.items() if not _same(value, theirs.get(name))]


def _same(ours: Scalar, theirs: object) -> bool:
    """Say whether a CRM holds our value; each has its own way to write it.

    >>> _same(64.5, "64.5"), _same(None, False), _same(True, "true")
    (True, True, True)
    """
    if ours is None or ours == "":
        # Odoo says False for nothing.
        return theirs is None or theirs == "" or theirs is False
    if isinstance(ours, bool):
        return str(theirs).casefold() == str(ours).casefold()
    if theirs is None or isinstance(theirs, bool):
        return False
    if isinstance(ours, int | float):
        try:
            return abs(float(str(theirs)) - ours) < _HARDLY
        except ValueError:
            return False
    told = str(theirs).strip()
    return told == ours or _same_instant(ours, told)


def _same_instant(ours: str, theirs: str) -> bool:
    """Say whether two texts are the same second; not every CRM keeps milliseconds."""
    if not (ours[:4].isdigit() and theirs[:4].isdigit()):
        return False
    try:
        mine, other = datetime.fromisoformat(ours), datetime.fromisoformat(theirs)
    except ValueError:
        return False
    if (mine.tzinfo is None) != (other.tzinfo is None):
        return False
    return abs((mine - other).total_seconds()) < 1

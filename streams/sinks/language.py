"""The language of sinks: which CRM, which of its records, which of its fields.

A sink is read like a model: unknown keys are mistakes, and every mistake is told
with its line, its path and what was probably meant.
"""

from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from limits import parse
from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from schemas.time import SECOND
from schemas.workspace import DEFAULT_WORKSPACE
from scorers.parts import Duration, Name, Part

Kind = Literal["hubspot", "salesforce", "pipedrive", "odoo", "webhook"]

Source = Literal[
    "lead_id",
    "sequence",
    "score",
    "previous",
    "delta",
    "tier",
    "previous_tier",
    "grade",
    "reasons",
    "reasons_against",
    "cause",
    "as_of",
    "next_change_at",
    "email",
    "user_id",
    "account_id",
    "owner",
    "model",
    "do_not_email",
]
"""What of a score update can be written into a field."""

Scalar = str | int | float | bool | None

_OBJECTS: Final[dict[Kind, str]] = {
    "hubspot": "contacts",
    "salesforce": "Contact",
    "pipedrive": "persons",
    "odoo": "res.partner",
    "webhook": "",
}
_URLS: Final[dict[Kind, str]] = {
    "hubspot": "https://api.hubapi.com",
    "pipedrive": "https://api.pipedrive.com",
}
_RATES: Final[dict[Kind, str]] = {
    "hubspot": "4/second",
    "salesforce": "4/second",
    "pipedrive": "3/second",
    "odoo": "4/second",
    "webhook": "20/second",
}
_MOST: Final[dict[Kind, int]] = {
    "hubspot": 100,
    "salesforce": 200,
    "pipedrive": 1,
    "odoo": 100,
    "webhook": 100,
}
"""What one request of each may carry, as documented (Odoo and ours: as is usual)."""


def _check_rate(text: str) -> str:
    try:
        parse(text)
    except ValueError:
        msg = "is no rate: write one such as 4/second or 100/minute"
        raise ValueError(msg) from None
    return text


def _check_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        msg = "must be an address such as https://example.com"
        raise ValueError(msg)
    if parts.username or parts.password:
        msg = "must hold no password: set LEADPULSE_SINK_SECRETS"
        raise ValueError(msg)
    return text.rstrip("/")


class Reading(Part):
    """How a field's value is made of a score update."""

    value: Source | None = None
    """What of the update it is."""
    group: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    """The points of this group of the model."""
    constant: Scalar = None
    """The same for every lead."""
    table: dict[str, Scalar] | None = None
    """What a value is called in the CRM; one that is not listed stays as it is."""
    otherwise: Scalar = None
    """What a value becomes that the table does not list."""
    time: Literal["iso", "plain", "date", "seconds", "milliseconds"] = "iso"
    """How an instant is written; `plain` is 2026-11-21 10:09:00 in UTC, for Odoo."""
    whole: bool = False
    """Round a number to a whole one."""
    longest: Annotated[int, Field(ge=1, le=65_536)] = 255
    """Characters that the CRM's field holds; what is longer is cut."""
    separator: Annotated[str, Field(min_length=1, max_length=8)] = "; "
    """What stands between reasons."""
    most: Annotated[int, Field(ge=1, le=5)] = 5
    """How many reasons there are at most."""

    @model_validator(mode="after")
    def _is_one_thing(self) -> "Reading":
        given = self.model_fields_set & {"value", "group", "constant"}
        if len(given) != 1:
            msg = "needs `value`, `group` or `constant`, one of them"
            raise ValueError(msg)
        return self


def _shape(value: Any) -> str | None:
    if isinstance(value, str):
        return "<text>"
    return "<reading>" if isinstance(value, dict | Reading) else None


Value = Annotated[
    Annotated[Source, Tag("<text>")] | Annotated[Reading, Tag("<reading>")],
    Discriminator(
        _shape,
        custom_error_type="value_kind",
        custom_error_message="must be a name such as score, or a mapping with "
        "`value`, `group` or `constant`",
    ),
]
FieldName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.]+$", max_length=128)]
Values = dict[FieldName, Value]


class Match(Part):
    """How a lead's record is found in the CRM."""

    field: FieldName
    """The CRM's field that is unique to a record."""
    by: Literal["email", "user_id", "lead_id"] = "email"
    """What of the lead stands in it; of several addresses or ids the first."""


class Sink(Part):
    """Where scores are written: one CRM, one kind of its records."""

    sink: Name
    """Its name in words-with-dashes: of its group, its secrets and its metrics."""
    kind: Kind
    """Which CRM; `webhook` is any that takes signed webhooks."""
    url: Annotated[str, AfterValidator(_check_url)] = ""
    """Where it is; the vendor's own address if absent."""
    object: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.]*$", max_length=128)] = ""
    """Which kind of record; contacts, Contact, persons or res.partner if absent."""
    match: Match | None = None
    """How a lead's record is found."""
    fields: Values = {}
    """The CRM's fields, and what is written into them."""
    create: Values | None = None
    """Fields of a record that is made for a lead it has none for; never if absent."""
    workspace: str = DEFAULT_WORKSPACE
    """Whose leads."""
    wait: Duration = 2 * SECOND
    """How long changes are gathered, so that batches are full."""
    batch: Annotated[int, Field(ge=1, le=1_000)] | None = None
    """Records in one request; what the CRM takes if absent."""
    rate: Annotated[str, AfterValidator(_check_rate)] = ""
    """Batches at most, as 4/second; each takes two or three requests."""
    timeout: Duration = 30 * SECOND
    """How long an answer may take."""
    database: Annotated[str, Field(max_length=128)] = ""
    """Odoo: which database."""
    login: Annotated[str, Field(max_length=256)] = ""
    """Odoo: the user's name."""
    client_id: Annotated[str, Field(max_length=512)] = ""
    """HubSpot, Salesforce: of an OAuth app; the secret is a setting."""
    api_version: Annotated[str, Field(pattern=r"^\d{1,3}\.\d$")] = "62.0"
    """Salesforce: of its REST API."""

    @model_validator(mode="after")
    def _can_be_reached(self) -> "Sink":
        needs = {
            "salesforce": ("url", "client_id"),
            "odoo": ("url", "database", "login"),
            "webhook": ("url",),
        }.get(self.kind, ())
        for key in needs:
            if not getattr(self, key):
                msg = f"a sink of the kind {self.kind} needs `{key}`"
                raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _can_be_written(self) -> "Sink":
        if self.kind == "webhook":
            for key in ("match", "fields", "create"):
                if key in self.model_fields_set:
                    msg = (
                        f"a webhook has no `{key}`: it carries the whole update, and "
                        "whoever takes it picks"
                    )
                    raise ValueError(msg)
            return self
        if self.match is None or not self.fields:
            missing = "match" if self.match is None else "fields"
            msg = f"a sink of the kind {self.kind} needs `{missing}`"
            raise ValueError(msg)
        why = {
            "lead_id": "an erased person is found by it",
            "sequence": "an older score is told from a newer one by it",
        }
        for source, reason in why.items():
            if source not in self.fields.values():
                msg = f"`fields` needs one with the value {source}: {reason}"
                raise ValueError(msg)
        return self

    @property
    def lead_field(self) -> str:
        """The CRM's field that holds the lead id."""
        return self._field_of("lead_id")

    @property
    def sequence_field(self) -> str:
        """The CRM's field that holds the number of the update."""
        return self._field_of("sequence")

    @property
    def record(self) -> str:
        """The CRM's name of the records."""
        return self.object or _OBJECTS[self.kind]

    @property
    def address(self) -> str:
        """Where the CRM is."""
        return self.url or _URLS[self.kind]

    @property
    def most(self) -> int:
        """How many records one request carries."""
        return min(self.batch or _MOST[self.kind], _MOST[self.kind])

    @property
    def attempts(self) -> str:
        """How many batches may be tried in a time."""
        return self.rate or _RATES[self.kind]

    def _field_of(self, source: Source) -> str:
        return next(name for name, value in self.fields.items() if value == source)


def reading(value: Value) -> Reading:
    """Return a value as the whole reading that it is short for."""
    if isinstance(value, Reading):
        return value
    return Reading(value=value)

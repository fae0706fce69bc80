"""Mappings as providers: each has a webhook of its own, without code."""

from collections.abc import Iterable
from typing import Final

import msgspec

from schemas.event import Event
from streams.collector.adapters.form import form_fields
from streams.collector.adapters.provider import (
    Envelope,
    Guard,
    Incoming,
    Provider,
    Taken,
)
from streams.collector.mapping.compiled import CompiledMapping, Delivery
from streams.collector.mapping.files import MappingFileError
from streams.collector.mapping.payload import fields_of_form, read_payload
from streams.collector.verdict import Refused

_MULTIPART: Final = "multipart/form-data"
_UNFIT: Final = "fits no event"
_encode: Final = msgspec.json.Encoder().encode


def mapped_provider(mapping: CompiledMapping, guard: Guard | None = None) -> Provider:
    """Return the provider whose payloads `mapping` reads; `guard` checks who sends."""

    def adapt(incoming: Incoming, envelope: Envelope) -> Taken:
        if incoming.headers.get("content-type", "").lower().startswith(_MULTIPART):
            payload = fields_of_form(form_fields(incoming))
        else:
            payload = read_payload(incoming.body)
        return take(mapping, payload, envelope)

    return Provider(name=mapping.mapping.mapping, adapt=adapt, guard=guard)


def take(mapping: CompiledMapping, payload: object, envelope: Envelope) -> Taken:
    """Return what `mapping` makes of a payload, nothing of it left out."""
    delivery = Delivery(
        source=envelope.source,
        workspace=envelope.workspace,
        received_at=envelope.received_at,
    )
    taken = Taken()
    for index, mapped in enumerate(mapping.payload(payload, delivery)):
        if not mapped.outcomes:
            taken.ignored.append(_UNFIT)
        rejections = [each for each in mapped.outcomes if not isinstance(each, Event)]
        taken.events += [each for each in mapped.outcomes if isinstance(each, Event)]
        if rejections:
            # One dead letter for a record, whatever is wrong with it.
            raw = _encode(mapped.record)
            taken.refused.append(Refused(index=index, rejection=rejections[0], raw=raw))
    return taken


def check_names(names: Iterable[str], taken: Iterable[str]) -> None:
    """Refuse mappings that are called as a provider is.

    Raises
    ------
    MappingFileError
        Naming the first.
    """
    for name in sorted(set(names) & set(taken)):
        msg = f"a mapping cannot be called '{name}': a provider is; call it otherwise"
        raise MappingFileError(msg)

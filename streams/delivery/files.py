"""Finding and reading the delivery file: every mistake at once, with its place."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from string import Formatter
from typing import Any, Final

from scorers.consistency import Inconsistency
from scorers.loading import ModelError, load_part
from streams.delivery.language import OWNER, DeliveryFile
from streams.errors import UserError
from streams.model_files import read_text
from streams.settings import Settings

_SHIPPED: Final = (
    Path(__file__).parents[1] / "delivery.yaml",  # in an installed wheel
    Path(__file__).parents[2] / "deploy" / "delivery.yaml",  # in a checkout
)
_PLACES: Final = {
    "lead": ("lead_id", "user_id", "email"),
    "account": ("account_id", "domain"),
}
NEEDS_SECRET: Final[Mapping[str, str]] = {
    "slack": "the bot's token (xoxb-…)",
    "teams": "the URL of the workflow",
    "webhook": "the key that webhooks are signed with (whsec_…)",
    "pagerduty": "the integration's routing key",
}
"""What the kinds of target cannot do without."""


class DeliveryFileError(UserError):
    """The delivery file cannot be used; the text says where and why."""


def shipped_file() -> Path:
    """Return where the delivery file that comes with Leadpulse is."""
    return next(path for path in _SHIPPED if path.is_file())


def load_delivery(text: str, source: str) -> DeliveryFile:
    """Return what `text` says; `source` is its name in messages.

    Raises
    ------
    ModelError
        With every problem there is, not only the first.
    """
    return load_part(DeliveryFile, text, source, check=contradictions)


def read_delivery(settings: Settings) -> DeliveryFile:
    """Return the delivery file in force, with a secret for whoever needs one.

    Raises
    ------
    DeliveryFileError
        When there is no such file, it is wrong, or a secret is missing.
    """
    path = settings.delivery_path
    if path is None:
        msg = (
            "there is no delivery file: set LEADPULSE_DELIVERY_PATH; "
            f"{shipped_file()} is one to begin with"
        )
        raise DeliveryFileError(msg)
    try:
        found = load_delivery(read_text(path), str(path))
    except ModelError as error:
        raise DeliveryFileError(str(error)) from None
    missing = missing_secrets(found, settings)
    if missing:
        raise DeliveryFileError("; ".join(missing))
    return found


def missing_secrets(file: DeliveryFile, settings: Settings) -> list[str]:
    """Return what is wrong with the secrets of the targets, one line each."""
    given = settings.delivery_secrets
    lines = [
        f"LEADPULSE_DELIVERY_SECRETS: {name} needs {NEEDS_SECRET[target.kind]}: "
        f"add a line {name}=…"
        for name, target in file.targets.items()
        if target.kind in NEEDS_SECRET and name not in given
    ]
    lines += [
        f"LEADPULSE_DELIVERY_SECRETS: there is no target {name!r}"
        for name in given
        if name not in file.targets
    ]
    return lines


def contradictions(data: Mapping[str, Any]) -> Iterator[Inconsistency]:
    """Yield what one part of a file says and another does not know."""
    people, targets = _names(data, "people"), _names(data, "targets")
    for index, route in enumerate(_list(data.get("routes"))):
        to = route.get("to") if isinstance(route, Mapping) else None
        for place, name in enumerate(_list(to)):
            if isinstance(name, str) and name not in targets:
                yield Inconsistency(
                    ("routes", index, "to", place)
                    if isinstance(to, list)
                    else ("routes", index, "to"),
                    f"there is no target '{name}'",
                    name,
                    targets,
                )
        yield from _twice(data, index, route)
    for name, target in _items(data.get("targets")):
        to = target.get("to") if isinstance(target, Mapping) else None
        for place, person in enumerate(_list(to)):
            if isinstance(person, str) and person not in (*people, OWNER):
                yield Inconsistency(
                    ("targets", name, "to", place)
                    if isinstance(to, list)
                    else ("targets", name, "to"),
                    f"there is nobody called '{person}' among the people",
                    person,
                    (*people, OWNER),
                )
    for name, url in _items(data.get("links")):
        yield from _places(name, url)


def _twice(data: Mapping[str, Any], index: int, route: Any) -> Iterator[Inconsistency]:
    name = route.get("name") if isinstance(route, Mapping) else None
    earlier = [
        each.get("name")
        for each in _list(data.get("routes"))[:index]
        if isinstance(each, Mapping)
    ]
    if name is not None and name in earlier:
        yield Inconsistency(
            ("routes", index, "name"), f"there is another route called '{name}'"
        )


def _places(name: str, url: Any) -> Iterator[Inconsistency]:
    known = _PLACES.get(name, ())
    if not isinstance(url, str) or not known:
        return
    try:
        used = [field for _, field, _, _ in Formatter().parse(url) if field is not None]
    except ValueError:
        yield Inconsistency(("links", name), "a brace { is opened and never closed")
        return
    for field in used:
        if field not in known:
            yield Inconsistency(
                ("links", name), f"there is no {{{field}}} here", field, known
            )


def _names(data: Mapping[str, Any], key: str) -> tuple[str, ...]:
    return tuple(name for name, _ in _items(data.get(key)))


def _items(value: Any) -> Iterable[tuple[str, Any]]:
    return value.items() if isinstance(value, Mapping) else ()


def _list(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    return [value] if isinstance(value, str) else []


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a delivery file, every key described."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **DeliveryFile.model_json_schema(by_alias=True),
        "title": "Leadpulse delivery",
    }

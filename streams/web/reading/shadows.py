"""Models that run beside the primary, held against it on what they scored lately."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import msgspec

from schemas.model_version import PRIMARY
from schemas.score import ScoreUpdate
from schemas.time import Instant, to_instant
from schemas.topics import SIDE_UPDATES
from streams.model_log import History
from streams.topic_reader import TopicReader

if TYPE_CHECKING:
    from streams.settings import Settings

_LATEST: Final = 1_000
"""Updates of each partition that are looked at."""
_MOVES: Final = 40


class ShadowMove(msgspec.Struct, frozen=True, kw_only=True):
    """A lead that a model beside the primary puts into another tier."""

    lead_id: str
    score: float
    shadow_score: float
    tier: str
    shadow_tier: str


class Shadow(msgspec.Struct, frozen=True, kw_only=True):
    """A model beside the primary, held against it on leads that it scored lately."""

    slot: str
    version: str
    digest: str
    since: Instant
    leads: int
    changed: int
    moves: tuple[ShadowMove, ...]


def read_shadows(settings: "Settings", history: History) -> list[Shadow]:
    """Return what runs beside the primary, with every lead that it scored lately.

    Raises
    ------
    UserError
        When the topic cannot be read.
    """
    beside = [slot for slot in history.slots() if slot != PRIMARY]
    versions = [last for slot in beside if (last := history.last(slot))]
    if not versions:
        return []
    found: dict[str, dict[str, ScoreUpdate]] = {}
    with TopicReader(settings) as reader:
        topic = settings.topic(SIDE_UPDATES.name)
        for message in reader.read(topic, latest=_LATEST):
            update = _update(message.value())
            if update is not None:
                found.setdefault(update.model.digest, {})[update.lead_id] = update
    return [
        Shadow(
            slot=each.slot,
            version=each.model.version,
            digest=each.model.digest,
            since=to_instant(each.at),
            leads=0,
            changed=0,
            moves=tuple(
                ShadowMove(
                    lead_id=update.lead_id,
                    score=0.0,
                    shadow_score=update.score,
                    tier="",
                    shadow_tier=update.tier,
                )
                for update in found.get(each.model.digest, {}).values()
            ),
        )
        for each in versions
    ]


def held_against(shadow: Shadow, present: Mapping[str, tuple[float, str]]) -> Shadow:
    """Return `shadow` beside what the primary says: score and tier by lead id."""
    both = [
        msgspec.structs.replace(
            each, score=present[each.lead_id][0], tier=present[each.lead_id][1]
        )
        for each in shadow.moves
        if each.lead_id in present
    ]
    changed = [each for each in both if each.tier != each.shadow_tier]
    changed.sort(key=lambda each: -abs(each.shadow_score - each.score))
    return msgspec.structs.replace(
        shadow, leads=len(both), changed=len(changed), moves=tuple(changed[:_MOVES])
    )


def _update(value: bytes | None) -> ScoreUpdate | None:
    try:
        return None if value is None else _UPDATE.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


_UPDATE: Final = msgspec.json.Decoder(ScoreUpdate)

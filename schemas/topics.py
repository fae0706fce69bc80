"""The topics, as data: names, keys, what they hold and how long they keep it.

Names are ``<noun>.<plural>.v1``. Everything a lead's state depends on has the same
number of partitions and the same key, so one worker owns all of a lead.
"""

from typing import Final, Literal

import msgspec

from schemas import cloudevents
from schemas.account import AccountCommand, AccountScore
from schemas.alert import Alert
from schemas.command import Command
from schemas.delivery import DeliveryRecord
from schemas.event import Channel, Event
from schemas.model_version import ModelVersion
from schemas.privacy import AuditRecord, Suppression
from schemas.score import ScoreUpdate
from schemas.time import DAY
from schemas.training import TrainingRecord

CleanupPolicy = Literal["delete", "compact"]


class Topic(msgspec.Struct, frozen=True, kw_only=True):
    """One topic: its address and its promise."""

    name: str
    key: str
    message: object
    description: str
    ce_type: str | None = None
    """The CloudEvents type of its messages; None where bytes pass untouched."""
    cleanup_policy: CleanupPolicy = "delete"
    retention_ms: int | None = None
    min_compaction_lag_ms: int | None = None
    max_compaction_lag_ms: int | None = None
    """By when a record that a later one replaced, or that was erased, is gone."""
    raw: bool = False
    """Whether it is kept as long as the deployment says, for replays."""
    co_partitioned: bool = True
    """Whether it must have the same number of partitions as the event topics."""

    def config(self) -> dict[str, str]:
        """Return the broker's settings for this topic."""
        config: dict[str, str] = {"cleanup.policy": self.cleanup_policy}
        if self.cleanup_policy == "delete":
            retention = self.retention_ms
            config["retention.ms"] = str(-1 if retention is None else retention)
        if self.min_compaction_lag_ms is not None:
            config["min.compaction.lag.ms"] = str(self.min_compaction_lag_ms)
        if self.max_compaction_lag_ms is not None:
            config["max.compaction.lag.ms"] = str(self.max_compaction_lag_ms)
        return config


def _events(channel: Channel, description: str) -> Topic:
    return Topic(
        name=f"{channel}.events.v1",
        key="lead id of the strongest identifier in the event",
        message=Event,
        description=description,
        ce_type=cloudevents.EVENT,
        retention_ms=365 * DAY,
        raw=True,
    )


WEB_EVENTS: Final = _events("web", "Pages, offers, forms and content on the site.")
EMAIL_EVENTS: Final = _events("email", "Opens, clicks, bounces, unsubscribes.")
SOCIAL_EVENTS: Final = _events("social", "Likes, shares, replies, follows.")
CRM_EVENTS: Final = _events("crm", "Traits, meetings, stages and outcomes.")

COMMANDS: Final = Topic(
    name="lead.commands.v1",
    key="lead id",
    message=Command,
    ce_type=cloudevents.COMMAND,
    description="What the pipeline says to itself: wake-ups and forwarded events.",
    retention_ms=365 * DAY,
    raw=True,
)
LEAD_STATE: Final = Topic(
    name="lead.states.v1",
    key="lead id",
    message=bytes,
    description="The score table's changelog; internal, MessagePack.",
    cleanup_policy="compact",
    min_compaction_lag_ms=DAY,
    max_compaction_lag_ms=7 * DAY,
)
SCORE_UPDATES: Final = Topic(
    name="lead.score-updates.v1",
    key="lead id",
    message=ScoreUpdate,
    ce_type=cloudevents.SCORE_UPDATE,
    description="Every published change of a score; the latest of every lead stays.",
    cleanup_policy="compact",
    min_compaction_lag_ms=7 * DAY,
    max_compaction_lag_ms=14 * DAY,
)
MODEL_VERSIONS: Final = Topic(
    name="model.versions.v1",
    key="slot and instant; the same record is on every partition",
    message=ModelVersion,
    ce_type=cloudevents.MODEL_VERSION,
    description="Which model is in force from when on; every version stays.",
    cleanup_policy="compact",
)
SIDE_STATE: Final = Topic(
    name="lead.side-states.v1",
    key="slot and lead id",
    message=bytes,
    description="Changelog of the models beside the primary; internal, MessagePack.",
    cleanup_policy="compact",
    min_compaction_lag_ms=DAY,
    max_compaction_lag_ms=7 * DAY,
)
SIDE_UPDATES: Final = Topic(
    name="lead.side-updates.v1",
    key="lead id",
    message=ScoreUpdate,
    ce_type=cloudevents.SCORE_UPDATE,
    description="What models beside the primary score: shadows, products, regions.",
    retention_ms=30 * DAY,
)
ACCOUNT_MEMBERS: Final = Topic(
    name="account.members.v1",
    key="account id",
    message=AccountCommand,
    ce_type=cloudevents.ACCOUNT_COMMAND,
    description="What leads tell their accounts, and the accounts' wake-ups; internal.",
    retention_ms=30 * DAY,
)
ACCOUNT_STATE: Final = Topic(
    name="account.states.v1",
    key="account id",
    message=bytes,
    description="The account table's changelog; internal, MessagePack.",
    cleanup_policy="compact",
    min_compaction_lag_ms=DAY,
    max_compaction_lag_ms=7 * DAY,
)
ACCOUNT_SCORES: Final = Topic(
    name="account.scores.v1",
    key="account id",
    message=AccountScore,
    ce_type=cloudevents.ACCOUNT_SCORE,
    description="What each account's people add up to; the latest of each stays.",
    cleanup_policy="compact",
    min_compaction_lag_ms=7 * DAY,
    max_compaction_lag_ms=14 * DAY,
)
NOTIFICATIONS: Final = Topic(
    name="notifications.v1",
    key="lead id; account id where the alert is about an account",
    message=Alert,
    ce_type=cloudevents.ALERT,
    description="Alerts: a lead became hot, an account surges, and why.",
    retention_ms=30 * DAY,
)
DELIVERIES: Final = Topic(
    name="deliveries.v1",
    key="target and alert id, on the partition of the alert",
    message=DeliveryRecord,
    ce_type=cloudevents.DELIVERY,
    description="What delivery remembers: what was told where, and what waits.",
    cleanup_policy="compact",
    min_compaction_lag_ms=DAY,
    max_compaction_lag_ms=7 * DAY,
)
SUPPRESSIONS: Final = Topic(
    name="lead.suppressions.v1",
    key="keyed hash of a lead id; the same record is on every partition",
    message=Suppression,
    ce_type=cloudevents.SUPPRESSION,
    description="Who was erased and must not be known again; every entry stays.",
    cleanup_policy="compact",
)
AUDIT: Final = Topic(
    name="audit.records.v1",
    key="keyed hash of a lead id",
    message=AuditRecord,
    ce_type=cloudevents.AUDIT,
    description="What was erased, when and for whom it must be shown; never deleted.",
    co_partitioned=False,
)
TRAINING: Final = Topic(
    name="lead.training.v1",
    key="lead id",
    message=TrainingRecord,
    ce_type=cloudevents.TRAINING,
    description="How leads stood when something was decided, and what came of them.",
    cleanup_policy="compact",
    min_compaction_lag_ms=DAY,
    max_compaction_lag_ms=7 * DAY,
)
DEAD_LETTERS: Final = Topic(
    name="dead-letters.v1",
    key="the source's key, untouched",
    message=bytes,
    description="Records that could not be processed: bytes untouched, story added.",
    retention_ms=30 * DAY,
    co_partitioned=False,
)

EVENT_TOPICS: Final = (WEB_EVENTS, EMAIL_EVENTS, SOCIAL_EVENTS, CRM_EVENTS)
TOPICS: Final = (
    *EVENT_TOPICS,
    COMMANDS,
    LEAD_STATE,
    SCORE_UPDATES,
    MODEL_VERSIONS,
    SIDE_STATE,
    SIDE_UPDATES,
    ACCOUNT_MEMBERS,
    ACCOUNT_STATE,
    ACCOUNT_SCORES,
    NOTIFICATIONS,
    DELIVERIES,
    SUPPRESSIONS,
    AUDIT,
    TRAINING,
    DEAD_LETTERS,
)

_TOPIC_OF_CHANNEL: Final[dict[Channel, Topic]] = {
    "web": WEB_EVENTS,
    "content": WEB_EVENTS,
    "email": EMAIL_EVENTS,
    "social": SOCIAL_EVENTS,
    "crm": CRM_EVENTS,
}


def topic_for(event: Event) -> Topic:
    """Return the topic an event belongs on; content travels with the web."""
    return _TOPIC_OF_CHANNEL[event.channel]

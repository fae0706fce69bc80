"""What delivery remembers: which alert was told where, and what waits to be told."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec

from schemas.alert import Alert

Standing = Literal["held", "told", "ended", "worked", "dropped", "undeliverable"]
"""held: it waits for a digest or the end of quiet hours. told: the target has it.
ended: the lead cooled, or the alert was withdrawn, and the target shows it. worked:
sales took it up. dropped: nobody needs to be told. undeliverable: a dead letter."""


class Delivery(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    tag_field="record",
    tag="delivery",
):
    """How it stands with one alert at one target; the latest of each counts."""

    target: Annotated[str, msgspec.Meta(description="Its name in the delivery file.")]
    standing: Standing
    at: Annotated[datetime, msgspec.Meta(tz=True)]
    alert: Annotated[Alert, msgspec.Meta(description="What is told, or was.")]
    people: Annotated[
        tuple[str, ...],
        msgspec.Meta(description="Whom it is for, as the delivery file calls them."),
    ] = ()
    due_at: Annotated[
        Annotated[datetime, msgspec.Meta(tz=True)] | None,
        msgspec.Meta(description="held: when it is told."),
    ] = None
    digest: Annotated[
        bool, msgspec.Meta(description="held: whether it is told in a digest.")
    ] = False
    handle: Annotated[
        str, msgspec.Meta(description="The target's own name for its message.")
    ] = ""
    by: Annotated[
        str, msgspec.Meta(description="worked: who took it up, if that was said.")
    ] = ""

    @property
    def key(self) -> str:
        """The key of its record."""
        return f"{self.target}/{self.alert.id}"


class DigestStopped(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    tag_field="record",
    tag="digest-stopped",
):
    """Somebody wants no digests any more."""

    target: str
    person: Annotated[str, msgspec.Meta(description="As the delivery file says it.")]
    at: Annotated[datetime, msgspec.Meta(tz=True)]

    @property
    def key(self) -> str:
        """The key of its record."""
        return f"stopped/{self.target}/{self.person}"


DeliveryRecord = Delivery | DigestStopped

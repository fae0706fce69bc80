"""The vocabulary: the event names everybody uses, and the channel of each.

Adapters spell a vendor's names as they are spelt here, so that one rule of a model
fits all sources. A name that is not listed passes as it came.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from schemas.event import Channel, EventType

NAMES: Final[Mapping[Channel, tuple[str, ...]]] = {
    "web": (
        "Offer Clicked",
        "Form Submitted",
        "Demo Requested",
        "Information Requested",
        "Product Viewed",
        "Video Watched",
        "Search Performed",
    ),
    "email": (
        "Email Delivered",
        "Email Opened",
        "Email Link Clicked",
        "Offer Downloaded",
        "Email Bounced",
        "Email Marked as Spam",
        "Unsubscribed",
        "Resubscribed",
        "Email Replied",
    ),
    "social": (
        "Page Liked",
        "Post Liked",
        "Post Shared",
        "Post Replied",
        "Followed",
        "Mentioned",
        "Offer Downloaded",
    ),
    "content": (
        "Content Viewed",
        "Content Clicked",
        "Content Downloaded",
        "Webinar Registered",
        "Webinar Attended",
    ),
    "crm": (
        "Meeting Held",
        "Call Logged",
        "Email Replied",
        "Stage Changed",
        "Budget Stated",
        "Lead Assigned",
        "Lead Acknowledged",
        "Lead Qualified",
        "Lead Disqualified",
        "Lead Snoozed",
        "Deal Won",
        "Deal Lost",
        "Deal Reopened",
        "Deal Corrected",
        "Consent Given",
        "Consent Withdrawn",
    ),
}
"""Names of `track` events; one that two channels share is told apart by properties."""

MARKS: Final[Mapping[Channel, frozenset[str]]] = {
    "email": frozenset({"email_id", "campaign_id"}),
    "social": frozenset({"network", "post_id"}),
    "crm": frozenset({"owner", "stage"}),
}
"""Properties that tell which channel a shared name belongs to."""

TRAITS: Final = (
    "company",
    "employees",
    "annual_revenue",
    "industry",
    "title",
    "seniority",
    "country",
    "age",
    "budget",
    "decision_date",
    "lifecycle_stage",
    "owner",
    "consent",
)
"""Traits that the default model and every adapter use."""

_CHANNEL_OF_TYPE: Final[Mapping[EventType, Channel]] = {
    "page": "web",
    "identify": "crm",
    "group": "crm",
    "alias": "crm",
}
_SEPARATORS: Final = re.compile(r"[\s_-]+")


def _folded(name: str) -> str:
    return _SEPARATORS.sub(" ", name).strip().casefold()


_SPELLING: Final = {_folded(name): name for names in NAMES.values() for name in names}
_CHANNELS_OF_NAME: Final[dict[str, tuple[Channel, ...]]] = {
    name: tuple(channel for channel, names in NAMES.items() if name in names)
    for name in _SPELLING.values()
}


@lru_cache(maxsize=4096)
def spell(name: str) -> str:
    """Return `name` as the vocabulary spells it; unknown names as they are.

    >>> spell("email_opened"), spell("DEAL WON"), spell("Lamp Rubbed")
    ('Email Opened', 'Deal Won', 'Lamp Rubbed')
    """
    return name if name in _CHANNELS_OF_NAME else _SPELLING.get(_folded(name), name)


def channel_of(kind: EventType, name: str, properties: Mapping[str, Any]) -> Channel:
    """Return the channel of an event whose `name` is spelt as here.

    A name that two channels share goes to the one whose properties it carries,
    else to the first; a name that is not in the vocabulary belongs to the web.

    >>> channel_of("track", "Offer Downloaded", {"network": "linkedin"})
    'social'
    >>> channel_of("track", "Offer Downloaded", {}), channel_of("page", "Home", {})
    ('email', 'web')
    """
    if kind != "track":
        return _CHANNEL_OF_TYPE[kind]
    channels = _CHANNELS_OF_NAME.get(name, ("web",))
    if len(channels) > 1:
        for channel in channels:
            if not MARKS[channel].isdisjoint(properties):
                return channel
    return channels[0]

"""The registry: every provider whose requests are taken in. Routes are made from it.

Segment's own API has its routes in `app`: its keys may stand in every message.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from streams.collector.adapters.amazon_ses import AMAZON_SES
from streams.collector.adapters.amplitude import AMPLITUDE, AMPLITUDE_BATCH
from streams.collector.adapters.brevo import BREVO
from streams.collector.adapters.crm_signatures import HUBSPOT_GUARD, TYPEFORM_GUARD
from streams.collector.adapters.linkedin import LINKEDIN
from streams.collector.adapters.mailersend import MAILERSEND
from streams.collector.adapters.mailgun import MAILGUN
from streams.collector.adapters.mailjet import MAILJET
from streams.collector.adapters.mailtrap import MAILTRAP
from streams.collector.adapters.mandrill import MANDRILL
from streams.collector.adapters.meta import META
from streams.collector.adapters.mixpanel import MIXPANEL, MIXPANEL_IMPORT
from streams.collector.adapters.posthog import (
    POSTHOG,
    POSTHOG_CONFIG,
    POSTHOG_FLAGS,
)
from streams.collector.adapters.postmark import POSTMARK
from streams.collector.adapters.provider import Guard, Provider
from streams.collector.adapters.resend import RESEND
from streams.collector.adapters.rudderstack import RUDDERSTACK_CONFIG
from streams.collector.adapters.sendgrid import SENDGRID, SENDGRID_INBOUND
from streams.collector.adapters.slack import SLACK
from streams.collector.adapters.snowplow import SNOWPLOW, SNOWPLOW_PIXEL
from streams.collector.adapters.sparkpost import SPARKPOST
from streams.collector.adapters.x import X

TRACKERS: Final[Sequence[Provider]] = (
    AMPLITUDE,
    AMPLITUDE_BATCH,
    MIXPANEL,
    MIXPANEL_IMPORT,
    POSTHOG,
    POSTHOG_CONFIG,
    POSTHOG_FLAGS,
    RUDDERSTACK_CONFIG,
    SNOWPLOW,
    SNOWPLOW_PIXEL,
)
"""Clients of analytics products, unchanged but for the host."""

PROVIDERS: Final[Sequence[Provider]] = (
    AMAZON_SES,
    BREVO,
    LINKEDIN,
    MAILERSEND,
    MAILGUN,
    MAILJET,
    MAILTRAP,
    MANDRILL,
    META,
    POSTMARK,
    RESEND,
    SENDGRID,
    SENDGRID_INBOUND,
    SLACK,
    SPARKPOST,
    X,
    *TRACKERS,
)

GUARDS: Final[Mapping[str, Guard]] = {
    "hubspot": HUBSPOT_GUARD,
    "typeform": TYPEFORM_GUARD,
}
"""What checks who sends to the mapping of this name."""

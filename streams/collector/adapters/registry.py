"""The registry: every provider whose requests are taken in. Routes are made from it.

Segment's own API has its routes in `app`: its keys may stand in every message.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from streams.collector.adapters.mailjet import MAILJET
from streams.collector.adapters.provider import Guard, Provider

PROVIDERS: Final[Sequence[Provider]] = (MAILJET,)

GUARDS: Final[Mapping[str, Guard]] = {}
"""What checks who sends to the mapping of this name."""

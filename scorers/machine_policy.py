"""What a model says of machine traffic: which detectors look, and how far they see."""

import ipaddress
from typing import Annotated, Final, Literal, get_args

from pydantic import AfterValidator, Field

from schemas.score import MachineReason
from schemas.time import MINUTE, SECOND
from scorers.parts import Domain, Part, PositiveDuration

DETECTORS: Final[tuple[MachineReason, ...]] = get_args(MachineReason)
"""Every detector, by the reason it gives; of several the first is told."""

MachineRule = Literal["ignored", "counts"]
"""Whether a rule counts what machines did."""


def _network(text: str) -> str:
    try:
        ipaddress.ip_network(text)
    except ValueError as error:
        msg = f"write an address or a network, such as 192.0.2.0/24: {error}"
        raise ValueError(msg) from None
    return text


def _path(text: str) -> str:
    if not text.startswith("/"):
        msg = "write the path of the link, beginning with a slash: /hidden"
        raise ValueError(msg)
    return text


Network = Annotated[str, Field(max_length=64), AfterValidator(_network)]
LinkPath = Annotated[str, Field(max_length=500), AfterValidator(_path)]
_Times = Annotated[int, Field(strict=True, ge=2, le=50)]


class Burst(Part):
    """So many opens and clicks of one mail at once are a scanner's."""

    least: _Times = 2
    """From so many on."""
    within: PositiveDuration = 3 * SECOND
    """In so short a time."""
    alike: bool = True
    """Count opens and clicks apart: many providers report an open with each click.
    An open beside a burst of clicks is the scanner's all the same."""


class AllLinks(Part):
    """Whoever follows every link of a mail at once is a scanner."""

    least: _Times = 3
    """Of mails that have so many links at least."""
    within: PositiveDuration = MINUTE
    """In so short a time."""


class AtDelivery(Part):
    """Nobody clicks in the moment in which the mail is delivered."""

    within: PositiveDuration = 2 * SECOND
    """Less than this from the delivery, before or after."""


class Honeypot(Part):
    """A link that people cannot see: who follows it is a machine."""

    paths: list[LinkPath] = []
    """Paths of such links; others say of themselves `honeypot: true`."""
    within: PositiveDuration = 10 * SECOND
    """What else happened to the same mail so near to it is the machine's as well."""


class Staff(Part):
    """The company's own people, who are no leads."""

    domains: list[Domain] = []
    """Domains of their addresses, with those below them."""
    networks: list[Network] = []
    """Addresses and networks from which they browse."""


class MachineTraffic(Part):
    """How machines are told from people. What they do is kept and gives no points."""

    off: list[MachineReason] = []
    """Detectors that do not look."""
    burst: Burst = Field(default_factory=Burst)
    """Several opens and clicks of a mail in one moment."""
    all_links: AllLinks = Field(default_factory=AllLinks)
    """Every link of a mail."""
    at_delivery: AtDelivery = Field(default_factory=AtDelivery)
    """A click in the moment of delivery."""
    honeypot: Honeypot = Field(default_factory=Honeypot)
    """A link that people cannot see."""
    staff: Staff = Field(default_factory=Staff)
    """The company's own people."""
    data_centres: Annotated[list[Network], Field(max_length=50_000)] = []
    """Networks in which programs live, not people."""

"""Whether an event is a machine's, judged from itself alone.

Producers and providers say so in many ways; what they do not say is told by the user
agent, by the address and by the link. Nothing here knows of other events
(`mail_bursts` does) and nothing reads a clock or a network.
"""

import ipaddress
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

from schemas.event import Event
from schemas.score import MachineAct, MachineReason
from scorers.free_mail import is_within
from scorers.identity import normalise_email
from scorers.machine_policy import MachineTraffic
from scorers.mail_bursts import CLICKED, DELIVERED, OPENED, TRAPPED, UNSUBSCRIBED
from scorers.user_agents import AgentKind, kind_of

FLAGS: Final = frozenset(
    {
        "machine",
        "machine_open",
        "machine_click",
        "sg_machine_open",
        "is_machine",
        "bot",
        "is_bot",
        "bot_click",
        "is_suspected_bot_click",
        "suspected_bot_click",
        "is_prefetched",
        "prefetched",
        "proxy_open",
    }
)
"""Properties by which trackers and mail providers say that a machine did it."""

_AGENTS: Final = ("user_agent", "useragent", "userAgent", "agent")
_ADDRESSES: Final = ("ip", "ip_address")
_MAILS: Final = ("email_id", "message_id", "campaign_id")
_LINKS: Final = ("link_url", "url", "link_id", "link")
_LINK_COUNTS: Final = ("links", "link_count")
_ONE_CLICK: Final = frozenset({"one_click", "list_unsubscribe"})

_ACTS: Final = {
    "email delivered": DELIVERED,
    "email opened": OPENED,
    "email link clicked": CLICKED,
    "offer downloaded": CLICKED,  # the click on a link that is a file
    "unsubscribed": UNSUBSCRIBED,
}
_WORDS: Final[Mapping[int, MachineAct]] = {
    OPENED: "opened",
    CLICKED: "clicked",
    TRAPPED: "clicked",
    UNSUBSCRIBED: "unsubscribed",
}
_OF_OPENS: Final = frozenset({"privacy-proxy", "image-proxy"})
_MOST_LINKS: Final = 1_000


class Traffic:
    """A model's machine traffic, ready to judge events."""

    def __init__(self, policy: MachineTraffic) -> None:
        """Prepare `policy`."""
        self.policy = policy
        self._off = frozenset(policy.off)
        staff = policy.staff
        self.staff_domains: frozenset[str] = (
            frozenset() if "staff" in self._off else frozenset(staff.domains)
        )
        """Domains of the company's own people, with those below them."""
        self._staff = _networks(() if "staff" in self._off else staff.networks)
        self._centres = _networks(
            () if "data-centre" in self._off else policy.data_centres
        )
        self._paths = (
            frozenset() if "honeypot" in self._off else frozenset(policy.honeypot.paths)
        )

    @property
    def knows_staff(self) -> bool:
        """Say whether addresses of the company's own people are known."""
        return bool(self.staff_domains)

    def judge(self, event: Event) -> MachineReason | None:
        """Return why `event` is a machine's, None for what may be a person's."""
        properties, context = event.properties, event.context
        if not FLAGS.isdisjoint(properties) and self._is_flagged(properties):
            return "flagged"
        if self.staff_domains and event.email and self.is_staff((event.email,)):
            return "staff"
        mailed = event.channel == "email"
        if not context and not mailed and not self._paths:
            return None
        holders = (context, properties) if mailed else (context,)
        address = _first(_ADDRESSES, *holders)
        if address is not None and self._staff(address):
            return "staff"
        if mailed and is_one_click(event):
            return None  # the mail program tells what its user pressed (RFC 8058)
        if self._is_trapped(event):
            return "honeypot"
        agent = _first(_AGENTS, *holders)
        if agent is not None and (kind := kind_of(agent)):
            reason = self._by_agent(kind, event)
            if reason is not None:
                return reason
        if address is not None and self._centres(address):
            return "data-centre"
        return None

    def is_staff(self, emails: Iterable[str]) -> bool:
        """Say whether one of the addresses is of the company's own people."""
        return any(
            is_within(normalise_email(email).rpartition("@")[2], self.staff_domains)
            for email in emails
        )

    def act_of(self, event: Event) -> int | None:
        """Return what a mail's event is as evidence, None for nothing."""
        act = _ACTS.get(event.name.casefold())
        if act == CLICKED and self._is_trapped(event):
            return TRAPPED
        if act == UNSUBSCRIBED and is_one_click(event):
            return None
        return act

    def _is_flagged(self, properties: Mapping[str, Any]) -> bool:
        return "flagged" not in self._off and any(
            _says_yes(properties.get(flag)) for flag in FLAGS
        )

    def _is_trapped(self, event: Event) -> bool:
        if "honeypot" in self._off:
            return False
        properties = event.properties
        if event.type == "page":
            return bool(self._paths) and properties.get("path") in self._paths
        if _ACTS.get(event.name.casefold()) != CLICKED:
            return False
        if _says_yes(properties.get("honeypot")):
            return True
        if not self._paths:
            return False
        link = _first(_LINKS[:2], properties)
        return link is not None and _path_of(link) in self._paths

    def _by_agent(self, kind: AgentKind, event: Event) -> MachineReason | None:
        match kind:
            case "privacy-proxy" | "image-proxy":
                opened = _ACTS.get(event.name.casefold()) == OPENED
                return kind if opened and kind not in self._off else None
            case "automation" | "crawler":
                return None if kind in self._off else kind
            case _:
                return None


def word_of(event: Event) -> MachineAct:
    """Return what a machine did, as people are told."""
    return act_word(_ACTS.get(event.name.casefold(), -1))


def act_word(act: int) -> MachineAct:
    """Return the word for an act of `mail_bursts`."""
    return _WORDS.get(act, "did")


def is_evidence(reason: MachineReason | None, act: int) -> bool:
    """Say whether an event tells anything of what else happened to its mail.

    An open that a proxy made does not: it stands for a person who reads elsewhere.
    """
    return act != OPENED or reason not in {*_OF_OPENS, "flagged"}


def is_one_click(event: Event) -> bool:
    """Say whether somebody unsubscribed by their mail program's own button."""
    if event.name.casefold() != "unsubscribed":
        return False
    properties = event.properties
    if any(_says_yes(properties.get(flag)) for flag in _ONE_CLICK):
        return True
    method = properties.get("method")
    if isinstance(method, str):
        plain = method.replace("-", "_").casefold()
        if plain in _ONE_CLICK:
            return True
    agent = _first(_AGENTS, event.context, properties)
    return agent is not None and kind_of(agent) == "list-unsubscribe"


def mail_of(event: Event) -> str | None:
    """Return which mail an event is about, None where it does not say."""
    return _first(_MAILS, event.properties)


def link_of(event: Event) -> str:
    """Return which link was followed; empty where it does not say."""
    return _first(_LINKS, event.properties) or ""


def links_in(event: Event) -> int:
    """Return how many links the mail has, 0 where the event does not say."""
    for name in _LINK_COUNTS:
        said = event.properties.get(name)
        if isinstance(said, list):
            return min(len({str(link) for link in said}), _MOST_LINKS)
        if isinstance(said, int) and not isinstance(said, bool):
            return min(max(said, 0), _MOST_LINKS)
    return 0


def _first(names: Iterable[str], *holders: Mapping[str, Any]) -> str | None:
    """Return the first of the fields that has a text or a number."""
    for holder in holders:
        for name in names:
            value = holder.get(name)
            if isinstance(value, str) and value:
                return value
            if isinstance(value, int) and not isinstance(value, bool):
                return str(value)
    return None


def _says_yes(value: object) -> bool:
    if isinstance(value, str):
        return value.strip().casefold() in {"true", "1", "yes"}
    return value is True or (isinstance(value, int) and value == 1)


_LINK: Final = re.compile(
    r"(?:[a-z][a-z0-9+.-]*:)?(?://[^/?#]*)?([^?#]*)", re.IGNORECASE
)


def _path_of(link: str) -> str:
    found = _LINK.match(link)
    return "" if found is None else found[1] or "/"


def _networks(texts: Iterable[str]) -> Callable[[str], bool]:
    """Return a test for addresses within any of the networks, in one look-up."""
    spans: dict[int, list[tuple[int, int]]] = {4: [], 6: []}
    for text in texts:
        network = ipaddress.ip_network(text)
        span = (int(network.network_address), int(network.broadcast_address))
        spans[network.version].append(span)
    if not any(spans.values()):
        return _nowhere
    starts: dict[int, list[int]] = {}
    ends: dict[int, list[int]] = {}
    for version, each in spans.items():
        starts[version], ends[version] = [], []
        for start, end in sorted(each):
            # Networks lie within each other or apart: the first to begin is widest.
            if not ends[version] or end > ends[version][-1]:
                starts[version].append(start)
                ends[version].append(end)

    @lru_cache(maxsize=16_384)
    def within(text: str) -> bool:
        try:
            address = ipaddress.ip_address(text.strip())
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        address = address if mapped is None else mapped
        number, version = int(address), address.version
        place = bisect_right(starts[version], number) - 1
        return place >= 0 and number <= ends[version][place]

    return within


def _nowhere(_address: str) -> bool:
    return False

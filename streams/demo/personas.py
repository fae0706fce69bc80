"""The demo's people: who they are, what they do in three weeks, what comes of it.

Everybody and every company here is invented; the domains are reserved for examples
(RFC 2606). Pure and seeded: the same seed gives the same market.
"""

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from schemas.time import DAY, HOUR, MINUTE, SECOND, Millis

Kind = Literal[
    "buyer",
    "fader",
    "researcher",
    "tyre-kicker",
    "unsubscriber",
    "job-seeker",
    "scanner-bot",
]
Fate = Literal["hot", "cooled", "lost-points", "never-hot"]

STORY: Final[Millis] = 21 * DAY
"""How long the story is; nothing begins after it."""

FATES: Final[Mapping[Kind, tuple[Fate, ...]]] = {
    "buyer": ("hot",),
    "fader": ("hot", "cooled"),
    "researcher": ("never-hot",),
    "tyre-kicker": ("never-hot",),
    "unsubscriber": ("never-hot", "lost-points"),
    "job-seeker": ("never-hot",),
    "scanner-bot": ("never-hot",),
}
"""What must have become of each kind in the end: the demo checks it."""

_SHARES: Final[tuple[tuple[Kind, int], ...]] = (
    ("researcher", 7),
    ("buyer", 3),
    ("tyre-kicker", 4),
    ("fader", 2),
    ("unsubscriber", 2),
    ("job-seeker", 2),
    ("scanner-bot", 1),
)

_FIRST: Final = (
    "Ada", "Bruno", "Chiara", "Dmitri", "Elif", "Farah", "Gustav", "Hana", "Ines",
    "Jomo", "Kaveh", "Leila", "Mateo", "Negar", "Olga", "Parisa", "Quinn", "Rosa",
    "Shirin", "Tomás", "Uma", "Viktor", "Wanda", "Ximena", "Yusuf", "Zara",
    "سارا", "کیان", "نگار", "مهران",
)  # fmt: skip
_LAST: Final = (
    "Abernell", "Brightwater", "Calloway", "Dorsten", "Eskilson", "Fairhollow",
    "Golestani", "Hartwick", "Ivarsen", "Jalbandi", "Kestrelli", "Lindqvale",
    "Moradkhan", "Nightwell", "Okonvale", "Parsayan", "Quillfeather", "Rosengard",
    "Sepehrian", "Thornbury", "Umberfield", "Vellacott", "Windermoor", "Yarrowby",
)  # fmt: skip
_LATIN: Final = {"سارا": "sara", "کیان": "kian", "نگار": "negar", "مهران": "mehran"}
_COMPANIES: Final = (
    "Nimbus Loom", "Kestrel & Vale", "Copperleaf Robotics", "Tidewheel Software",
    "Saffron Systems", "Bluebarrow Data", "Ottershaw Cloud", "Pomegranate Labs",
    "Quartzline", "Lanternfish AI", "Mossgate Networks", "Simorgh Analytics",
)  # fmt: skip
_PRODUCTS: Final = ("pulse", "atlas", "beacon")
_NETWORKS: Final = ("linkedin", "facebook", "x")
_OWNERS: Final = ("mina@sales.example", "oskar@sales.example", "priya@sales.example")

Message = dict[str, Any]
"""A message of Segment's API, still without its timestamp."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One thing that somebody does, `at` so long after the story's beginning."""

    at: Millis
    message: Message


@dataclass(slots=True)
class Persona:
    """One invented person and what they do, in order."""

    kind: Kind
    user_id: str
    name: str
    email: str
    company: str
    owner: str
    life: list[Moment] = field(default_factory=list)

    @property
    def fates(self) -> tuple[Fate, ...]:
        """What must become of this person."""
        return FATES[self.kind]

    @property
    def turning_point(self) -> str | None:
        """The id of the event by which an unsubscriber loses points."""
        for moment in self.life:
            if moment.message.get("event") == "Unsubscribed":
                return str(moment.message["messageId"])
        return None


def cast(seed: int, leads: int) -> list[Persona]:
    """Return `leads` people, every kind among the first dozens, the same per seed."""
    chance = random.Random(seed)  # noqa: S311 - a story, no secret
    order = [kind for kind, share in _SHARES for _ in range(share)]
    # One of each first: the smallest market shows every kind.
    kinds: list[Kind] = [kind for kind, _ in _SHARES]
    while len(kinds) < leads:
        chance.shuffle(order)
        kinds += order
    return [
        _Author(chance, kind, number).write()
        for number, kind in enumerate(kinds[:leads], start=1)
    ]


class _Author:
    """Writes one life. Times are days after the beginning, in any order."""

    def __init__(self, chance: random.Random, kind: Kind, number: int) -> None:
        first, last = chance.choice(_FIRST), chance.choice(_LAST)
        company = chance.choice(_COMPANIES)
        local = f"{_LATIN.get(first, first)}.{last}{number}".lower().replace("á", "a")
        free = kind in {"tyre-kicker", "job-seeker"}
        slug = "".join(letter for letter in company.lower() if letter.isalpha())
        domain = "freemail.example" if free else f"{slug}.example"
        self.chance = chance
        self.persona = Persona(
            kind=kind,
            user_id=f"{kind}-{number}",
            name=f"{first} {last}",
            email=f"{local}@{domain}",
            company=company,
            owner=chance.choice(_OWNERS),
        )
        self._written: list[tuple[float, Message]] = []

    def write(self) -> Persona:
        """Return the person with a whole life."""
        _LIVES[self.persona.kind](self)
        self._written.sort(key=lambda pair: pair[0])
        for number, (day, message) in enumerate(self._written):
            message["messageId"] = f"{self.persona.user_id}-{number}"
            self.persona.life.append(Moment(round(day * DAY), message))
        return self.persona

    # -- what people do ----------------------------------------------------------

    def meet(self, day: float, **traits: object) -> None:
        """They tell who they are."""
        known = {"name": self.persona.name, "email": self.persona.email, **traits}
        self._add(day, "identify", traits=known)

    def see(self, day: float, path: str) -> None:
        """They look at a page."""
        url = f"https://www.leadpulse.example{path}"
        self._add(day, "page", properties={"path": path, "url": url})

    def do(self, day: float, event: str, **properties: object) -> None:
        """They do something that has a name."""
        self._add(day, "track", event=event, properties=properties)

    def browse(self, days: tuple[float, float], visits: int, *paths: str) -> None:
        """They come `visits` times and look at some of `paths` each time."""
        for _ in range(visits):
            day = self.chance.uniform(*days)
            for minute in range(self.chance.randint(1, 3)):
                at = day + minute * 3 * MINUTE / DAY
                self.see(at, self.chance.choice(paths))

    def read_mail(self, day: float, number: int, *, clicks: bool) -> None:
        """They open a mail of the campaign, and perhaps click in it."""
        mail = f"mail-{number}"
        self.do(day, "Email Delivered", email_id=mail)
        self.do(day + 2 * HOUR / DAY, "Email Opened", email_id=mail)
        if clicks:
            link = f"https://www.leadpulse.example/guide/{number}"
            later = day + (2 * HOUR + 2 * MINUTE) / DAY
            self.do(later, "Email Link Clicked", email_id=mail, link_url=link)

    def download(self, day: float, asset: str, kind: str) -> None:
        """They click a piece of content and take it."""
        self.do(day, "Content Clicked", asset_id=asset, asset_type=kind)
        later = day + 4 * MINUTE / DAY
        self.do(later, "Content Downloaded", asset_id=asset, asset_type=kind)

    def _add(self, day: float, kind: str, **fields: Any) -> None:
        message: Message = {"type": kind, "userId": self.persona.user_id, **fields}
        self._written.append((max(0.0, day), message))


def _buyer(author: _Author) -> None:
    """Write of one who knows the need, has the budget, asks, and stays in touch."""
    chance, start = author.chance, author.chance.uniform(0.5, 14)
    author.meet(
        start,
        company=author.persona.company,
        employees=chance.randint(30, 95),
        annual_revenue=chance.randint(12, 45) * 1_000_000,
        industry="technology",
        title=chance.choice(("VP Operations", "Chief Technology Officer")),
        seniority=chance.choice(("vp", "c-level")),
        owner=author.persona.owner,
    )
    product = chance.choice(_PRODUCTS)
    for visit in range(3):
        author.do(start + visit * 0.4, "Product Viewed", product=product)
        author.see(start + visit * 0.4, f"/products/{product}")
    author.read_mail(start + 0.3, 1, clicks=True)
    author.download(start + 0.5, "buyers-guide", "ebook")
    author.see(start + 0.9, "/pricing")
    author.see(start + 1.0, "/pricing")
    author.do(start + 1.0 + 9 * MINUTE / DAY, "Demo Requested", product=product)
    budget = chance.choice((50_000, 60_000, 80_000))
    author.do(start + 1.4, "Budget Stated", amount=budget, currency="USD")
    author.do(start + 1.6, "Meeting Held", owner=author.persona.owner)
    author.do(start + 1.7, "Stage Changed", stage="decision")
    author.do(start + 2.2, "Webinar Registered", asset_id="live-tour")
    author.do(start + 3.2, "Webinar Attended", asset_id="live-tour")
    day = start + 5
    while day < STORY / DAY:
        author.see(day, "/pricing")
        author.see(day, f"/products/{product}")
        author.do(day + 0.2, "Call Logged", owner=author.persona.owner)
        day += chance.uniform(2, 3.5)


def _fader(author: _Author) -> None:
    """Write of one who runs hot, then goes silent: the score cools by itself."""
    chance, start = author.chance, author.chance.uniform(0.5, 2.5)
    author.meet(
        start,
        company=author.persona.company,
        employees=chance.randint(20, 60),
        annual_revenue=chance.randint(12, 40) * 1_000_000,
        industry="technology",
        title="Operations Manager",
        seniority="manager",
        budget=6_000,
        owner=author.persona.owner,
    )
    author.do(start + 0.2, "Stage Changed", stage="intent")
    author.see(start + 0.4, "/pricing")
    author.see(start + 0.5, "/pricing")
    author.do(start + 0.5 + 6 * MINUTE / DAY, "Demo Requested", product="pulse")
    author.download(start + 0.8, "roi-workbook", "ebook")
    author.download(start + 1.0, "rollout-checklist", "checklist")
    author.read_mail(start + 1.2, 1, clicks=True)
    author.do(start + 1.5, "Meeting Held", owner=author.persona.owner)


def _researcher(author: _Author) -> None:
    """Write of one who reads and attends, without a need of their own yet."""
    chance = author.chance
    start = chance.uniform(0, 5)
    author.meet(
        start,
        company=author.persona.company,
        employees=chance.randint(1, 12),
        title="Analyst",
        country=chance.choice(("DE", "IR", "SE", "BR")),
    )
    author.browse(
        (start, 19), chance.randint(2, 5), "/blog", "/guides", "/products/atlas"
    )
    for number in range(chance.randint(1, 3)):
        kind = chance.choice(("ebook", "infographic", "checklist"))
        author.download(chance.uniform(start, 18), f"{kind}-{number}", kind)
    author.read_mail(chance.uniform(start, 17), 2, clicks=chance.choice((True, False)))
    network = chance.choice(_NETWORKS)
    day = chance.uniform(start, 18)
    author.do(day, "Post Liked", network=network, post_id="p1")
    if chance.choice((True, False)):
        author.do(day + 0.3, "Post Shared", network=network, post_id="p1")
        registered = chance.uniform(start, 15)
        author.do(registered, "Webinar Registered", asset_id="market-day")
        author.do(registered + 2, "Webinar Attended", asset_id="market-day")


def _tyre_kicker(author: _Author) -> None:
    """Write of one who looks at every price, takes nothing and has no budget."""
    chance = author.chance
    start = chance.uniform(0, 4)
    author.meet(start, title="Consultant")
    author.browse(
        (start, 20), chance.randint(4, 8), "/pricing", "/pricing", "/products/beacon"
    )
    for number in range(chance.randint(2, 4)):
        day = chance.uniform(start, 19)
        asset = f"whitepaper-{number}"
        author.do(day, "Content Clicked", asset_id=asset, asset_type="ebook")
    author.do(chance.uniform(start, 19), "Offer Clicked", offer="free-trial")


def _unsubscriber(author: _Author) -> None:
    """Write of one who likes the mails until there is one too many."""
    chance = author.chance
    start = chance.uniform(0, 2)
    author.meet(
        start,
        company=author.persona.company,
        employees=chance.randint(10, 40),
        title="Team Lead",
    )
    author.browse((start, start + 5), 2, "/guides", "/products/pulse")
    for number in range(4):
        author.read_mail(start + 0.5 + number * 2, number, clicks=True)
    author.do(start + 8.6, "Unsubscribed", email_id="mail-3")


def _job_seeker(author: _Author) -> None:
    """Write of one who wants to work here, not to buy here."""
    chance = author.chance
    start = chance.uniform(0, 10)
    author.meet(start, title=chance.choice(("Student", "Job seeker", "Intern")))
    author.browse(
        (start, start + 9), chance.randint(3, 6), "/careers", "/jobs", "/team"
    )
    author.do(start + 2, "Content Viewed", asset_id="culture-deck")


def _scanner_bot(author: _Author) -> None:
    """Write of a mail gateway that follows every link within seconds."""
    second = SECOND / DAY
    author.meet(0.2, company=author.persona.company)
    for number in range(6):
        day, mail = 0.5 + number * 3, f"mail-{number}"
        author.do(day, "Email Delivered", email_id=mail)
        author.do(day + second, "Email Opened", email_id=mail, machine=True)
        for link in range(8):
            author.do(
                day + second,
                "Email Link Clicked",
                email_id=mail,
                link_url=f"https://www.leadpulse.example/{number}/{link}",
                machine=True,
            )


_LIVES: Final[Mapping[Kind, Callable[[_Author], None]]] = {
    "buyer": _buyer,
    "fader": _fader,
    "researcher": _researcher,
    "tyre-kicker": _tyre_kicker,
    "unsubscriber": _unsubscriber,
    "job-seeker": _job_seeker,
    "scanner-bot": _scanner_bot,
}


def broken_messages(seed: int) -> Iterator[Moment]:
    """Yield what broken senders send: each must end as a dead letter with a reason."""
    chance = random.Random(seed)  # noqa: S311 - a story, no secret
    broken: tuple[Message, ...] = (
        {"type": "track", "event": "Demo Requested", "messageId": "broken-nobody"},
        {"type": "track", "userId": "broken", "messageId": "broken-nameless"},
        {"type": "wiggle", "userId": "broken", "messageId": "broken-type"},
        {"type": "page", "userId": "undefined", "messageId": "broken-identifier"},
        {"type": "page", "userId": ["broken"], "messageId": "broken-shape"},
    )
    for message in broken:
        yield Moment(round(chance.uniform(1, 20) * DAY), message)

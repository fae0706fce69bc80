"""A forecast as it is written and read: shapes alone, without what reckons it."""

import msgspec


class Figure(msgspec.Struct, frozen=True):
    """A figure and its interval: of 95 % where nothing else is said."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """Return it as a table shows it."""
        return f"{self.value:.3f} ({self.low:.3f} – {self.high:.3f})"


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What a part of the open deals will bring."""

    by: str
    name: str
    deals: int
    value: Figure
    """Expected, and its 80 % interval."""


class Month(msgspec.Struct, frozen=True, kw_only=True):
    """What a month will bring, and did where that is known."""

    month: str
    value: Figure
    deals: float
    """How many deals are expected to be won."""
    fact: float | None = None


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """What the open deals of an instant will bring."""

    at: str
    open: int
    pipeline: float
    """The sum of what open deals are worth, if all were won."""
    total: Figure
    months: tuple[Month, ...]
    parts: tuple[Part, ...]
    currency: str


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """Forecasts of what comes from one day to another after they are made."""

    start: int
    """In days."""
    end: int
    forecasts: int
    covered: Figure
    """The share of 80 % intervals that held what happened, with its 95 % interval.

    Windows that overlap are counted as the number that fits side by side.
    """
    independent: int
    """How many windows fit side by side."""
    bias: float
    error: float
    raw_covered: float
    """What the simulation alone would have covered."""
    raw_bias: float


class BackTest(msgspec.Struct, frozen=True, kw_only=True):
    """Forecasts of the past, held against what happened."""

    forecasts: int
    covered: float
    """The share of intervals that held what happened; 0.8 is meant."""
    bias: float
    """By which share forecasts were too high, or too low where it is negative."""
    error: float
    """The usual distance between forecast and fact, as a share of the fact."""
    points: tuple[Month, ...]
    reaches: tuple[Reach, ...] = ()


class Correction(msgspec.Struct, frozen=True, kw_only=True):
    """What forecasts of one reach are moved and spread by."""

    start: int
    end: int
    checked: int
    """How many past forecasts this is known from."""
    factor: float
    """What the simulation is multiplied by."""
    width: float
    """How far facts lie around it, in logs: 0.1 is about a tenth."""


class Foretold(msgspec.Struct, frozen=True, kw_only=True):
    """A forecast, and how forecasts did before it."""

    dataset: str
    forecast: Forecast
    back_test: BackTest
    corrected: tuple[Correction, ...] = ()
    """What past forecasts missed by, and so these are moved and spread by."""
    left_out: dict[str, int] = {}
    """Leads with money in other currencies, which is not added up, by currency."""
    unnamed: int = 0
    """Leads whose money names no currency: it counts as the forecast's."""

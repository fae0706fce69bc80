"""Consent as people write it: what each purpose that a person may refuse is for."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from scorers.parts import Name, Part
from scorers.silence import Channels
from scorers.texts import Title


def _spellable(names: list[str]) -> list[str]:
    if any(not name.strip() for name in names):
        msg = "an empty name says nothing: remove it"
        raise ValueError(msg)
    return names


class Consent(Part):
    """A purpose that a person may consent to or refuse, and what hangs on it.

    While it is refused, its groups or channels give no points; without either the
    whole score is 0. What happened then is not counted later either; what happened
    before counts again when consent is given. What takes points in a group keeps
    taking them.
    """

    purpose: Name
    """The purpose, such as profiling or marketing."""
    channel: Name | None = None
    """The channel, where the purpose is refused for each apart."""
    title: Title = ""
    """What people call it, in one language or {en, fa}; else the purpose."""
    also: Annotated[list[str], AfterValidator(_spellable)] = []
    """Other names that sources give it, such as analytics or C0002."""
    required: bool = False
    """Whether consent must be given first; if not, it must not be refused."""
    groups: Annotated[list[str], Field(min_length=1)] | None = None
    """The groups that give no points without it."""
    channels: Channels | None = None
    """Rules that look at these channels only give no points without it."""
    follow_up: list[Literal["email"]] = []
    """How one may follow up only with it; updates and alerts say so."""

    @property
    def name(self) -> str:
        """The purpose, and the channel where it is about one."""
        return (
            self.purpose if self.channel is None else f"{self.purpose}.{self.channel}"
        )

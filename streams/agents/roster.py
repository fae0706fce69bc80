"""The agents of one worker, in the order in which a fetch passes through them."""

from dataclasses import dataclass

from schemas.model_version import PRIMARY
from streams import metrics
from streams.agents.accounts import Accounts
from streams.agents.durable import Confirm
from streams.agents.erasing import Erasing
from streams.agents.scoring import Scoring
from streams.agents.sides import Sides
from streams.timers import Wakeups
from streams.transport.progress import Fetch


@dataclass(frozen=True, slots=True, kw_only=True)
class Roster:
    """Everyone who works on a fetch."""

    sides: Sides
    scoring: Scoring
    accounts: Accounts
    erasing: Erasing
    wakeups: Wakeups

    async def process(self, fetch: Fetch, confirm: Confirm) -> None:
        """Return when everything that follows from `fetch` is durable.

        Raises
        ------
        NotDurableError
            When the broker did not take something; nothing may be acknowledged.
        TooManyDeadLettersError
            When most of the records cannot be processed.
        """
        self.scoring.take_erasures()  # of a fetch that was abandoned
        with metrics.BATCH_SECONDS.time():
            # What runs beside the primary begins with what that knew before this fetch.
            await self.sides.process(fetch, confirm)
            both = (
                await self.scoring.decide(fetch, confirm),
                await self.accounts.decide(fetch, confirm),
            )
            decided = [each for each in both if each is not None]
            if decided:
                await self.scoring.settle(decided, confirm)
        await self.erasing.process(self.scoring.take_erasures(), confirm)
        await self._welcome(confirm)

    def plan(self, partition: int) -> None:
        """Plan to wake every lead of `partition` that a newer model waits for."""
        for agent in (self.scoring, self.sides):
            for key, at in agent.wakeups(partition):
                self.wakeups.plan(partition, key, at)

    async def _welcome(self, confirm: Confirm) -> None:
        """Let the versions of models that the fetch brought apply to every lead."""
        news = self.scoring.take_news()
        for _, version in news:
            metrics.MODEL_VERSIONS.labels(version.slot).inc()
        for partition in {partition for partition, _ in news}:
            if any(version.slot != PRIMARY for _, version in news):
                await self.sides.prune(partition, confirm)
            self.plan(partition)

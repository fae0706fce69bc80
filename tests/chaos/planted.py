"""A worker with a bug on purpose: the harness must find it. Never part of the product.

    python tests/chaos/planted.py BUG worker

Each bug takes away one thing that the guarantee stands on. Where the moment that it
needs is short, the worker is made to stay in it for longer; that alone is no bug, as
`nothing` shows.
"""

import asyncio
import sys
from collections.abc import Callable
from typing import Any

_LINGER_SECONDS = 0.3


def _linger_between_state_and_outputs() -> None:
    """Stay for a while where the states are durable and what follows is not."""
    from streams.agents.durable import DurableAgent

    settle = DurableAgent.settle

    async def slowly(self: Any, decided: Any, confirm: Any) -> None:
        asked = 0

        async def confirm_late() -> None:
            nonlocal asked
            await confirm()
            asked += 1
            # The fault itself: nothing is waited for here.
            await asyncio.sleep(_LINGER_SECONDS)

        await settle(self, decided, confirm_late)

    DurableAgent.settle = slowly  # type: ignore[method-assign]


def nothing() -> None:
    """The product as it is, only slower: nothing may be found."""
    _linger_between_state_and_outputs()


def no_positions() -> None:
    """States do not say up to where they include their sources."""
    from streams.agents.durable import DurableAgent

    _linger_between_state_and_outputs()
    apply = DurableAgent._apply

    def forget(  # noqa: PLR0917 - as what it stands in for
        self: Any, cycle: Any, touched: Any, topic: str, record: Any, change: Any
    ) -> None:
        apply(self, cycle, touched, topic, record, change)
        touched.positions.clear()

    DurableAgent._apply = forget  # type: ignore[method-assign]


def commit_before_flush() -> None:
    """What was read is acknowledged before what follows from it is durable."""
    from streams import app

    _linger_between_state_and_outputs()
    score = app._score

    async def too_early(worker: Any, fetch: Any, on_failure: Any) -> None:
        for batch in fetch.batches:
            worker.batches.progress.complete(batch)
        await worker.batches.commit()
        await score(worker, fetch, on_failure)

    app._score = too_early


def no_fencing() -> None:
    """Whoever writes last wins, even if it lost the partition; nobody asks first."""
    from streams.rebuilding import Rebuilt
    from streams.state_records import Epoch
    from streams.transport.consumer import BatchConsumer

    _linger_between_state_and_outputs()
    keep = Rebuilt._keep

    def keep_the_last(self: Any, key: str, stored: Any) -> None:
        self._stored.pop(key, None)
        keep(self, key, stored)

    async def believe(self: Any, fetch: Any) -> None:
        """Write, whatever has become of the partitions."""

    assert Epoch
    Rebuilt._keep = keep_the_last  # type: ignore[method-assign]
    BatchConsumer.confirm_ownership = believe  # type: ignore[method-assign]


BUGS: dict[str, Callable[[], None]] = {
    "nothing": nothing,
    "no-positions": no_positions,
    "commit-before-flush": commit_before_flush,
    "no-fencing": no_fencing,
}


if __name__ == "__main__":
    BUGS[sys.argv.pop(1)]()
    from streams.cli.main import main

    main()

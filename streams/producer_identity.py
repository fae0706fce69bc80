"""Asking Kafka who a producer is, in the versions that all our brokers speak.

aiokafka knows the oldest version alone, which the embedded broker refuses.
"""

from typing import Any, Final

from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.transaction import (
    InitProducerIdRequest_v0,
    InitProducerIdResponse_v0,
)
from aiokafka.protocol.types import (
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    TaggedFields,
)

_VERSION: Final = 4
_NONE: Final = -1
_NO_TRANSACTIONS_MS: Final = 2**31 - 1


class _Answer(Response):  # type: ignore[misc] # has no types
    API_KEY = InitProducerIdResponse_v0.API_KEY
    API_VERSION = _VERSION
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        ("producer_id", Int64),
        ("producer_epoch", Int16),
        ("tags", TaggedFields),
    )


class _Question(RequestStruct):  # type: ignore[misc] # has no types
    API_KEY = InitProducerIdRequest_v0.API_KEY
    API_VERSION = _VERSION
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _Answer
    SCHEMA = Schema(
        ("transactional_id", CompactString("utf-8")),
        ("transaction_timeout_ms", Int32),
        ("producer_id", Int64),
        ("producer_epoch", Int16),
        ("tags", TaggedFields),
    )


class IdentityRequest(Request[InitProducerIdRequest_v0 | _Question]):  # type: ignore[misc] # has no types
    """Kafka's InitProducerId, for a producer without transactions.

    Its answer has `error_code`, `producer_id` and `producer_epoch`.
    """

    API_KEY = InitProducerIdRequest_v0.API_KEY

    def build(self, request_struct_class: Any) -> Any:
        """Return it in the version that was agreed on."""
        if request_struct_class is InitProducerIdRequest_v0:
            return InitProducerIdRequest_v0(None, _NO_TRANSACTIONS_MS)
        return _Question(None, _NO_TRANSACTIONS_MS, _NONE, _NONE, {})

"""The contract: everything that travels on a topic, and the topics themselves.

Wire messages are frozen ``msgspec`` structs (ADR 0002): they validate while they
decode, and their JSON Schemas and the AsyncAPI document are generated from them.
"""

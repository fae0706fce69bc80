"""The batched Kafka path of the worker: fetches in, own acknowledgement, recovery.

Everything here subclasses what Faust lets one replace (transport, consumer, table
manager); Faust itself is not patched.
"""

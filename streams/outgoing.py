"""What follows from a change and goes on a topic, as it is kept until it is sent."""

import msgspec


class Output(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A record that follows from a lead's change, ready to be sent, again if need be.

    It is kept beside the state until the input is acknowledged, so a repetition is
    the same to the byte.
    """

    topic: str
    """The topic's base name."""
    value: bytes
    headers: tuple[tuple[str, bytes], ...]
    key: str = ""
    """Its key where that is another than the key of the state it follows from."""

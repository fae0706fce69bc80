"""The socket a server listens on, or one line that says why it cannot."""

import socket

from streams.errors import PortUnusableError


def listen(
    host: str, port: int, *, backlog: int, purpose: str, setting: str
) -> socket.socket:
    """Return a listening socket; port 0 has picked a free one.

    Raises
    ------
    PortUnusableError
        When something else listens there, or the address is not ours; the text names
        the `purpose`, and the `setting` that changes the port.
    """
    try:
        return socket.create_server(
            (host, port),
            family=socket.AF_INET6 if ":" in host else socket.AF_INET,
            backlog=backlog,
        )
    except OSError as error:
        raise PortUnusableError(
            host=host, port=port, purpose=purpose, setting=setting, error=error
        ) from None

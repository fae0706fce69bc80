"""One table store at work: filled, touched and opened again. Nothing here is ours.

    python -m bench.peers.run_store STORE FOLDER LEADS TOUCHES

Runs in an environment that has the store and nothing else, so it imports nothing of the
project. A touch is what an event does to a table: one read of a random lead's state and
one write. States are bytes that do not compress, of the size that leads have.
"""

import json
import os
import random
import sys
import time
from pathlib import Path
from typing import Any

STATE_BYTES = 2_432
_AT_ONCE = 1_000


def opened(store: str, folder: Path) -> Any:
    """Return a mapping of bytes to bytes. None of them waits for the disk."""
    if store == "rocksdict":
        from rocksdict import (  # noqa: PLC0415 - one environment has one store
            Options,
            Rdict,
            WriteOptions,
        )

        options = Options(raw_mode=True)
        options.set_write_buffer_size(64 * 1024 * 1024)
        found = Rdict(str(folder), options)
        quick = WriteOptions()
        quick.disable_wal = True  # the changelog is the log
        found.set_write_options(quick)
        return found
    if store == "lmdb":
        return Lmdb(folder)
    return {}


class Lmdb:
    """LMDB as a mapping: a transaction for a thousand writes, as for a fetch."""

    def __init__(self, folder: Path) -> None:
        """Open or make it."""
        import lmdb  # noqa: PLC0415 - as above

        self._db = lmdb.open(str(folder), map_size=1 << 36, sync=False, writemap=True)
        self._txn = self._db.begin(write=True)
        self._writes = 0

    def __getitem__(self, key: bytes) -> bytes:
        """Return what is kept of a key."""
        value: bytes = self._txn.get(key)
        return value

    def __setitem__(self, key: bytes, value: bytes) -> None:
        """Keep it."""
        self._txn.put(key, value)
        self._writes += 1
        if self._writes == _AT_ONCE:
            self._txn.commit()
            self._txn = self._db.begin(write=True)
            self._writes = 0

    def keys(self) -> Any:
        """Yield every key."""
        return self._txn.cursor().iternext(values=False)

    def close(self) -> None:
        """Commit and close."""
        self._txn.commit()
        self._db.close()


def key(number: int) -> bytes:
    """Return a lead's key."""
    return b"ld_%026d" % number


def resident() -> dict[str, int]:
    """Return bytes of this process' memory: its own, and files'."""
    wanted = {"RssAnon": "own", "RssFile": "files"}
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    parts = (line.partition(":") for line in lines)
    return {
        wanted[name]: int(value.split()[0]) * 1024
        for name, _, value in parts
        if name in wanted
    }


def main() -> None:
    """Print what was measured, as JSON."""
    store, folder = sys.argv[1], Path(sys.argv[2])
    leads, touches = int(sys.argv[3]), int(sys.argv[4])
    chance = random.Random(1)  # noqa: S311 - a load, no secret
    noise = os.urandom(16 * 1024 * 1024)
    begin, cpu = time.monotonic(), time.process_time()
    table = opened(store, folder)
    if not leads:
        count = 0
        for _ in table.keys():  # noqa: SIM118 - the stores iterate differently
            count += 1
        told = {"open": time.monotonic() - begin, "keys": count}
    else:
        for number in range(leads):
            at = chance.randrange(len(noise) - STATE_BYTES)
            table[key(number)] = noise[at : at + STATE_BYTES]
        told = {"fill": time.monotonic() - begin, "fill_cpu": time.process_time() - cpu}
        begin, cpu = time.monotonic(), time.process_time()
        for _ in range(touches):
            name = key(chance.randrange(leads))
            state = table[name]
            table[name] = state[1:] + b"x"
        told["touch"] = (time.monotonic() - begin) / touches
        told["touch_cpu"] = (time.process_time() - cpu) / touches
        told |= resident()
    if store != "dict":
        table.close()
    print(json.dumps(told))


if __name__ == "__main__":
    main()

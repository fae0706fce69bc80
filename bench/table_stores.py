"""Where a million states may be kept: in memory, in RocksDB or in LMDB.

    python -m bench.table_stores
    python -m bench.table_stores --leads 100000

Each store runs in a process and an environment of its own, in turn: filled with as
many states as asked for, then touched by as many events, each of a random lead. What
the worker keeps in memory is opened again from a snapshot, which `bench.million_leads`
measures; a store on the disk is opened again here, and its keys are read once, as a
worker has to know when each lead is to be looked at.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.peers.environments import NotInstalledError, python_with

_ROOT = Path(__file__).parents[1]
STORES = {"dict": (), "rocksdict": ("rocksdict==0.3.29",), "lmdb": ("lmdb==2.2.1",)}
_MEGABYTE = 1e6


def run(store: str, folder: Path, leads: int, touches: int) -> dict[str, float]:
    """Return what one store's process tells."""
    packages = STORES[store]
    python = python_with("store", *packages) if packages else sys.executable
    words = [store, str(folder), str(leads), str(touches)]
    done = subprocess.run(
        [python, "-m", "bench.peers.run_store", *words],
        cwd=_ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    """Print a line for each store."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--leads", type=int, default=1_000_000)
    parser.add_argument("--touches", type=int, default=200_000)
    given = parser.parse_args()
    for store in STORES:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name) / store
            try:
                told = run(store, folder, given.leads, given.touches)
            except NotInstalledError as error:
                print(f"{store} cannot be installed: {error}")
                continue
            own, files = told["own"] / _MEGABYTE, told["files"] / _MEGABYTE
            line = (
                f"{store}: filled in {told['fill']:.1f} s ({told['fill_cpu']:.1f} s "
                f"CPU); a touch {told['touch'] * 1e6:.1f} us "
                f"({told['touch_cpu'] * 1e6:.1f} CPU); memory {own:,.0f} MB and "
                f"{files:,.0f} of files"
            )
            if store != "dict":
                size = sum(each.stat().st_blocks * 512 for each in folder.rglob("*"))
                again = run(store, folder, 0, 0)
                line += (
                    f"; {size / _MEGABYTE:,.0f} MB of disk; opened again, all keys "
                    f"read, in {again['open']:.1f} s"
                )
            print(line, flush=True)


if __name__ == "__main__":
    main()

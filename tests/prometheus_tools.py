"""Prometheus and promtool: those on the PATH, else Debian's, unpacked in the cache.

The package is fetched once with apt, which checks Debian's signatures, and its digest
is held against the one that was tried. Nothing is installed.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

_DIGESTS = {
    "prometheus_2.42.0+ds-5+deb12u1_amd64.deb": (
        "81d59a24fce84f7fbe97a45a4f2914b6a5881b5cd1db2a6a0e129e515e1a5f55"
    ),
}
_SECONDS = 180.0


class NoPrometheusError(Exception):
    """Prometheus cannot be had here; the text says why."""


class Tools(NamedTuple):
    """The two programs."""

    prometheus: Path
    promtool: Path


def prometheus_tools() -> Tools:
    """Return the programs; NoPrometheusError if they cannot be had."""
    found = [shutil.which(name) for name in Tools._fields]
    if all(found):
        return Tools(*(Path(each) for each in found if each))
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    place = cache / "leadpulse" / "prometheus"
    if not (place / "usr/bin/promtool").exists():
        _fetch(place)
    return Tools(place / "usr/bin/prometheus", place / "usr/bin/promtool")


def _fetch(place: Path) -> None:
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        msg = "no prometheus on the PATH, and no apt-get to fetch Debian's with"
        raise NoPrometheusError(msg)
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent) as fresh:
        try:
            _download(fresh)
        except NoPrometheusError:
            # A new machine knows no packages until it was told of them.
            _run(["apt-get", "update", "-qq"], fresh)
            _download(fresh)
        (package,) = Path(fresh).glob("*.deb")
        name = package.name.replace("%2b", "+")
        digest = hashlib.sha256(package.read_bytes()).hexdigest()
        if _DIGESTS.get(name, digest) != digest:
            msg = f"{name} is not the file that was tried"
            raise NoPrometheusError(msg)
        _run(["dpkg-deb", "-x", str(package), f"{fresh}/unpacked"], fresh)
        if not place.exists():  # else another process was as far a moment earlier
            Path(fresh, "unpacked").rename(place)


def _download(place: str) -> None:
    # apt's own user may not write where we want the file.
    _run(
        ["apt-get", "download", "-qq", "-oAPT::Sandbox::User=root", "prometheus"], place
    )


def _run(argv: list[str], cwd: str) -> None:
    try:
        done = subprocess.run(
            argv,
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        msg = f"{argv[0]} did not end within {_SECONDS:g} s"
        raise NoPrometheusError(msg) from None
    if done.returncode != 0:
        msg = f"{' '.join(argv[:2])}: {done.stderr.strip()[-300:]}"
        raise NoPrometheusError(msg)

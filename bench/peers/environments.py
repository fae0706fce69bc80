"""Environments of the peers: made once in the user's cache, none of ours touched."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from streams.broker.apache import copy_jars, find_java

QUIX = "quixstreams==3.28.1"
BYTEWAX = "bytewax==0.21.1"
CONFLUENT = "confluent-kafka==2.16.1"
MSGSPEC = "msgspec==0.21.1"
MATPLOTLIB = "matplotlib==3.11.2"
_HERE = Path(__file__).parent
_INSTALL_SECONDS = 600


class NotInstalledError(Exception):
    """A peer cannot be installed on this machine; the text says why."""


def cache() -> Path:
    """Return the folder that environments are kept in."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root).absolute() / "leadpulse" / "peers"


def python_with(name: str, *packages: str) -> str:
    """Return the interpreter of an environment that has `packages`.

    Raises
    ------
    NotInstalledError
        When it cannot be made.
    """
    names = [name, *(each.replace("==", "-") for each in packages), _build()]
    folder = cache() / "-".join(names)
    python = folder / "bin" / "python"
    done = folder / "installed"
    if not done.exists():
        print(f"installing {', '.join(packages)} into {folder}", flush=True)
        _run([sys.executable, "-m", "venv", "--clear", str(folder)])
        _run([str(python), "-m", "pip", "install", "--quiet", *packages])
        done.touch()
    return str(python)


def _build() -> str:
    """Return a short name of the Python that runs this: peers run on the same.

    Builds of one version differ by a fifth in speed.
    """
    build = f"{sys.base_prefix} {sys.version}"
    return hashlib.blake2b(build.encode(), digest_size=4).hexdigest()


def java_program() -> list[str]:
    """Return the command that runs the Kafka Streams program, compiled.

    Raises
    ------
    NotInstalledError
        When there is no Java development kit, or Maven cannot fetch the jars.
    """
    java = find_java()
    jars, classes = cache() / "kafka-streams", cache() / "classes"
    if not jars.is_dir():
        print(f"fetching Kafka Streams with Maven into {jars}", flush=True)
        copy_jars(_HERE / "pom.xml", jars)
    compiler = str(java.with_name("javac"))
    path = f"{jars}/*"
    _run([compiler, "-cp", path, "-d", str(classes), str(_HERE / "Toy.java")])
    log = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
    return [str(java), "-Xmx1g", log, "-cp", f"{classes}:{path}", "Toy"]


def _run(argv: list[str]) -> None:
    try:
        done = subprocess.run(
            argv,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_INSTALL_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstalledError(str(error)) from None
    if done.returncode:
        last = (done.stdout.strip().splitlines() or ["no output"])[-1]
        msg = f"{argv[0]} failed: {last}"
        raise NotInstalledError(msg)

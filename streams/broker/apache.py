"""Apache Kafka itself: a KRaft node from Maven's jars, as a child process.

The jars are named by `deploy/kafka/pom.xml`, fetched once and kept in the user's
cache; after that no network is needed. Data stays in its directory over restarts
and crashes.
"""

import base64
import os
import re
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, Final

from streams.broker.contract import Broker, BrokerError
from streams.processes import LOOPBACK, Child, free_port

_JAVA_AT_LEAST: Final = 17
_HEAP: Final = ("-Xms128m", "-Xmx512m", "-XX:+UseSerialGC")
_VERSION_SECONDS: Final = 20.0
_FETCH_SECONDS: Final = 900.0
_FORMAT_SECONDS: Final = 60.0

# Relative to the broker's directory, where it runs: a comma or a space in an absolute
# path would be read as a list.
STORAGE: Final = "storage"
_CONFIG: Final = "server.properties"
_MOST_REPLICAS: Final = 3

_PROPERTIES: Final = """\
process.roles=broker,controller
node.id={node.number}
controller.quorum.voters={voters}
controller.listener.names=CONTROLLER
listeners=CLIENTS://{host}:{port},CONTROLLER://{host}:{controller}
advertised.listeners=CLIENTS://{host}:{port}
inter.broker.listener.name=CLIENTS
listener.security.protocol.map=CLIENTS:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={storage}

# What the broker keeps for itself: few partitions, so that it is up soon.
offsets.topic.replication.factor={replicas}
offsets.topic.num.partitions=4
transaction.state.log.replication.factor={replicas}
transaction.state.log.min.isr={in_sync}
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor={replicas}
share.coordinator.state.topic.min.isr={in_sync}
share.coordinator.state.topic.num.partitions=4
# Of several nodes one may die: the others have it, and take more.
min.insync.replicas={in_sync}

# Topics are made by `leadpulse topics create`, never by a typo.
auto.create.topics.enable=false
# There is no fleet whose members should be waited for.
group.initial.rebalance.delay.ms=0
# After a crash the controller refuses the broker until its old session is over.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
# A quarter of the heap by default.
log.cleaner.dedupe.buffer.size=16777216
num.network.threads=2
num.io.threads=4
"""


def new_cluster_id() -> str:
    """Return an id for a cluster, as Kafka writes it."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One node among those of a cluster."""

    number: int
    controllers: Mapping[int, int]
    """The port of every node's controller, by its number."""
    cluster: str


class ApacheBroker(Broker):
    """Apache Kafka on loopback: a node in KRaft mode, by itself unless told."""

    name: ClassVar[str] = "kafka"
    keeps_data: ClassVar[bool] = True
    start_seconds: ClassVar[float] = 120.0

    def __init__(
        self,
        directory: Path,
        *,
        port: int = 0,
        log: Path | None = None,
        tell: Callable[[str], None] = lambda _line: None,
        node: Node | None = None,
        properties: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Keep data in `directory`; `tell` hears when something takes its time.

        `properties` are the broker's own, by their names. They overrule what is said
        here; `{port}` in them is the clients' port, `{controller}` the controller's.
        """
        super().__init__(directory, port=port, log=log)
        self._tell = tell
        self._node = node
        self._properties = properties

    def _prepare(self, port: int) -> Child:
        java = find_java()
        jars = fetch_jars(self._tell)
        if self._node is None:
            self._node = Node(
                number=1, controllers={1: free_port()}, cluster=new_cluster_id()
            )
        self.directory.mkdir(parents=True, exist_ok=True)
        self._configure(port, self._node, storage=STORAGE)
        if not (self.directory / STORAGE / "meta.properties").exists():
            self._format(java, jars, port, self._node)
        return Child(
            name="broker",
            argv=[*_jvm(java, jars, log="info"), "kafka.Kafka", _CONFIG],
            directory=self.directory,
            log=self.log,
            # The same flags every time, whatever this shell exports for others.
            environ={
                name: value
                for name, value in os.environ.items()
                if name not in {"CLASSPATH", "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS"}
            },
        )

    def _configure(self, port: int, node: Node, *, storage: str) -> None:
        nodes = len(node.controllers)
        text = _PROPERTIES.format(
            host=LOOPBACK,
            port=port,
            node=node,
            controller=node.controllers[node.number],
            voters=",".join(
                f"{number}@{LOOPBACK}:{controller}"
                for number, controller in node.controllers.items()
            ),
            replicas=min(nodes, _MOST_REPLICAS),
            in_sync=min(nodes, _MOST_REPLICAS - 1),
            storage=storage,
        )
        own = "".join(f"{name}={value}\n" for name, value in self._properties.items())
        own = own.replace("{port}", str(port)).replace(
            "{controller}", str(node.controllers[node.number])
        )
        (self.directory / _CONFIG).write_text(text + own, encoding="utf-8")

    def _format(self, java: Path, jars: Path, port: int, node: Node) -> None:
        """Make the storage beside its place, then move it there: all or nothing."""
        shutil.rmtree(self.directory / STORAGE, ignore_errors=True)
        fresh = Path(tempfile.mkdtemp(prefix="format-", dir=self.directory))
        self._configure(port, node, storage=fresh.name)
        try:
            _run(
                [
                    *_jvm(java, jars, log="warn"),
                    *("kafka.tools.StorageTool", "format"),
                    # One word: an id may begin with a dash.
                    f"--cluster-id={node.cluster}",
                    f"--config={_CONFIG}",
                ],
                within=_FORMAT_SECONDS,
                doing="format Apache Kafka's storage",
                cwd=self.directory,
            )
            fresh.rename(self.directory / STORAGE)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
            self._configure(port, node, storage=STORAGE)


def missing_requirement() -> str | None:
    """Return what this machine lacks to run Apache Kafka, None if nothing."""
    try:
        find_java()
        if not _jars_path().is_dir():
            _find_maven()
    except BrokerError as error:
        return str(error)
    return None


def find_java() -> Path:
    """Return a `java` that is new enough.

    Raises
    ------
    BrokerError
        When there is none, with the way out.
    """
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=f"{home}/bin") if home else shutil.which("java")
    wanted = f"Apache Kafka needs Java {_JAVA_AT_LEAST} or newer"
    install = "install one (Debian: openjdk-17-jre-headless) or set JAVA_HOME"
    if found is None:
        msg = f"{wanted} and there is none; {install}"
        raise BrokerError(msg)
    told = _run([found, "-version"], within=_VERSION_SECONDS, doing="run Java")
    version = re.search(r'version "(\d+)', told)
    if version is None or int(version[1]) < _JAVA_AT_LEAST:
        first_line = told.partition("\n")[0]
        msg = f"{wanted}, and {found} is {first_line}; {install}"
        raise BrokerError(msg)
    return Path(found)


def kafka_version() -> str:
    """Return the version of Apache Kafka that the POM names."""
    text = find_pom().read_text(encoding="utf-8")
    version = re.search(r"<kafka\.version>([^<]+)</kafka\.version>", text)
    if version is None:
        msg = f"{find_pom()} has no <kafka.version>"
        raise BrokerError(msg)
    return version[1]


def find_pom() -> Path:
    """Return the POM that names the jars: from the wheel, else the checkout.

    Raises
    ------
    BrokerError
        When this installation has neither.
    """
    packaged = Path(__file__).with_name("pom.xml")
    checkout = Path(__file__).parents[2] / "deploy" / "kafka" / "pom.xml"
    for path in (packaged, checkout):
        if path.is_file():
            return path
    msg = f"this installation is incomplete: {packaged} is missing"
    raise BrokerError(msg)


def fetch_jars(tell: Callable[[str], None]) -> Path:
    """Return the folder of Kafka's jars, fetched by Maven the first time.

    Raises
    ------
    BrokerError
        When Maven is missing or cannot fetch them.
    """
    jars = _jars_path()
    if jars.is_dir():
        return jars
    _find_maven()
    tell(
        f"fetching Apache Kafka {kafka_version()} with Maven into {jars} "
        "(about 45 MB, this once)"
    )
    copy_jars(find_pom(), jars)
    return jars


def copy_jars(pom: Path, jars: Path) -> None:
    """Fetch what `pom` names into the folder `jars`: all of it or nothing.

    Raises
    ------
    BrokerError
        When Maven is missing or cannot fetch them.
    """
    maven = _find_maven()
    jars.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f"{jars.name}-", dir=jars.parent))
    try:
        # In a folder of its own: Maven would write beside the POM.
        shutil.copy(pom, fresh / "pom.xml")
        _run(
            [
                *(str(maven), "-q", "-B", "dependency:copy-dependencies"),
                f"-DoutputDirectory={fresh / 'jars'}",
            ],
            within=_FETCH_SECONDS,
            doing=f"fetch {jars.name} with Maven (needs the network once)",
            cwd=fresh,
        )
        try:
            (fresh / "jars").rename(jars)
        except OSError:
            if not jars.is_dir():  # else another process was as far a moment earlier
                raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _jars_path() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache).absolute() / "leadpulse" / f"kafka-{kafka_version()}"


def _find_maven() -> Path:
    found = shutil.which("mvn")
    if found is None:
        msg = (
            "Apache Kafka's jars are fetched with Maven and there is no `mvn`; "
            "install it (Debian: maven)"
        )
        raise BrokerError(msg)
    return Path(found)


def _jvm(java: Path, jars: Path, *, log: str) -> list[str]:
    logging = "-Dorg.slf4j.simpleLogger"
    return [
        str(java),
        *_HEAP,
        f"{logging}.defaultLogLevel={log}",
        f"{logging}.showDateTime=true",
        f"{logging}.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSZ",
        *("-cp", f"{jars}/*"),
    ]


def _run(argv: list[str], *, within: float, doing: str, cwd: Path | None = None) -> str:
    try:
        done = subprocess.run(
            argv,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=within,
            check=False,
        )
    except subprocess.TimeoutExpired:
        msg = f"could not {doing} within {within:g} s"
        raise BrokerError(msg) from None
    if done.returncode != 0:
        lines = "".join(f"\n  {line}" for line in done.stdout.splitlines()[-15:])
        msg = f"could not {doing}:{lines}"
        raise BrokerError(msg)
    return done.stdout

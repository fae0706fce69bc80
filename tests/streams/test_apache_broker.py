"""Starting Apache Kafka: what it needs, said plainly where it is missing."""

import uuid
from pathlib import Path

import pytest

from streams.broker import ApacheBroker, BrokerError
from streams.broker.apache import (
    fetch_jars,
    find_java,
    find_pom,
    kafka_version,
    missing_requirement,
)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on the PATH, empty at first; and an empty cache."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


def program(folder: Path, name: str, script: str) -> None:
    """Put a shell script on the PATH."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)


def java(folder: Path, version: str) -> None:
    """Put a Java of this version on the PATH."""
    program(folder, "java", f"echo 'openjdk version \"{version}\" 2025-04-15' >&2")


@pytest.mark.usefixtures("programs")
def test_without_java_it_says_what_to_install() -> None:
    """The message names the version that is needed and the package that has it."""
    with pytest.raises(BrokerError, match=r"Java 17 or newer.*openjdk-17"):
        find_java()


@pytest.mark.parametrize("version", ["1.8.0_452", "11.0.27"])
def test_an_old_java_is_refused(programs: Path, version: str) -> None:
    """The message tells which Java was found and where."""
    java(programs, version)

    with pytest.raises(BrokerError, match=version.replace(".", r"\.")) as refused:
        find_java()

    assert str(programs / "java") in str(refused.value)


@pytest.mark.parametrize("version", ["17", "17.0.15", "21.0.7", "25-ea"])
def test_a_newer_java_is_taken(programs: Path, version: str) -> None:
    """Seventeen and everything after it will do."""
    java(programs, version)

    assert find_java() == programs / "java"


def test_java_home_wins(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """JAVA_HOME is what the operator chose, whatever is on the PATH."""
    java(programs, "11")
    chosen = tmp_path / "jdk" / "bin"
    chosen.mkdir(parents=True)
    java(chosen, "21")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "jdk"))

    assert find_java() == chosen / "java"


def test_without_maven_and_jars_it_cannot_run(programs: Path) -> None:
    """Java alone is not enough the first time; the message says what else."""
    java(programs, "17.0.1")

    assert "`mvn`" in str(missing_requirement())


def test_fetched_jars_need_no_maven(programs: Path, tmp_path: Path) -> None:
    """Once they are there neither Maven nor a network is needed."""
    java(programs, "17.0.1")
    jars = tmp_path / "cache" / "leadpulse" / f"kafka-{kafka_version()}"
    jars.mkdir(parents=True)

    assert missing_requirement() is None
    assert fetch_jars(pytest.fail) == jars


def test_a_failed_fetch_leaves_nothing_behind(programs: Path, tmp_path: Path) -> None:
    """Half a download is never taken for a whole one; Maven's words are passed on."""
    program(programs, "mvn", "echo 'no route to repo.maven.apache.org'; exit 1")
    said: list[str] = []

    with pytest.raises(BrokerError, match=r"(?s)needs the network once.*no route"):
        fetch_jars(said.append)

    assert list((tmp_path / "cache" / "leadpulse").iterdir()) == []
    assert kafka_version() in said[0]


def test_the_pom_names_the_version() -> None:
    """The version is written once, in the POM that the installation has."""
    assert f"<kafka.version>{kafka_version()}<" in find_pom().read_text("utf-8")


@pytest.mark.integration
@pytest.mark.usefixtures("apache_kafka_possible")
def test_any_cluster_id_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One id in 64 begins with a dash, and is still an id, not an option."""
    dashed = uuid.UUID(bytes=b"\xf8" + bytes(15))
    monkeypatch.setattr("streams.broker.apache.uuid.uuid4", lambda: dashed)

    with ApacheBroker(tmp_path) as broker:
        stored = broker.directory / "storage" / "meta.properties"
        assert "cluster.id=-AAA" in stored.read_text("utf-8")

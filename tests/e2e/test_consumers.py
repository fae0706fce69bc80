"""The examples of direct consumption in Node and Java, on Apache Kafka."""

import shutil
from pathlib import Path

import pytest

from streams.broker.apache import copy_jars, fetch_jars, find_java
from tests.conftest import MakeTopics
from tests.e2e.conftest import missing
from tests.streams.consumers import (
    EXAMPLES,
    check_story,
    put_story,
    running_example,
)

pytestmark = [pytest.mark.e2e, pytest.mark.clients]


@pytest.fixture
def node_example(node: str, modules: Path, tmp_path: Path) -> list[str]:
    """The example beside what npm installed, as if by its own package.json."""
    shutil.copy(EXAMPLES / "node" / "consume.mjs", tmp_path)
    (tmp_path / "node_modules").symlink_to(modules)
    return [node, "consume.mjs"]


@pytest.fixture
def java_example(apache_kafka_possible: None) -> list[str]:
    """The example as one file, which a Java development kit runs as it is."""
    assert apache_kafka_possible is None
    java = find_java()
    if not java.resolve().with_name("javac").exists():
        missing("there is no Java development kit (Debian: openjdk-17-jdk-headless)")
    jars = fetch_jars(lambda _: None).with_name("example-consumer")
    if not jars.is_dir():
        copy_jars(EXAMPLES / "java" / "pom.xml", jars)
    return [str(java), "-cp", f"{jars}/*", str(EXAMPLES / "java" / "Consume.java")]


@pytest.mark.parametrize("language", ["node", "java"])
def test_the_examples_take_every_change_once(
    language: str,
    request: pytest.FixtureRequest,
    kafka: str,
    make_topics: MakeTopics,
    tmp_path: Path,
) -> None:
    """Changes are told once and in order, and the erased are forgotten."""
    argv: list[str] = request.getfixturevalue(f"{language}_example")
    settings = make_topics(bootstrap=kafka)
    put_story(settings)
    with running_example(argv, settings, tmp_path) as told:
        check_story(told, tmp_path, within=30)

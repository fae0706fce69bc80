"""The contenders: how each is started, and where it keeps what."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from bench.peers import environments as envs
from bench.peers.proof import DecodeChange
from bench.peers.toy import Job, Score, decode_score
from streams.state_records import OWNER_KEY, Stored

_stored = msgspec.msgpack.Decoder(Stored).decode


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One way to do the toy work."""

    name: str
    title: str
    command: Callable[[], Sequence[str]]
    """Returns what its job is appended to; installs what is missing."""
    decode_change: DecodeChange
    changelog: Callable[[Job], str]
    """Returns a part of the name of the topic that it keeps its states on."""
    share: float = 1.0
    """Of the events: a slow one is measured on fewer."""


def _plain(_: bytes, value: bytes) -> Score:
    return decode_score(value)


def _ours(key: bytes, value: bytes) -> Score | None:
    return None if key == OWNER_KEY else decode_score(_stored(value).state)


def _named(job: Job) -> str:
    return job.changelog


def _script(name: str, python: Callable[[], str]) -> Callable[[], Sequence[str]]:
    return lambda: [python(), "-m", f"bench.peers.{name}"]


def _here() -> str:
    return sys.executable


CONTENDERS = {
    each.name: each
    for each in (
        Contender(
            name="ours",
            title="Leadpulse",
            command=_script("run_ours", _here),
            decode_change=_ours,
            changelog=_named,
        ),
        Contender(
            name="bare",
            title="confluent-kafka loop",
            command=_script("run_bare", _here),
            decode_change=_plain,
            changelog=_named,
        ),
        Contender(
            name="kafka-streams",
            title="Kafka Streams 4.3 (Java)",
            command=envs.java_program,
            decode_change=_plain,
            changelog=lambda job: f"{job.group}-scores-changelog",
        ),
        Contender(
            name="bytewax",
            title="Bytewax 0.21",
            command=_script(
                "run_bytewax",
                lambda: envs.python_with(
                    "bytewax", envs.BYTEWAX, envs.CONFLUENT, envs.MSGSPEC
                ),
            ),
            decode_change=_plain,
            changelog=_named,
        ),
        Contender(
            name="quix",
            title="Quix Streams 3.28",
            command=_script(
                "run_quix",
                lambda: envs.python_with("quix", envs.QUIX, envs.MSGSPEC),
            ),
            decode_change=_plain,
            changelog=lambda job: f"changelog__{job.group}--",
        ),
        Contender(
            name="faust",
            title="stock Faust 0.15",
            command=_script("run_faust", _here),
            decode_change=_plain,
            changelog=lambda job: f"{job.group}-scores-changelog",
            share=0.1,
        ),
    )
}

"""Running the command as a person does, in this process."""

import io
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import NamedTuple

import pytest

from streams.cli.main import main
from streams.view import View, connect_view


class Ran(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Ran]


class _Stdin(io.TextIOWrapper):
    """Standard input that holds what the test gives."""


@pytest.fixture
def leadpulse(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Run:
    """Run one command: exit code, standard output, standard error."""

    def run(*argv: object, stdin: bytes = b"") -> Ran:
        monkeypatch.setattr("sys.stdin", _Stdin(io.BytesIO(stdin)))
        capsys.readouterr()
        try:
            main([str(word) for word in argv])
        except SystemExit as left:
            code = left.code if isinstance(left.code, int) else 1
        else:
            code = 0
        out, err = capsys.readouterr()
        return Ran(code, out, err)

    return run


@pytest.fixture
def view(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[View]:
    """An empty view, and a command that looks at it on a wide terminal."""
    prefix = f"c{uuid.uuid4().hex[:8]}."
    monkeypatch.setenv("LEADPULSE_REDIS_URL", redis_url)
    monkeypatch.setenv("LEADPULSE_TOPIC_PREFIX", prefix)
    monkeypatch.setenv("COLUMNS", "140")
    with closing(connect_view(redis_url, prefix=prefix)) as view:
        yield view

"""Running the command as a person does, in this process."""

import io
from collections.abc import Callable
from typing import NamedTuple

import pytest

from streams.cli.main import main


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

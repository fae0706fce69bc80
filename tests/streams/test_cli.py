"""The command line as a whole: composed lazily, one line per mistake."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from streams.cli import main as cli
from streams.errors import UserError


def leadpulse(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Return what the command did, run as an operator runs it."""
    return subprocess.run(
        [sys.executable, "-m", "streams.cli.main", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", **environ},
    )


def test_help_names_every_command_that_is_installed() -> None:
    """`leadpulse --help` lists each command with a line of its own."""
    told = leadpulse("--help", COLUMNS="120")

    assert told.returncode == 0
    for name in filter(cli._exists, cli.COMMANDS):
        assert name in told.stdout


def test_every_command_has_help() -> None:
    """No command needs a broker, a file or a setting to explain itself."""
    for name in filter(cli._exists, cli.COMMANDS):
        told = CliRunner().invoke(cli.compose([name]), [name, "--help"])
        assert told.exit_code == 0, told.output
        assert "Usage: " in told.stdout


def test_only_the_command_that_is_asked_for_is_imported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A broken neighbour does not break a command."""
    imported: list[str] = []
    real = cli.import_module

    def watched(name: str) -> object:
        imported.append(name)
        return real(name)

    monkeypatch.setattr(cli, "import_module", watched)
    with pytest.raises(SystemExit) as left:
        cli.main(["topics", "--help"])

    assert left.value.code == 0
    assert imported == ["streams.cli.topics"]


def test_a_command_that_is_not_installed_leaves_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An unknown name among the commands is skipped, not fatal."""
    monkeypatch.setattr(cli, "COMMANDS", ("topics", "not-there"))

    with pytest.raises(SystemExit) as left:
        cli.main(["--help"])

    assert left.value.code == 0


def test_an_unknown_command_is_wrong_usage() -> None:
    """Exit code 2, and the way to the help."""
    told = leadpulse("frobnicate")

    assert told.returncode == 2
    assert "--help" in told.stderr


def test_a_wrong_setting_is_one_line() -> None:
    """The setting is named, there is no stack trace, and it is wrong usage."""
    told = leadpulse("topics", "check", LEADPULSE_PARTITIONS="many")

    assert told.returncode == 2
    (line,) = told.stderr.splitlines()
    assert line.startswith("leadpulse: LEADPULSE_PARTITIONS: ")


def test_a_failure_is_one_line() -> None:
    """No broker: one line that says what to do, exit code 1."""
    told = leadpulse("topics", "check", LEADPULSE_BOOTSTRAP="127.0.0.1:1")

    assert told.returncode == 1
    (line,) = told.stderr.splitlines()
    assert "no broker answers at 127.0.0.1:1" in line


def test_version_is_told() -> None:
    """`--version` prints name and number."""
    assert leadpulse("--version").stdout.startswith("leadpulse 0.")


def test_the_exit_code_is_the_errors_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A user error ends the program with its own code and text."""

    class TooManyCooksError(UserError):
        exit_code = 2

    def spoil(**_: object) -> None:
        msg = "too many cooks"
        raise TooManyCooksError(msg)

    monkeypatch.setattr(cli, "compose", lambda _names: spoil)

    with pytest.raises(SystemExit) as left:
        cli.main(["topics"])

    assert left.value.code == 2
    assert capsys.readouterr().err == "leadpulse: too many cooks\n"

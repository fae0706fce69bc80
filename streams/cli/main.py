"""The `leadpulse` command: composed of one module per command or group.

Each module `streams.cli.<name>` has an ``app``, a Typer with one command (which then
is `leadpulse <name>`) or several (`leadpulse <name> <command>`). Only the module that
is asked for is imported, so one command never waits for the libraries of another.
"""

import sys
from collections.abc import Iterable, Sequence
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from typing import Annotated, Final

import typer

from streams.errors import UserError

COMMANDS: Final = (
    "up",
    "demo",
    "doctor",
    "send",
    "import",
    "source",
    "link",
    "replay",
    "evaluate",
    "calibrate",
    "forecast",
    "learn",
    "leads",
    "accounts",
    "alerts",
    "topics",
    "dead-letters",
    "erase",
    "export",
    "verify",
    "state",
    "model",
    "schema",
    "collector",
    "worker",
    "view",
    "web",
    "delivery",
    "followup",
    "sinks",
)
"""In the order of `leadpulse --help`: what a newcomer needs first stands first."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command and leave with its exit code: 0 fine, 1 findings, 2 usage."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    asked = next((word for word in arguments if not word.startswith("-")), None)
    names = (asked,) if asked in COMMANDS and _exists(asked) else COMMANDS
    try:
        compose(names)(args=arguments, prog_name="leadpulse")
    except UserError as error:
        typer.echo(f"leadpulse: {error}", err=True)
        sys.exit(error.exit_code)


def compose(names: Iterable[str] = COMMANDS) -> typer.Typer:
    """Return the root command with those of `names` that are installed."""
    root = typer.Typer(
        name="leadpulse",
        help="Real-time lead scoring on Kafka.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",
    )
    root.callback()(_root)
    for name in filter(_exists, names):
        app: typer.Typer = import_module(_module(name)).app
        commands = app.registered_commands
        if len(commands) == 1 and not app.registered_groups and _plain(app):
            commands[0].name = name
            root.registered_commands.append(commands[0])
        else:
            root.add_typer(app, name=name)
    return root


def _root(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Show the version and leave.",
            is_eager=True,
            callback=lambda wanted: _show_version() if wanted else None,
        ),
    ] = False,
) -> None:
    """Real-time lead scoring on Kafka."""


def _show_version() -> None:
    typer.echo(f"leadpulse {version('leadpulse')}")
    raise typer.Exit


def _module(name: str) -> str:
    # `import` is a word of Python's own, which no module can be called.
    word = "importing" if name == "import" else name.replace("-", "_")
    return f"streams.cli.{word}"


def _exists(name: str) -> bool:
    return find_spec(_module(name)) is not None


def _plain(app: typer.Typer) -> bool:
    """Whether a Typer has no callback of its own: then it may be a single command."""
    return app.registered_callback is None


if __name__ == "__main__":
    main()

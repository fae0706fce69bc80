"""`leadpulse doctor`: what is wrong here, and what to do."""

import typer

app = typer.Typer()


@app.command()
def doctor() -> None:
    """Check versions, model, broker, topics, Redis and clocks; 1 if anything fails."""
    from rich.console import Console
    from rich.markup import escape

    from streams.doctor import examine
    from streams.settings import load_settings

    console = Console(highlight=False)
    failed = False
    for finding in examine(load_settings()):
        failed = failed or finding.verdict == "fail"
        mark = {"ok": "[green]ok  [/]", "warn": "[yellow]warn[/]"}.get(
            finding.verdict, "[red]fail[/]"
        )
        line = f"{mark}  {finding.subject}: {escape(finding.text)}"
        console.print(line, soft_wrap=True)
    if failed:
        raise typer.Exit(1)

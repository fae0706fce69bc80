"""How the history of published models looks in a terminal."""

from collections.abc import Iterable

from rich.markup import escape
from rich.table import Table

from schemas.model_version import ModelVersion
from schemas.time import EARLIEST, to_instant


def history_screen(versions: Iterable[ModelVersion], in_force: set[str]) -> Table:
    """Return what was published, the latest first; what is in force is marked."""
    table = Table(box=None, pad_edge=False)
    for name in ("", "in force from", "slot", "model", "version", "digest", "note"):
        table.add_column(name, header_style="dim")
    for version in reversed(list(versions)):
        since = "the beginning"
        if to_instant(version.at) > EARLIEST:
            since = f"{version.at:%Y-%m-%d %H:%M:%S} UTC"
        said = [version.note] if version.note else []
        if version.ended:
            said.insert(0, "ended")
        said += [f"{name} from {at:g}" for name, at in version.thresholds.items()]
        table.add_row(
            "[green]●[/]" if version.id in in_force else "",
            since,
            version.slot,
            escape(version.model.name),
            escape(version.model.version),
            version.model.digest,
            escape(", ".join(said)),
        )
    return table

"""Finding and reading the files of sinks."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from scorers.loading import ModelError, Problem, load_part
from streams.errors import UserError
from streams.model_files import read_text
from streams.sinks.language import Sink

if TYPE_CHECKING:
    from streams.settings import Settings

SUFFIX: Final = ".yaml"


class SinkFileError(UserError):
    """A sink cannot be found, read or used; the text says where and why."""

    exit_code = 2

    def __init__(self, message: str, problems: list[Problem] | None = None) -> None:
        """Carry what is wrong, and every single problem of the file."""
        super().__init__(message)
        self.problems = problems or []


def read_sink(path: Path) -> Sink:
    """Return the sink in the file at `path`.

    Raises
    ------
    SinkFileError
        With every problem there is, when it is none.
    """
    try:
        return load_part(Sink, read_text(path), str(path))
    except ModelError as error:
        raise SinkFileError(str(error), error.problems) from None


def sink_paths(settings: "Settings") -> list[Path]:
    """Return the files of the folder of sinks; none where no folder is set.

    Raises
    ------
    SinkFileError
        When the folder is missing.
    """
    folder = settings.sinks_dir
    if folder is None:
        return []
    if not folder.is_dir():
        msg = f"there is no folder {folder}; see LEADPULSE_SINKS_DIR"
        raise SinkFileError(msg)
    return sorted(folder.glob(f"*{SUFFIX}"))


def load_sinks(settings: "Settings") -> list[Sink]:
    """Return every sink of the folder, in the order of their files.

    Raises
    ------
    SinkFileError
        When a file is no sink, or two have the same name.
    """
    found: dict[str, Path] = {}
    sinks = []
    for path in sink_paths(settings):
        sink = read_sink(path)
        if (other := found.get(sink.sink)) is not None:
            msg = f"{other} and {path} are both called '{sink.sink}'"
            raise SinkFileError(msg)
        found[sink.sink] = path
        sinks.append(sink)
    return sinks


def find_sink(wanted: str, settings: "Settings") -> Sink:
    """Return the sink that `wanted` names: a file, or a sink by its name.

    Raises
    ------
    SinkFileError
        When there is none, or it is wrong.
    """
    path = Path(wanted)
    if path.suffix in {SUFFIX, ".yml"} or path.is_file():
        return read_sink(path)
    sinks = load_sinks(settings)
    for sink in sinks:
        if sink.sink == wanted:
            return sink
    names = ", ".join(sink.sink for sink in sinks)
    known = f"there is {names}" if names else "LEADPULSE_SINKS_DIR has none"
    msg = f"there is no sink '{wanted}'; {known} — or name a file (*.yaml)"
    raise SinkFileError(msg)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a sink's file, with a description of every key."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Sink.model_json_schema(by_alias=True),
        "title": "Leadpulse sink",
    }

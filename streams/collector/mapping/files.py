"""Finding and reading mapping files: those shipped, and those of a folder."""

from pathlib import Path
from typing import Any, Final

import msgspec

from scorers.loading import ModelError, Problem, load_part
from streams.collector.mapping.compiled import CompiledMapping
from streams.collector.mapping.language import Mapping
from streams.errors import UserError
from streams.model_files import read_text

_SHIPPED: Final = (
    Path(__file__).parents[2] / "mappings",  # in an installed wheel
    Path(__file__).parents[3] / "deploy" / "mappings",  # in a checkout
)
SUFFIX: Final = ".yaml"


class MappingFileError(UserError):
    """A mapping cannot be found, read or used; the text says where and why."""

    def __init__(self, message: str, problems: list[Problem] | None = None) -> None:
        """Carry what is wrong, and every single problem of the file."""
        super().__init__(message)
        self.problems = problems or []


class MappingFile(msgspec.Struct, frozen=True):
    """A mapping that can be used, and the text it was read from."""

    path: Path
    text: str
    mapping: CompiledMapping

    @property
    def name(self) -> str:
        """What the mapping calls itself."""
        return self.mapping.mapping.mapping


def shipped_folder() -> Path:
    """Return where the mappings are that come with Leadpulse."""
    return next(path for path in _SHIPPED if path.is_dir())


def read_mapping(path: Path) -> MappingFile:
    """Return the mapping in the file at `path`.

    Raises
    ------
    MappingFileError
        With every problem there is, when it is no mapping.
    """
    text = read_text(path)
    try:
        mapping = load_part(Mapping, text, str(path))
    except ModelError as error:
        raise MappingFileError(str(error), error.problems) from None
    return MappingFile(path, text, CompiledMapping(mapping))


def mapping_paths(folder: Path | None) -> list[Path]:
    """Return the files of the shipped mappings and of those in `folder`.

    Raises
    ------
    MappingFileError
        When `folder` is none.
    """
    if folder is not None and not folder.is_dir():
        msg = f"there is no folder {folder}; see LEADPULSE_MAPPINGS_DIR"
        raise MappingFileError(msg)
    folders = [shipped_folder()] if folder is None else [shipped_folder(), folder]
    return [path for each in folders for path in sorted(each.glob(f"*{SUFFIX}"))]


def load_mappings(folder: Path | None) -> dict[str, CompiledMapping]:
    """Return every mapping by its name; one in `folder` wins over a shipped one.

    Raises
    ------
    MappingFileError
        When a file is no mapping, or two of `folder` have the same name.
    """
    found: dict[str, MappingFile] = {}
    for path in mapping_paths(folder):
        each = read_mapping(path)
        other = found.get(each.name)
        if other is not None and other.path.parent == path.parent:
            msg = f"{other.path} and {path} are both called '{each.name}'"
            raise MappingFileError(msg)
        found[each.name] = each
    return {name: each.mapping for name, each in found.items()}


def find_mapping(wanted: str, folder: Path | None) -> MappingFile:
    """Return the mapping that `wanted` names: a file, or a mapping by its name.

    Raises
    ------
    MappingFileError
        When there is none, or it is wrong.
    """
    path = Path(wanted)
    if path.suffix in {SUFFIX, ".yml"} or path.is_file():
        return read_mapping(path)
    paths = mapping_paths(folder)
    for path in reversed(paths):
        if path.stem == wanted:
            return read_mapping(path)
    for path in reversed(paths):
        each = read_mapping(path)
        if each.name == wanted:
            return each
    names = ", ".join(sorted({path.stem for path in paths}))
    msg = f"there is no mapping '{wanted}'; there is {names} — or name a file (*.yaml)"
    raise MappingFileError(msg)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a mapping file, with a description of every key."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Mapping.model_json_schema(by_alias=True),
        "title": "Leadpulse mapping",
    }

"""Finding and reading the scoring model that is in force."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from scorers.compiled import CompiledModel, compile_model
from scorers.loading import ModelError, load_model
from streams.errors import UserError

_SHIPPED: Final = (
    Path(__file__).parent / "models" / "default.yaml",  # in an installed wheel
    Path(__file__).parents[1] / "deploy" / "models" / "default.yaml",  # in a checkout
)

TEST_SUFFIX: Final = ".test.yaml"


class ModelFileError(UserError):
    """The model file cannot be read or used; the text says where and why."""


def shipped_model() -> Path:
    """Return where the default model that comes with Leadpulse is."""
    return next(path for path in _SHIPPED if path.is_file())


def read_model(path: Path | None) -> CompiledModel:
    """Return the model in the file at `path`, the shipped one for None.

    Raises
    ------
    ModelFileError
        When there is no such file, or no valid model in it.
    """
    return read_model_text(path)[1]


def read_model_text(path: Path | None) -> tuple[str, CompiledModel]:
    """Return the text at `path` (the shipped one's for None) and the model it is.

    Raises
    ------
    ModelFileError
        When there is no such file, or no valid model in it.
    """
    chosen = shipped_model() if path is None else path
    text = read_text(chosen)
    try:
        return text, compile_model(load_model(text, str(chosen)))
    except ModelError as error:
        raise ModelFileError(str(error)) from None


def read_text(path: Path) -> str:
    """Return the text of the file at `path`.

    Raises
    ------
    ModelFileError
        When there is no such file, or no text in it.
    """
    try:
        return path.read_text("utf-8-sig")
    except OSError as error:
        msg = f"cannot read {path}: {error.strerror}"
        raise ModelFileError(msg) from None
    except UnicodeDecodeError as error:
        msg = f"cannot read {path}: it is not UTF-8 ({error.reason})"
        raise ModelFileError(msg) from None


def model_paths(paths: Iterable[Path]) -> list[Path]:
    """Return the model files that `paths` name: themselves, or those of a folder.

    Raises
    ------
    ModelFileError
        When a folder holds no model.
    """
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        inside = [
            each
            for each in sorted(path.glob("*.yaml"))
            if not each.name.endswith(TEST_SUFFIX)
        ]
        if not inside:
            msg = f"there is no model (*.yaml) in {path}"
            raise ModelFileError(msg)
        found.extend(inside)
    return found


def tests_of(model: Path) -> Path:
    """Return where the tests of a model are: beside it."""
    return model.with_name(model.stem + TEST_SUFFIX)

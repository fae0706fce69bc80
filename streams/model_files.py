"""Finding and reading the scoring model that is in force."""

from pathlib import Path
from typing import Final

from scorers.compiled import CompiledModel, compile_model
from scorers.loading import ModelError, load_model
from streams.errors import UserError

_SHIPPED: Final = (
    Path(__file__).parent / "models" / "default.yaml",  # in an installed wheel
    Path(__file__).parents[1] / "deploy" / "models" / "default.yaml",  # in a checkout
)


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
    chosen = shipped_model() if path is None else path
    try:
        return compile_model(load_model(chosen.read_text("utf-8"), str(chosen)))
    except OSError as error:
        msg = f"cannot read the model {chosen}: {error.strerror}"
        raise ModelFileError(msg) from None
    except (ModelError, UnicodeDecodeError) as error:
        raise ModelFileError(str(error)) from None

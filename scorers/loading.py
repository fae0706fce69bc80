"""Reading a model's text: every mistake at once, each with its place and a way out."""

import yaml

from scorers.model import Model


class ModelError(Exception):
    """A model cannot be used."""


def load_model(text: str, source: str) -> Model:
    """Return the model that `text` describes; `source` is its name in messages."""
    try:
        return Model.model_validate(yaml.safe_load(text))
    except (yaml.YAMLError, ValueError) as error:
        msg = f"{source}: {error}"
        raise ModelError(msg) from None

"""What several commands print alike."""

import json
from collections.abc import Mapping
from typing import Any

import typer


def print_schema(schema: Mapping[str, Any]) -> None:
    """Print a JSON Schema as an editor reads it."""
    typer.echo(json.dumps(schema, indent=2, ensure_ascii=False))

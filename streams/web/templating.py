"""The templates: all is escaped, what others wrote is made harmless."""

import hashlib
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from streams.web.endpoint import Entry
from streams.web.writing import Writing, finished, iso

HERE: Final = Path(__file__).parent
STATIC: Final = HERE / "static"


class Templates:
    """Fills the templates of `templates/`."""

    def __init__(self, navigation: Sequence[Entry]) -> None:
        """Show `navigation` on every page, in its order."""
        self._navigation = sorted(navigation, key=lambda entry: entry.order)
        self.static_url: Final = f"/static/{_digest()}"
        """Where files are served; it changes with them, so they are kept for good."""
        self._environment = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            finalize=finished,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals |= {
            "static": lambda name: f"{self.static_url}/{name}",
            "iso": iso,
            "has_assets": (STATIC / "vendor" / "htm-preact.js").is_file(),
            "version": version("leadpulse"),
        }

    def fill(self, name: str, *, writing: Writing, **values: Any) -> str:
        """Return the page, written by `writing` (in templates: `w`, its `t`)."""
        template = self._environment.get_template(name)
        return template.render(
            w=writing,
            t=writing.t,
            taste=writing.taste,
            navigation=self._navigation,
            markup=Markup,
            **values,
        )


def _digest() -> str:
    """Return what names the files that are served as they are now."""
    digest = hashlib.blake2b(digest_size=6)
    for path in sorted(STATIC.rglob("*")):
        if path.is_file():
            digest.update(path.name.encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()

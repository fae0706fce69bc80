"""The templates: all is escaped, what others wrote is made harmless."""

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from streams.web.endpoint import Entry
from streams.web.files import Files
from streams.web.writing import Writing, finished, iso, told

HERE: Final = Path(__file__).parent
_JOINED: Final = {
    "css/app.css": ("css/tokens.css", "css/base.css", "css/components.css"),
}
"""What every page needs comes in one piece."""


class Templates:
    """Fills the templates of `templates/`."""

    def __init__(self, navigation: Sequence[Entry]) -> None:
        """Show `navigation` on every page, in its order."""
        self._navigation = sorted(navigation, key=lambda entry: entry.order)
        self.files: Final = Files(HERE / "static", _JOINED)
        self.has_assets: Final = self.files.has("vendor/htm-preact.js")
        """Whether scripts and fonts of others were put beside the pages."""
        self._environment = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            finalize=finished,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals |= {
            "static": lambda name: f"{self.files.url}/{name}",
            "iso": iso,
            "told": told,
            "has_assets": self.has_assets,
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

"""The one studio of the app."""

from streams.web.reading.studio import Studio
from streams.web.sources import Sources


def studio_of(sources: Sources) -> Studio:
    """Return the studio of the workspace that is shown; use it by `Sources.one`."""
    return Studio(sources.settings, sources.settings.web_workspace)

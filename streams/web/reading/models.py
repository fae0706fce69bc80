"""The model in force, as far as screens speak its words."""

import threading
import time
from collections.abc import Mapping
from typing import Final

import structlog

from schemas.locale import LOCALES, Locale
from scorers.compiled import CompiledModel
from scorers.compiled_rules import title_of
from scorers.texts import said
from streams.errors import UserError
from streams.model_files import read_model
from streams.model_log import model_in_force
from streams.web.sources import Sources

_SECONDS: Final = 30.0
_PATIENCE_SECONDS: Final = 2.0
"""How long the first pages wait for a broker that may not be there."""
_log = structlog.get_logger(__name__)


class Models:
    """Knows the model in force, read anew twice a minute."""

    def __init__(self, sources: Sources) -> None:
        """Begin with the model file of the settings."""
        self._sources = sources
        self._file = read_model(sources.settings.model_path)
        self._model = self._file
        self._read_at = float("-inf")
        self._began = 0.0
        self._reading = False
        self._known = threading.Event()
        self._lock = threading.Lock()

    def in_force(self) -> CompiledModel:
        """Return the model in force; the last known one while no broker answers.

        The topic is read apart. Only who comes first waits for it, and not for long.
        """
        with self._lock:
            now = time.monotonic()
            if now - self._read_at >= _SECONDS and not self._reading:
                self._reading = True
                self._began = now
                threading.Thread(target=self._read, daemon=True).start()
            patience = self._began + _PATIENCE_SECONDS - now
        if not self._known.is_set():
            self._known.wait(max(patience, 0.0))
        return self._model

    def _read(self) -> None:
        settings = self._sources.settings
        try:
            self._model = model_in_force(
                settings,
                self._file,
                self._sources.clock.now(),
                settings.web_workspace,
            )
        except UserError as error:
            _log.warning("model_unread", error=str(error))
        finally:
            with self._lock:
                self._reading, self._read_at = False, time.monotonic()
            self._known.set()

    def titles(self, locale: Locale) -> Mapping[str, str]:
        """Return the titles of the rules, by their names."""
        source = self.in_force().source
        rules = [rule for group in source.groups.values() for rule in group.rules]
        return {
            **{rule.name: title_of(rule, locale) for rule in rules},
            **{lull.name: title_of(lull, locale) for lull in source.dormancy},
        }

    def groups(self, locale: Locale) -> Mapping[str, str]:
        """Return the titles of the groups, by their names."""
        groups = self.in_force().source.groups
        return {
            name: said(group.title, locale) or name.capitalize()
            for name, group in groups.items()
        }

    def advice(self, text: str, locale: Locale) -> str:
        """Return what an alert advised, in `locale` where the model says it there."""
        for stage in self.in_force().source.stages:
            if text in {said(stage.next_action, each) for each in LOCALES}:
                return said(stage.next_action, locale)
        return text

    def tiers(self) -> tuple[str, ...]:
        """Return the names of the tiers, from the highest down."""
        return tuple(name for name, _ in self.in_force().tiers)

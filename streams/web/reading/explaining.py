"""A lead explained by the model in force, from the state that the workers keep."""

import threading
from collections import OrderedDict
from typing import Final

from scorers.compiled import CompiledModel
from scorers.explanation import Explanation, explain_lead
from streams.lead_states import ChangelogLeadStates
from streams.web.reading.models import Models
from streams.web.sources import Sources

_KEPT: Final = 256

Explained = tuple[CompiledModel, Explanation]


class Explaining:
    """Explains leads; each once for every change of its score."""

    def __init__(self, sources: Sources) -> None:
        """Read the changelog of the workers."""
        self._states = ChangelogLeadStates(sources.settings)
        self._models = sources.one(Models)
        self._clock = sources.clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, int, str], Explained] = OrderedDict()

    def of(self, lead_id: str, sequence: int) -> Explained | None:
        """Return the model and what it says of the lead; None if it is unknown.

        `sequence` is that of the lead's last update: an explanation holds as long.

        Raises
        ------
        UserError
            When the state cannot be read; the text is one clear line.
        """
        model = self._models.in_force()
        key = (lead_id, sequence, model.ref.digest)
        with self._lock:
            if key in self._kept:
                return self._kept[key]
        state = self._states.get(lead_id)
        if state is None:
            return None
        explained = (model, explain_lead(model, state, self._clock.now()))
        with self._lock:
            self._kept[key] = explained
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return explained

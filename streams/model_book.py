"""The models in force, by partition and slot, as the log of versions tells them.

The same versions are on every partition, each at a place of its own between the
events: a worker takes a version in when it comes to it, and when it takes a
partition over it reads what was published so far.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final

import msgspec
import structlog

from schemas.model_version import PRIMARY, ModelVersion
from schemas.time import EARLIEST, to_instant
from schemas.workspace import DEFAULT_WORKSPACE
from scorers.compiled import CompiledModel, compile_model
from scorers.loading import ModelError, load_model
from scorers.versions import InForce, Versions

_decode: Final = msgspec.json.Decoder(ModelVersion).decode

_log = structlog.get_logger(__name__)


def read_version(value: bytes) -> ModelVersion | None:
    """Return the version of a record; None if it is none."""
    try:
        return _decode(value)
    except msgspec.DecodeError:
        return None


class UnusableVersionError(Exception):
    """A published version cannot be used; the text says which and why."""


class ModelShelf:
    """Every model that was ever met, by its digest: compiled once, shared by all."""

    def __init__(self) -> None:
        """Start with an empty shelf."""
        self._texts: dict[str, str] = {}
        self._models: dict[str, CompiledModel] = {}
        self._variants: dict[str, CompiledModel] = {}

    def put(self, model: CompiledModel) -> None:
        """Keep a model that is compiled already."""
        self._models.setdefault(model.ref.digest, model)

    def note(self, version: ModelVersion) -> None:
        """Keep the text of a version, if it has one.

        Raises
        ------
        UnusableVersionError
            When it is no valid model, or not the one it says it is, or its text was
            to be known and is not, or its thresholds are not those of its alerts.
        """
        self._note_text(version)
        try:
            self.of(version)
        except ValueError as error:
            msg = f"{version.id}: {error}"
            raise UnusableVersionError(msg) from None

    def _note_text(self, version: ModelVersion) -> None:
        digest = version.model.digest
        if digest in self._models or digest in self._texts:
            return
        if not version.text:
            msg = f"{version.id}: no version has had the text of {digest}"
            raise UnusableVersionError(msg)
        self._texts[digest] = version.text
        try:
            # At once, though it may never be needed: bad news should come early.
            found = self.get(digest).ref.digest
        except ModelError as error:
            del self._texts[digest]
            msg = f"{version.id}: {error.problems[0]}"
            raise UnusableVersionError(msg) from None
        if found != digest:
            del self._texts[digest], self._models[digest]
            msg = f"{version.id}: the text is of {found}, not of {digest}"
            raise UnusableVersionError(msg)

    def get(self, digest: str) -> CompiledModel:
        """Return the model of a digest whose text was noted."""
        model = self._models.get(digest)
        if model is None:
            text = self._texts[digest]
            model = compile_model(load_model(text, digest))
            self._models[digest] = model
        return model

    def of(self, version: ModelVersion) -> CompiledModel:
        """Return the model of a version that was noted, with its thresholds."""
        model = self.get(version.model.digest)
        if version.thresholds:
            model = model.with_thresholds(version.thresholds)
            model = self._variants.setdefault(model.digest, model)
        return model


@dataclass(slots=True)
class Side:
    """A slot beside the primary."""

    name: str
    """Its slot and when it began: a slot that ended begins with nothing again."""
    versions: Versions
    alerts: bool
    """Whether it may alert."""


_Place = tuple[int, str]
"""A partition and a workspace."""


class ModelBook:
    """What is in force in the partitions that this worker owns."""

    def __init__(self, base: CompiledModel) -> None:
        """Let `base` be in force wherever nothing was published yet."""
        self._base = base
        self._shelf = ModelShelf()
        self._shelf.put(base)
        self._primary: dict[_Place, Versions] = {}
        self._sides: dict[_Place, dict[str, Side]] = {}

    def primary(self, partition: int, workspace: str = DEFAULT_WORKSPACE) -> Versions:
        """Return the versions of the own model of a workspace's leads."""
        place = partition, workspace
        versions = self._primary.get(place)
        if versions is None:
            versions = self._primary[place] = Versions.only(self._base)
        return versions

    def sides(
        self, partition: int, workspace: str = DEFAULT_WORKSPACE
    ) -> dict[str, Side]:
        """Return what runs beside it, by slot."""
        return self._sides.get((partition, workspace), {})

    def workspaces(self, partition: int) -> set[str]:
        """Return the workspaces that have a model of their own, and the default."""
        places = {*self._primary, *self._sides, (partition, DEFAULT_WORKSPACE)}
        return {workspace for number, workspace in places if number == partition}

    @property
    def has_sides(self) -> bool:
        """Whether anything runs beside the primary."""
        return any(self._sides.values())

    def take(self, partition: int, version: ModelVersion) -> bool:
        """Take a version in; say whether it was news.

        Raises
        ------
        UnusableVersionError
            When it cannot be used; what was in force stays.
        """
        place = partition, version.workspace
        if version.slot != PRIMARY and version.ended:
            gone = self._sides.get(place, {}).pop(version.slot, None)
            return gone is not None
        self._shelf.note(version)
        entry = InForce(
            to_instant(version.at),
            partial(self._shelf.of, version),
            name=version.id,
        )
        if version.slot == PRIMARY:
            known = self._primary.get(place)
            if known is None and entry.at <= EARLIEST:
                # Published as what everything began with: no worker's own file is.
                self._primary[place] = Versions(entry)
                return True
            return self.primary(*place).add(entry)
        sides = self._sides.setdefault(place, {})
        side = sides.get(version.slot)
        if side is None:
            name = f"{version.slot}@{entry.at}"
            sides[version.slot] = Side(name, Versions(entry), version.alerts)
            return True
        side.alerts = version.alerts
        return side.versions.add(entry)

    def drop(self, partitions: Iterable[int]) -> None:
        """Forget partitions that belong to another worker."""
        gone = frozenset(partitions)
        for known in (self._primary, self._sides):
            for place in [place for place in known if place[0] in gone]:
                del known[place]

    def load(self, partition: int, values: Iterable[bytes]) -> None:
        """Know what was published so far; what cannot be used is told and left out."""
        for value in values:
            try:
                self.take(partition, _decode(value))
            except (msgspec.DecodeError, UnusableVersionError) as error:
                _log.warning(
                    "model_version_unusable", partition=partition, error=str(error)
                )

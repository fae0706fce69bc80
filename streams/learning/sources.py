"""Where examples come from: a funnel, a file of events, or the training log."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
from msgspec.structs import replace

from schemas.time import HOUR, Instant, Millis
from scorers.compiled import CompiledModel
from scorers.snapshots import Example, Instants, chronicle_of
from streams.event_files import EventFile
from streams.learning.evaluating import SETTLED
from streams.learning.funnels import Split, find_funnel, funnel_events
from streams.learning.parquet import read_examples
from streams.model_files import read_model_text

Report = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is or 0."""


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Examples, and the model whose points they are about."""

    name: str
    title: str
    text: str
    """The model's text."""
    model: CompiledModel
    examples: list[Example]
    split: Split
    until: Instant
    """How far it is known what happened."""


def source_of(
    dataset: str,
    *,
    model: Path | None,
    data: Path,
    instants: Instants | None = None,
    horizon: Millis | None,
    split: Split | None,
    every: Millis | None = None,
    report: Report = lambda _what, _done, _all: None,
) -> Source:
    """Return the examples of `dataset`: a file of events (*.ndjson), or a funnel.

    Leads are looked at at `instants`; if absent, when a funnel says, or else at
    `DECISIONS`. Then `every` is the distance at which they are looked at while open; 0
    for once only.

    Raises
    ------
    UserError
        When there is no such thing, or it cannot be read.
    """
    if dataset.endswith(".parquet"):
        return _of_log(dataset, model, split)
    if Path(dataset).is_file():
        decisions = instants or _with(DECISIONS, every)
        return _of_events(dataset, model, decisions, horizon, split, report)
    found = find_funnel(dataset, model)
    if instants is None:
        funnel = found.funnel
        looked = Instants(after=funnel.decide_after, every=funnel.decide_every)
        instants = _with(looked, every)
    events = funnel_events(found, data, report=lambda done: report("reading", done, 0))
    chronicle = chronicle_of(
        found.model,
        events,
        instants,
        report=lambda done: report("scoring", done, len(events)),
    )
    examples = list(chronicle.examples(horizon))
    if instants.every is not None:
        examples = whole(examples, chronicle.until)
    return Source(
        name=found.funnel.funnel,
        title=found.funnel.title,
        text=found.text,
        model=found.model,
        examples=examples,
        split=split or found.funnel.split,
        until=chronicle.until,
    )


def _of_log(file: str, model: Path | None, split: Split | None) -> Source:
    text, compiled = read_model_text(model)
    examples, until = read_examples(Path(file))
    others = {each.snapshot.model for each in examples} - {compiled.digest}
    if others:
        # Points that another model gave say nothing about this one's numbers.
        examples = [each for each in examples if each.snapshot.model not in others]
    return Source(
        name=Path(file).name.removesuffix(".parquet"),
        title=file,
        text=text,
        model=compiled,
        examples=examples,
        split=split or "time-ordered",
        until=until,
    )


def _of_events(  # noqa: PLR0917 - all of one reading
    file: str,
    model: Path | None,
    instants: Instants,
    horizon: Millis | None,
    split: Split | None,
    report: Report,
) -> Source:
    text, compiled = read_model_text(model)
    with EventFile.open(file) as events:
        events.check(lambda done: report("reading", done, events.size))
        chronicle = chronicle_of(
            compiled,
            events.in_order_of_receipt(),
            instants,
            report=lambda done: report("scoring", done, len(events)),
        )
    name = Path(file).name.removesuffix(".gz").removesuffix(".ndjson")
    return Source(
        name=name,
        title=file,
        text=text,
        model=compiled,
        examples=list(chronicle.examples(horizon)),
        split=split or "time-ordered",
        until=chronicle.until,
    )


def whole(examples: list[Example], until: Instant) -> list[Example]:
    """Return the examples of instants at which the table misses nobody.

    Before its first outcome a table of closed deals has only those that lasted until
    then, and near its end, of what was decided, only what came to its end soon.
    """
    ended = [(each.snapshot.at, each.verdict.at) for each in examples if each.verdict]
    if not ended:
        return examples
    first = min(end for _, end in ended)
    last = until - float(np.quantile([end - at for at, end in ended], SETTLED))
    return [
        each
        for each in examples
        if each.verdict is None or first <= each.snapshot.at <= last
    ]


def _with(instants: Instants, every: Millis | None) -> Instants:
    return instants if every is None else replace(instants, every=every or None)


DECISIONS = Instants(after=HOUR, every=7 * 24 * HOUR, alerts=True, tiers=True)
"""When leads are looked at, if nobody says otherwise."""

"""States that were made anew, in force instead of those that are.

What is published goes on: a lead keeps its number, what was said of it last, and what
its alerts have told. Where the score is another one, the next number says so; nobody is
told again of what they were told.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from schemas.topics import (
    ACCOUNT_MEMBERS,
    ACCOUNT_SCORES,
    ACCOUNT_STATE,
    COMMANDS,
    EVENT_TOPICS,
    LEAD_STATE,
    NOTIFICATIONS,
    SCORE_UPDATES,
)
from streams.event_log import Record, opened_log
from streams.generation import Generation
from streams.hand_overs import read_hand_overs
from streams.raw_log import RawLog
from streams.state_files import (
    Header,
    StateFileError,
    check_file,
    read_rows,
)
from streams.state_groups import (
    committed_by_topic,
    marks_of,
    set_committed,
)
from streams.state_rebuild import Progress, compare
from streams.state_turns import Positions, Switched, Turns
from streams.topic_reader import TopicReader
from streams.topics_admin import check_topics, shared_partitions

if TYPE_CHECKING:
    from scorers.compiled import CompiledModel
    from streams.settings import Settings

_BATCH: Final = 1_000


async def switch(
    settings: "Settings",
    model: "CompiledModel",
    path: Path,
    *,
    dry_run: bool = False,
    progress: Progress = lambda _what, _done, _all: None,
) -> Switched:
    """Put the states of `path` in force, with what came since it was made.

    Every worker must be stopped, unless it is a `dry_run`, which writes nothing.
    Should it end half-way it is simply run again: every state is exact by itself.

    Raises
    ------
    UserError
        When the file or the deployment is not fit for it; nothing was changed.
    """
    header = check_file(path)
    partitions = shared_partitions(check_topics(settings))
    committed = committed_by_topic(settings, partitions)
    _check_fits(settings, header, partitions)
    if not dry_run:
        set_committed(settings, committed)  # refused while workers run
    generation = Generation(settings, model, partitions)
    _check_models(header, generation)
    for row in read_rows(path):
        generation.load(row)
    events = {topic.name: committed[topic.name] for topic in EVENT_TOPICS}
    with RawLog(settings) as log:
        with TopicReader(settings) as reader:
            told = read_hand_overs(settings, reader)
        log.gather(
            header.committed,
            events,
            pending=committed,
            told=told,
            report=lambda done: progress("reading", done, 0),
        )
        total = len(log)
        generation.fold(log, lambda done: progress("scoring", done, total))
        comparison = compare(settings, generation, committed)
        comparison.cut = log.cut or not _whole(settings, events)
        # What leads said to each other is in the new states already, or follows again.
        ends = log.ends | _ends(settings, ACCOUNT_MEMBERS.name, committed)
        until = dict(committed)
        for topic in (COMMANDS.name, ACCOUNT_MEMBERS.name):
            until[topic] = [
                max(place, ends.get((topic, partition), 0))
                for partition, place in enumerate(committed[topic])
            ]
        plan = Turns(settings, generation, (committed, until), comparison)
        if blocked := plan.kept & log.told:
            msg = (
                f"{len(blocked)} leads whose older events are gone are still to be "
                "told something: start the workers, let them come to rest, and stop "
                "them again"
            )
            raise StateFileError(msg)
    if dry_run:
        for _ in plan.turns():
            pass
        return plan.outcome()
    await _write(settings, plan, progress)
    set_committed(settings, until)
    return plan.outcome()


async def _write(settings: "Settings", plan: Turns, progress: Progress) -> None:
    topics = (LEAD_STATE, ACCOUNT_STATE, SCORE_UPDATES, ACCOUNT_SCORES, NOTIFICATIONS)
    done, total = 0, plan.total
    async with opened_log(settings, name="switch", topics=topics) as log:
        told: list[Record] = []
        states: list[Record] = []
        for turn in plan.turns():
            told += turn.told
            states += turn.states
            done += 1
            if len(states) >= _BATCH:
                # First what follows, the same again if this ends here, then the state.
                await log.append(told)
                await log.append(states)
                told, states = [], []
                progress("switching", done, total)
        await log.append(told)
        await log.append(states)
    progress("switching", total, total)


def _check_fits(settings: "Settings", header: Header, partitions: int) -> None:
    if not header.rebuilt:
        msg = "this is a backup: `leadpulse state restore` puts it back"
        raise StateFileError(msg)
    if (
        header.partitions != partitions
        or marks_of(settings, header.committed) != header.marks
    ):
        msg = "the file was made of other topics than these: rebuild it"
        raise StateFileError(msg)


def _check_models(header: Header, generation: Generation) -> None:
    published = {*generation.models, *generation.coming} - {*header.models}
    if published or header.models[:1] != generation.models[:1]:
        msg = "it was made by other models than those published by now: rebuild it"
        raise StateFileError(msg)


def _whole(settings: "Settings", committed: Positions) -> bool:
    """Say whether the topics of events still have their first records."""
    begun = {name: [min(each, 1) for each in ends] for name, ends in committed.items()}
    return all(
        mark >= 0 or not place
        for name, marks in marks_of(settings, begun).items()
        for mark, place in zip(marks, begun[name], strict=True)
    )


def _ends(
    settings: "Settings", topic: str, since: Positions
) -> dict[tuple[str, int], int]:
    """Return what comes after the last record of each partition that has any left.

    It is found by reading: what a broker says of its ends may lag behind.
    """
    begun = dict(enumerate(since[topic]))
    with TopicReader(settings) as reader:
        return {
            (topic, message.partition() or 0): (message.offset() or 0) + 1
            for message in reader.read(settings.topic(topic), since=begun)
        }

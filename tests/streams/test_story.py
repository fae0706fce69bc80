"""The demo's story: lives in order, some lines twice, some broken."""

from collections import Counter

from schemas.time import DAY, Instant
from streams.demo.personas import STORY, cast
from streams.demo.story import write_story

T0: Instant = 1_795_255_200_000


def test_a_repeated_line_is_the_same_word_for_word() -> None:
    """A client that sends again repeats id and timestamp, and comes later."""
    lines = write_story(cast(7, 60), 7, begin=T0, pace=1.0)
    times = Counter(str(line.message["messageId"]) for line in lines)
    twice = [name for name, count in times.items() if count == 2]

    assert len(twice) > 10
    assert max(times.values()) == 2
    for name in twice:
        first, second = (one for one in lines if one.message["messageId"] == name)
        assert first.message == second.message
        assert 0 <= second.at - first.at <= DAY / 4


def test_the_story_keeps_to_its_time() -> None:
    """Lines come in order, from the beginning to little more than the end."""
    lines = write_story(cast(7, 60), 7, begin=T0, pace=0.5)

    assert [line.at for line in lines] == sorted(line.at for line in lines)
    assert T0 <= lines[0].at
    assert lines[-1].at <= T0 + (STORY + DAY) * 0.5

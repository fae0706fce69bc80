"""The garbage collector leaves states alone, and looks at the rest again in time."""

import ctypes
import gc
import weakref
from collections.abc import Iterator

import pytest

from bench.core import demo, scored, stream_of
from scorers.account_state import AccountState, Member
from streams.heap import Sweeper, spare_the_states, undisturbed
from streams.model_files import read_model


@pytest.fixture(autouse=True)
def thresholds() -> Iterator[None]:
    """Leave the collector as it was."""
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


def looked_at(what: object) -> list[object]:
    """Return what the collector looks at of a state and everything in it."""
    for _ in range(4):  # it finds out, from within, that tuples hold nothing to look at
        gc.collect()
    found, pending = [], [what]
    while pending:
        each = pending.pop()
        if gc.is_tracked(each):
            found.append(each)
        if isinstance(each, dict):
            pending += each.values()
        elif isinstance(each, tuple | list):
            pending += each
        elif hasattr(each, "__struct_fields__"):
            pending += [getattr(each, name) for name in each.__struct_fields__]
    return found


def test_no_state_is_looked_at() -> None:
    """Whatever a lead has lived through: nothing of it is looked at for cycles."""
    model = read_model(None)
    states = scored(model, stream_of(demo(12)))

    assert len(states) > 10
    assert sum(len(state.rules) for state in states.values()) > 10
    for state in states.values():
        assert not gc.is_tracked(state)
        assert looked_at(state) == []


def test_no_account_is_looked_at() -> None:
    """Nor is an account, with its people."""
    person = Member(1, 2.0, "hot", "", 0, 1, ((0, 1.0),), "", None, None, None, None)
    account = AccountState(account_id="ac_1", members={"ld_1": person})

    assert looked_at(account) == []


def interrupted() -> None:
    """Read in what cannot be read."""
    with undisturbed():
        assert not gc.isenabled()
        msg = "the broker is away"
        raise OSError(msg)


def test_the_collector_is_on_again() -> None:
    """Also where what was to be read in cannot be read."""
    assert gc.isenabled()
    with pytest.raises(OSError, match="away"):
        interrupted()
    assert gc.isenabled()


class Ring:
    """What only the collector can end."""

    def __init__(self) -> None:
        self.self = self


@pytest.fixture
def frozen_after() -> Iterator[None]:
    """Let what is frozen be looked at again."""
    yield
    gc.unfreeze()
    gc.collect()


@pytest.mark.usefixtures("frozen_after")
def test_cycles_end_between_fetches() -> None:
    """What a fetch leaves in a ring is gone after enough records, not before."""
    sweeper = Sweeper()
    for _ in range(20):
        ring = weakref.ref(Ring())
        with undisturbed():
            sweeper.after(100)
        assert ring() is not None
        sweeper.after(1_000)
        assert ring() is None


@pytest.mark.usefixtures("frozen_after")
def test_no_look_takes_in_what_was_looked_at() -> None:
    """However long states replace others, what is to be looked at does not grow.

    CPython's own count does not see them: as many end as begin.
    """
    spare_the_states()
    gc.collect()
    sweeper = Sweeper()
    states: dict[int, list[object]] = {}
    young, middle = [], []
    with undisturbed():
        for turn in range(400):
            for key in range(100):
                states[turn % 50 * 100 + key] = [Ring, turn]
            sweeper.after(100)
            young.append(len(gc.get_objects(generation=0)))
            middle.append(len(gc.get_objects(generation=1)))

    assert max(young) < 1_000
    assert max(middle) < 5_000
    assert gc.get_freeze_count() > len(states)


def test_another_c_library_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no glibc, memory comes as it does."""

    def none(_: object) -> object:
        return object()

    monkeypatch.setattr(ctypes, "CDLL", none)
    spare_the_states()
    assert gc.get_threshold()[0] > 10_000

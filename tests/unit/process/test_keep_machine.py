"""The state machine of a kept process: whatever comes in whatever order, one copy, and the newest order wins."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flightlog.process import machine as m
from flightlog.process.restart import END, QUARANTINE, RESTART, Decision, History


def decision(action, delay=1.0, failed=True):
    return Decision(action, delay if action == RESTART else 0.0, "because", History(), failed)


class World:
    """Processes as the kernel would have them; does what the machine says and tells it what comes of that."""

    def __init__(self):
        self.machine = m.Machine()
        self.main = self.leftover = self.timer = False
        self.spawns, self.ordered, self.finished = 0, m.UP, None
        self.do(self.machine.begin())

    def do(self, actions):
        for name, *_ in actions:
            if name == "spawn":
                assert not self.main and not self.leftover, "two copies"
                assert self.finished is None
                assert self.machine.want == m.UP, "spawned against the last order"
                self.main, self.spawns = True, self.spawns + 1
            elif name in ("term", "kill", "freeze", "thaw"):
                assert self.main or self.leftover, "a signal for nobody"
            elif name == "timer":
                self.timer = True
            elif name == "finish":
                assert not self.main and not self.leftover, "it left with something running"
                self.finished = self.machine.outcome

    def order(self, want, newer, grace):
        generation = self.machine.generation + (1 if newer or want == m.UP else 0)
        self.do(self.machine.order(want, generation, grace))

    def started(self):
        if self.machine.phase == m.STARTING and self.main:
            self.do(self.machine.started())

    def end(self, action, leftover):
        if self.main and self.machine.phase != m.STARTING:
            self.main, self.leftover = False, self.leftover or leftover
            self.do(self.machine.ended(decision(action), not self.leftover))

    def cannot_start(self):
        if self.machine.phase == m.STARTING and self.main:
            self.main = False
            self.do(self.machine.ended(decision(END), True))

    def leftover_ends(self):
        if self.leftover:
            self.leftover = False
            if not self.main:
                self.do(self.machine.empty())

    def tick(self):
        if self.machine.phase in (m.STOPPING, m.KILLING, m.STUCK, m.WAITING):
            self.do(self.machine.timer())

    def freeze(self, on):
        self.do(self.machine.freeze(on))

    def hung(self):
        self.do(self.machine.hung(1.0))

    def come_to_rest(self):
        """Whatever was sent works, and time passes."""
        for _ in range(20):
            if self.finished or self.machine.phase == m.RUNNING:
                return
            self.started()
            if self.machine.phase in (m.STOPPING, m.KILLING, m.STUCK):
                self.end(END, False)
            self.leftover_ends()
            self.tick()
        raise AssertionError(self.machine.phase)


steps = st.one_of(
    st.tuples(st.just("order"), st.sampled_from([m.UP, m.DOWN]), st.booleans(), st.sampled_from([0.0, 1.0, 30.0])),
    st.tuples(st.just("started")),
    st.tuples(st.just("end"), st.sampled_from([RESTART, END, QUARANTINE]), st.booleans()),
    st.tuples(st.just("cannot_start")),
    st.tuples(st.just("leftover_ends")),
    st.tuples(st.just("tick")),
    st.tuples(st.just("freeze"), st.booleans()),
    st.tuples(st.just("hung")),
)


@settings(max_examples=500)
@given(st.lists(steps, max_size=30))
def test_one_copy_and_the_newest_order_wins(story):
    world = World()
    last = m.UP
    for name, *arguments in story:
        if world.finished:
            break
        if name == "order":
            last = arguments[0]
        getattr(world, name)(*arguments)
    world.come_to_rest()
    if last == m.DOWN:
        assert world.finished and not world.main
        assert world.finished == m.STOPPED or story
    if not world.finished:
        assert world.main and world.machine.phase == m.RUNNING and world.machine.generation == world.machine._current


@settings(max_examples=200)
@given(st.lists(steps, max_size=20))
def test_a_stop_is_final_until_somebody_asks_again(story):
    world = World()
    for name, *arguments in story:
        if not world.finished:
            getattr(world, name)(*arguments)
    if world.finished:
        return
    world.order(m.DOWN, False, 1.0)
    before = world.spawns
    world.come_to_rest()
    assert world.spawns == before and world.finished == m.STOPPED


def running():
    world = World()
    world.started()
    return world


def test_stop_during_start():
    world = World()
    world.order(m.DOWN, False, 5.0)
    assert world.machine.phase == m.STARTING  # what is being made is waited for, then ended
    assert world.machine.started() == [("term",), ("timer", 5.0)]


def test_restart_during_back_off_does_not_wait():
    world = running()
    world.end(RESTART, False)
    assert world.machine.phase == m.WAITING
    world.order(m.UP, True, 5.0)
    assert world.machine.phase == m.STARTING and world.spawns == 2


def test_stop_during_back_off():
    world = running()
    world.end(RESTART, False)
    world.order(m.DOWN, False, 5.0)
    assert world.finished == m.STOPPED and world.spawns == 1


def test_stop_during_stop_can_only_be_faster():
    world = running()
    world.order(m.DOWN, False, 30.0)
    assert world.machine.order(m.DOWN, 1, 60.0) == []
    assert world.machine.order(m.DOWN, 1, 2.0) == [("timer", 2.0)]
    assert world.machine.order(m.DOWN, 1, 0.0)[0] == ("kill",)


def test_start_during_stop_starts_when_the_old_one_is_gone():
    world = running()
    world.order(m.DOWN, False, 30.0)
    world.order(m.UP, True, 30.0)
    assert world.spawns == 1
    world.end(END, False)
    assert world.spawns == 2


def test_what_is_left_behind_is_cleared_before_the_next_attempt():
    world = running()
    world.end(RESTART, True)
    assert world.machine.phase == m.STOPPING
    world.leftover_ends()
    assert world.machine.phase == m.WAITING


def test_what_is_left_behind_by_a_job_that_is_done_may_go_on():
    world = running()
    world.end(END, True)
    assert world.machine.phase == m.LINGERING and not world.finished
    world.leftover_ends()
    assert world.finished == m.FAILED


def test_what_cannot_be_killed_is_said_and_tried_again():
    world = running()
    world.order(m.DOWN, False, 1.0)
    world.tick()
    assert world.machine.phase == m.KILLING
    world.tick()
    assert world.machine.phase == m.STUCK and not world.finished
    world.end(END, False)
    assert world.finished == m.STOPPED


def test_a_paused_process_is_let_go_to_end_itself():
    world = running()
    assert world.machine.freeze(True) == [("freeze",)]
    assert world.machine.order(m.DOWN, 1, 5.0) == [("term",), ("thaw",), ("timer", 5.0)]


@pytest.mark.parametrize(
    ("action", "failed", "outcome"),
    [
        (END, False, m.SUCCEEDED),
        (END, True, m.FAILED),
        (QUARANTINE, True, m.QUARANTINED),
        (QUARANTINE, False, m.QUARANTINED),
    ],
)
def test_outcomes(action, failed, outcome):
    world = running()
    world.main = False
    world.do(world.machine.ended(decision(action, failed=failed), True))
    assert world.finished == outcome

"""One writer's trouble is that writer's: what cannot be read holds up nobody else, and an agent whose batch is refused for ever takes its rest."""

import pytest

from flightlog.agent.journal_tail import JournalTail
from flightlog.errors import PositionConflict
from simulation.world import World


@pytest.fixture
def world():
    with World(1, 5, 900) as world:
        yield world


@pytest.mark.parametrize("met", [False, True])
def test_a_bad_sector_holds_up_one_writer_only(world, met):
    sick, sound = world.start_program(), world.start_program()
    world.append(sick, "log", 3)
    (inode,) = world.kernel.disk.segments().values()
    seat = world.start_agent()
    said = []
    seat.agent.say = said.append
    if met:
        world.agent_round(seat)
        world.append(sick, "log", 1)
    inode.unreadable = True
    world.append(sound, "log", 3)
    for _ in range(4):
        world.agent_round(seat)
        world.model.check()
    assert {row[5] for row in world.database.state.rows} == ({1, 2, 3, 5, 6, 7} if met else {4, 5, 6})
    assert len([text for text in said if "held up" in text]) == 1, "it is said once"
    inode.unreadable = False
    world.heal()
    world.model.check_end()
    assert {row[5] for row in world.database.state.rows} == set(range(1, 8 if met else 7))


def test_a_conflict_that_stays_is_no_busy_loop(world, monkeypatch):
    world.append(world.start_program(), "log", 3)
    seat = world.start_agent()

    def refuse(batch, writers, runs):
        raise PositionConflict("for ever", "", "FL002")

    monkeypatch.setattr("simulation.database.FakeBatch.advance", refuse)
    rests = 0
    for _ in range(10):
        world.agent_round(seat)
        rests += bool(seat.agent._pause)
        seat.agent._pause = 0.0
    assert rests >= 2
    monkeypatch.undo()
    world.heal()
    world.model.check_end()


@pytest.mark.parametrize("met", [False, True])
def test_a_mistake_of_our_own_holds_up_one_writer_only(world, monkeypatch, met):
    """As for a bad sector: what is held is held, said once, and shipped by the next agent, which does not make the mistake."""
    sick, sound = world.start_program(), world.start_program()
    world.append(sick, "log", 3)
    (name,) = world.kernel.disk.segments()
    seat = world.start_agent()
    said = []
    seat.agent.say = said.append
    if met:
        world.agent_round(seat)
        world.append(sick, "log", 1)
    read = JournalTail.read

    def reading(tail, files, into, step):
        done = read(tail, files, into, step)
        if tail.writer in str(name):
            raise KeyError("nobody thought of this")
        return done

    monkeypatch.setattr(JournalTail, "read", reading)
    world.append(sound, "log", 3)
    for _ in range(4):
        world.agent_round(seat)
        world.model.check()
    assert {row[5] for row in world.database.state.rows} == ({1, 2, 3, 5, 6, 7} if met else {4, 5, 6})
    (text,) = [text for text in said if "held up" in text]
    assert "KeyError at" in text and "stay in the spool" in text
    monkeypatch.undo()
    world.kill_agent(seat)
    world.heal()
    world.model.check_end()
    assert {row[5] for row in world.database.state.rows} == set(range(1, 8 if met else 7))

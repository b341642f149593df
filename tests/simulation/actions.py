"""Everything that can happen, by name and with plain numbers, so that a history can be written down, printed and played again.

`do(world, name, arguments)` does one thing and looks at what must hold; `play` does a list of them and then mends everything and looks at the end.
An action inside another one (at a system call, at a point of the agent) is a list [name, arguments] among its arguments.
"""

from .kernel import Killed
from .world import KINDS, World

ACTIONS = {}


def action(function):
    ACTIONS[function.__name__] = function
    return function


def do(world, name, arguments):
    world.steps += 1
    ACTIONS[name](world, **arguments)
    world.model.check()


def play(seed, batch_rows, rotate_bytes, history):
    """Play a history from its beginning to the end; return the world. Raises AssertionError."""
    with World(seed, batch_rows, rotate_bytes) as world:
        for name, arguments in history:
            do(world, name, arguments)
        world.heal()
        world.model.check_end()
    return world


def _inner(world, inner):
    """Return what does *inner* while somebody else is held up."""
    if inner is None:
        return None

    def run():
        name, arguments = inner
        try:
            ACTIONS[name](world, **arguments)
        except Killed:
            pass
        world.model.check()

    return run


@action
def start_program(world):
    if len([program for program in world.programs if program.alive]) < 5:
        world.start_program()


@action
def append(world, program, kind, count, size):
    world.append(world.program(program), KINDS[kind % len(KINDS)], count, size)


@action
def append_threads(world, program, threads, each, schedule):
    world.append_threads(world.program(program), threads, each, schedule)


@action
def rotate(world, program):
    world.rotate(world.program(program))


@action
def drop(world, program):
    world.drop(world.program(program))


@action
def close_writer(world, program):
    world.close(world.program(program))


@action
def fork(world, program, hooked, count):
    if len(world.programs) < 40:
        child = world.fork(world.program(program), hooked)
        world.append(child, "log", count, 60)


@action
def kill_program(world, program):
    world.kill_program(world.program(program))


@action
def kill_in_append(world, program, calls, part, kind):
    world.kill_in_append(world.program(program), calls, part / 8, KINDS[kind % len(KINDS)])


@action
def interrupt_append(world, program, calls, inner):
    """At a system call of an append: a signal handler that logs, a fork, or somebody else's turn."""
    chosen = world.program(program)
    name, arguments = inner
    if name in ("append", "rotate", "drop", "fork", "close_writer"):
        number = [other for other in world.programs if other.alive].index(chosen)
        inner = [name, dict(arguments, program=number)]
    world.interrupt_append(chosen, calls, _inner(world, inner))


@action
def reuse_pid(world, which):
    dead = [program for program in world.programs if not program.alive]
    if dead:
        world.kernel.reuse_pid(dead[which % len(dead)].process)


@action
def captured(world, capture, count, size, last):
    world.captured(world.capture(capture), count, size, last)


@action
def kill_capture(world, capture, calls, part):
    """Keeper and shim die, at a system call or in the middle of a write."""
    chosen = world.capture(capture)
    chosen.process.trap = (calls, lambda name: part / 8)
    world.captured(chosen, 3, 50)
    world.kernel.kill(chosen.process)


@action
def agent_round(world, agent, seconds, spare):
    world.agent_round(world.seat(agent), seconds, spare)


@action
def agent_rounds(world, agent, count):
    for _ in range(count):
        world.agent_round(world.seat(agent))


@action
def second_agent(world):
    if len([seat for seat in world.seats if seat.process.alive]) < 3:
        world.agent_round(world.start_agent())


@action
def kill_agent(world, agent):
    world.kill_agent(world.seat(agent))


@action
def stop_agent_at(world, agent, calls, inner, seconds, spare):
    """At one of its calls, to system or database, the agent dies (no *inner*) or is held up."""
    world.stop_agent_at(world.seat(agent), calls, _inner(world, inner), seconds, spare)


@action
def stop_agent_at_point(world, agent, point, times, inner, seconds, spare):
    """The same at a named point of shipping and retiring."""
    world.stop_agent_at_point(world.seat(agent), point, times, _inner(world, inner), seconds, spare)


@action
def upkeep(world, agent, calls):
    world.upkeep(world.seat(agent), calls)


@action
def database_kill(world, lost_commits):
    world.database_kill(lost_commits)


@action
def database_start(world):
    world.database.start()


@action
def late_commit(world):
    world.database.finish_late()


@action
def net_cut(world, calls, when):
    world.net_cut(calls, when)


@action
def backends_survive(world, survive):
    """Whether an agent can end the session of the one before it."""
    world.database.terminates = not survive


@action
def restore_database(world, index):
    world.database.restore(index)


@action
def new_empty_database(world):
    world.database.renew()


@action
def power_cut(world):
    world.power_cut()


@action
def flip_bit(world, which, bit):
    world.flip(which, bit)


@action
def fill_disk(world, room):
    world.hints_failed = world.hints_failed or room is not None
    world.kernel.disk.capacity = None if room is None else world.kernel.disk.used() + room


@action
def break_disk(world, broken):
    world.hints_failed = world.hints_failed or broken
    world.kernel.disk.broken = broken


@action
def bad_sector(world, which, bad):
    segments = list(world.kernel.disk.segments().values())
    if segments:
        segments[which % len(segments)].unreadable = bad


@action
def clock_jump(world, seconds):
    world.clock_jump(seconds)


@action
def wait(world, seconds):
    world.kernel.sleep(seconds)

"""The stage: programs that log, agents that ship, a database, and what may befall them; the product's own code plays all parts.

`World` has one method per thing that can happen. `model.Model` says after each what must hold. The same seed and the same calls give the same
history. Small limits (`SMALL`) make segments, chunks and batches end often.
"""

import copy
import itertools
from unittest import mock

from flightlog.agent import agent as agent_module
from flightlog.agent import faults
from flightlog.agent.agent import Agent
from flightlog.agent.upkeep import Upkeep, Wanted
from flightlog.config.quota import Amount
from flightlog.errors import Fenced, FlightlogError
from flightlog.journal import writer as writer_module
from flightlog.journal.capture import CaptureWriter
from flightlog.journal.encode import encode
from flightlog.journal.writer import Writer
from flightlog.system import os

from .calls import playing
from .database import Database, FakeSink
from .kernel import Kernel, Killed
from .model import Model
from .threads import Scheduler

SMALL = {
    "flightlog.journal.writer.CHECK_MASK": 3,
    "flightlog.agent.journal_tail.CHUNK_BYTES": 700,
    "flightlog.agent.journal_tail.BLOCK_ROWS": 3,
    "flightlog.agent.capture_tail.BLOCK_ROWS": 3,
    "flightlog.agent.capture_tail.WINDOW_BYTES": 1000,
    "flightlog.config.quota.disk": lambda folder: None,  # no room is set aside: writing in place is not simulated
}
KINDS = ("log", "log", "log", "event", "poison", "broken", "large")


class Door:
    """An agent's door: nobody waits in a simulation."""

    def wait(self, seconds):
        return False


class Program:
    """A process that logs."""

    def __init__(self, world, process, writer, run):
        self.world, self.process, self.writer, self.run = world, process, writer, run

    @property
    def alive(self):
        return self.process.alive


class Seat:
    """An agent and its process."""

    def __init__(self, process, agent, upkeep):
        self.process, self.agent, self.upkeep = process, agent, upkeep


class World:
    """Everything there is."""

    def __init__(self, seed=0, batch_rows=5, rotate_bytes=900):
        self.kernel = Kernel(seed)
        self.kernel.disk.late_ns = seed % 3 * 5_000_000_000
        self.database = Database(self.kernel)
        self.model = Model(self)
        self.programs, self.captures, self.seats = [], [], []
        self.batch_rows, self.rotate_bytes = batch_rows, rotate_bytes
        self._runs = itertools.count(1)
        self._patches = [mock.patch(name, value) for name, value in SMALL.items()]
        self._playing = playing(self.kernel)
        self.steps = 0
        self.hints_failed = False

    def __enter__(self):
        self._playing.__enter__()
        for patch in self._patches:
            patch.start()
        return self

    def __exit__(self, *problem):
        for patch in self._patches:
            patch.stop()
        faults.disarm()
        self._playing.__exit__(*problem)

    # -- programs -------------------------------------------------------------------------------------------------

    def program(self, number):
        """One of the living programs, a new one if there is none."""
        living = [program for program in self.programs if program.alive]
        return living[number % len(living)] if living else self.start_program()

    def start_program(self):
        process = self.kernel.spawn()
        run = "%026d" % next(self._runs)

        def head():
            return {"run": run, "pipeline": "p" + run[-1]}

        writer = self.kernel.as_process(process, lambda: Writer("/spool", head, self.rotate_bytes))
        program = Program(self, process, writer, run)
        self.programs.append(program)
        return program

    def append(self, program, kind="log", count=1, size=40):
        for _ in range(count):
            if not program.alive:
                return
            record = self.model.new_record(kind, program.run, size)
            before = program.writer._state
            dropped = sum(before.drops.totals.values())
            n = self.kernel.as_process(program.process, program.writer.append, record.payload, 20)
            self.model.returned(record, n)
            if n and program.alive and program.writer._state is before:
                self.model.drops[before.writer] = max(dropped, self.model.drops.get(before.writer, 0))

    def append_threads(self, program, threads, each, schedule):
        def work(kinds):
            for kind in kinds:
                record = self.model.new_record(kind, program.run, 60)
                n = program.writer.append(record.payload, 20)
                self.model.returned(record, n)

        choose = self.kernel.choose
        tasks = [lambda kinds=[choose.choice(KINDS) for _ in range(each)]: work(kinds) for _ in range(threads)]
        Scheduler(self.kernel, tasks, schedule).run(program.process)

    def rotate(self, program, size=700):
        self.append(program, "log", 5, size)

    def drop(self, program):
        self.kernel.as_process(program.process, program.writer.drop, 10, "pressure")

    def close(self, program):
        self.kernel.as_process(program.process, program.writer.close)

    def fork(self, program, hooked=True):
        """Fork; *hooked*: Python's own fork, whose hook renews the writer."""
        process = self.kernel.spawn(program.process)
        writer = copy.copy(program.writer)
        old = program.writer._state
        writer._state = state = object.__new__(type(old))
        for name in type(old).__slots__:
            setattr(
                state,
                name,
                copy.deepcopy(getattr(old, name)) if name in ("inodes", "turns", "drops") else getattr(old, name),
            )
        state.next, state.numbers = (copy.copy(call.__self__).__next__ for call in (old.next, old.numbers))
        child = Program(self, process, writer, program.run)
        self.programs.append(child)
        writer_module._writers.append(writer)
        if hooked:
            self.kernel.as_process(process, writer._renew)
        return child

    def kill_program(self, program):
        self.kernel.kill(program.process)

    def kill_in_append(self, program, calls, part, kind="log", size=60):
        """Kill the program at one of its next system calls, or in the middle of a write."""
        program.process.trap = (calls, lambda name: part)
        self.append(program, kind, 6, size)
        self.kernel.kill(program.process)

    def interrupt_append(self, program, calls, action):
        """Do something else at one of the program's next system calls: a signal handler, another process, a fork."""
        program.process.trap = (calls, lambda name: self._aside(action))
        self.append(program, "log", 4, 120)
        program.process.trap = None

    def _aside(self, action):
        process = self.kernel.current
        held = process.trap
        process.trap = None
        try:
            action()
        finally:
            process.trap = held
            self.kernel.current = process

    # -- captures -------------------------------------------------------------------------------------------------

    def capture(self, number):
        """One of the captures that go on, a new one if there is none."""
        living = [capture for capture in self.captures if capture.alive]
        return living[number % len(living)] if living else self.start_capture()

    def start_capture(self):
        process = self.kernel.spawn()
        run = "%026d" % next(self._runs)
        meta = {"stream": "stdout", "run": run, "pipeline": "captured", "keeper": [process.pid, process.start]}
        meta.update(boot="%032x" % self.kernel.boot, uid=0, node="sim")
        writer = CaptureWriter("/spool", meta, self.rotate_bytes)
        capture = Program(self, process, writer, run)
        self.captures.append(capture)

        def open_():
            try:
                os.makedirs("/spool", exist_ok=True)
                writer.open()
            except OSError:
                self.kernel.kill(process)  # the command then runs without us

        self.kernel.as_process(process, open_)
        return capture

    def captured(self, capture, count, size, last=False):
        """The command says some lines; what the capture cannot take goes to the console only. *last*: an unfinished one, then it ends."""
        for number in range(count if capture.alive else 0):
            record = self.model.new_record("line", capture.run, size)
            ending = last and number == count - 1
            taken = self.kernel.as_process(capture.process, self._take_line, capture.writer, record, ending)
            record.accepted = bool(taken)
            if not taken:
                self.model.torn_captures.add(capture.writer.writer_id)
            if not capture.alive:
                return
        if last and capture.alive:
            self.kernel.as_process(capture.process, capture.writer.end)
            self.kernel.kill(capture.process)

    def _take_line(self, writer, record, last):
        if writer.size() > writer.rotate_bytes and not writer.rotate():
            return False
        data = record.payload if last else record.payload + b"\n"
        try:
            if os.write(writer.fd, data) != len(data):
                return False
        except OSError:
            return False
        writer.stamp(writer.size())
        return True

    # -- agents ---------------------------------------------------------------------------------------------------

    def seat(self, number=0):
        living = [seat for seat in self.seats if seat.process.alive]
        return living[number % len(living)] if living else self.start_agent()

    def start_agent(self):
        process = self.kernel.spawn()

        def make():
            agent = Agent(
                "/home",
                "/spool",
                lambda: FakeSink(self.database),
                Door(),
                batch_rows=self.batch_rows,
                kept_seconds=30.0,
                quota=1 << 30,
            )
            agent.quiet = True
            upkeep = Upkeep("/home", "/spool", "", lambda: Wanted(Amount(1 << 30, 0.0), Amount(0, 0.0)))
            upkeep._pages[os.geteuid()] = None  # mapped memory is not simulated
            return agent, upkeep

        seat = Seat(process, *self.kernel.as_process(process, make))
        self.seats.append(seat)
        return seat

    def agent_round(self, seat, seconds=1.5, spare=True):
        """One round of the agent's loop; tell whether there was something to do, None when it could not be known."""
        self.kernel.sleep(seconds)
        seat.agent._quota = 1 << 30 if spare else 1

        def round_():
            try:
                return seat.agent.round()[0]
            except Fenced:
                seat.agent.close()
                self.kernel.kill(seat.process)
            except (FlightlogError, OSError) as problem:
                seat.agent._away(problem)
            return None

        worked = self.kernel.as_process(seat.process, round_)
        if not seat.process.alive:
            self._gone(seat)
        return worked

    def _gone(self, seat):
        """The agent's process is gone: the server hears of it, or not for a while."""
        sink = seat.agent._sink
        if sink is not None and sink.session is not None and self.kernel.choose.random() < 0.7:
            self.database._break(sink.session)

    def kill_agent(self, seat):
        self.kernel.kill(seat.process)
        self._gone(seat)

    def stop_agent_at(self, seat, calls, action=None, seconds=1.5, spare=True):
        """Let something happen at one of the agent's next calls (to the system or the database); None: it dies there."""

        def die(name):
            self.kernel.kill(seat.process)

        seat.process.trap = (calls, die if action is None else lambda name: self._aside(action))
        worked = self.agent_round(seat, seconds, spare)
        seat.process.trap = None
        return worked

    def stop_agent_at_point(self, seat, point, times=1, action=None, seconds=1.5, spare=True):
        """The same at a named point of `agent.faults`."""

        def reached():
            if action is None:
                self.kernel.kill(seat.process)
                raise Killed
            self._aside(action)

        faults.arm(point, times, reached)
        self.agent_round(seat, seconds, spare)
        faults.disarm()

    def upkeep(self, seat, calls=None):
        """Once a second: flush. *calls*: it dies at one of its calls."""
        known = self.model.accepted_now()
        if calls is not None:
            seat.process.trap = (calls, lambda name: self.kernel.kill(seat.process))
        done = self.kernel.as_process(seat.process, lambda: seat.upkeep._round(last=True) or True)
        seat.process.trap = None
        if done and not self.kernel.disk.broken:
            self.model.promised |= known

    # -- the rest of the world ------------------------------------------------------------------------------------

    def net_cut(self, calls, when):
        self.database.plan = (calls, when)

    def database_kill(self, lost_commits=0):
        self.database.stop(lost_commits)

    def power_cut(self):
        self.model.before_power_cut()
        self.kernel.power_cut()
        for seat in self.seats:
            self._gone(seat)
        self.model.after_power_cut()

    def flip(self, which, bit):
        segments = [inode for inode in self.kernel.disk.segments().values() if inode.data]
        if segments:
            inode = segments[which % len(segments)]
            inode.flip(bit % (len(inode.data) * 8))

    def clock_jump(self, seconds):
        self.kernel.wall_ns = max(0, self.kernel.wall_ns + int(seconds * 1e9))

    # -- the end --------------------------------------------------------------------------------------------------

    def heal(self):
        """Mend everything, end all programs and ship what there is."""
        kernel, database = self.kernel, self.database
        kernel.disk.capacity, kernel.disk.broken = None, False
        for inode in kernel.disk.everything:
            inode.unreadable = False
        database.finish_late()
        database.plan, database.terminates = None, True
        database.start()
        for program in [*self.programs, *self.captures]:
            kernel.kill(program.process)
        for seat in self.seats:
            if seat.process.alive:
                self.kill_agent(seat)
        seat = self.start_agent()
        idle = 0
        for _ in range(400):
            idle = 0 if self.agent_round(seat, 2.0) else idle + 1
            if idle >= 3:
                break
        else:
            raise AssertionError("the agent does not come to rest")
        assert seat.process.alive
        self.agent_round(seat, 7200.0)
        self.agent_round(seat, 20.0)
        self.seat_at_rest = seat


assert agent_module.ALIVE_SECONDS < 1.5
__all__ = ["KINDS", "World", "encode"]
